"""The steps that turn archives of stems into tokenised stem-continuation pairs."""
