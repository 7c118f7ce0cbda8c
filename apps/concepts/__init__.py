"""The parts of the page of textual inversion: what is trained, what is learnt, what is made."""
