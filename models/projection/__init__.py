"""Projection of embeddings of audio and of texts into one space, trained here."""
