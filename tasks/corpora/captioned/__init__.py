"""Corpora of tracks with texts: one file each, and a row of :mod:`.known` that registers it."""
