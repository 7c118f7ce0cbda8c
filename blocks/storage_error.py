"""The error of everything that stores."""


class StorageError(Exception):
    """A result that could not be stored; the message is one sentence for people."""
