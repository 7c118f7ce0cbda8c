"""Corpora that others publish: where they are, and how they get to this disk."""
