"""Text for people and for JSON."""

import os


def printable(path: str) -> str:
    """Name of a file for people and for JSON: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 file``, ``2 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
