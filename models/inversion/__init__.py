"""Textual inversion of MusicGen: words that it did not know, learnt from a few recordings.

R. Gal et al., "An image is worth one word: personalizing text-to-image generation using
textual inversion", ICLR 2023, on the text encoder of MusicGen (J. Copet et al., "Simple and
controllable music generation", NeurIPS 2023).
"""
