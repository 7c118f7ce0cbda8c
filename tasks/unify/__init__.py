"""Unification: entries of corpora to one dataset of captioned tracks."""
