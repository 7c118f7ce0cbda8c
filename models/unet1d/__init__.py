"""The one-dimensional U-Net, which separates sources by masks over time."""
