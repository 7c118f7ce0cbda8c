"""Textual inversion: recordings of concepts, training, generations, distances."""
