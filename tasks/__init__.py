"""Steps: the contract they keep, and one file per step."""
