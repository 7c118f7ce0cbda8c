"""What is wrong with data as a whole, so that nothing can be learnt from them."""


class DataError(Exception):
    """Data that no training can start with; one sentence for people, with the remedy."""
