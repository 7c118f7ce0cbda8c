"""Projection of audio to text: the fit, how well it retrieves, and search with it."""
