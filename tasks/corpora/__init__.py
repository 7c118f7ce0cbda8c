"""Corpora and layouts of files on disk: one file each."""
