"""Networks: our own, and thin adapters over pretrained ones."""
