"""The steps that build a dataset of songs."""
