"""What every dataset shares at its end, and the draws and digests that it is made with."""
