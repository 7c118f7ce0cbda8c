"""Names of stems: what instrument each is, and which files are of one song."""
