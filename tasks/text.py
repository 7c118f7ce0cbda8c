"""Text for people and for JSON."""

import os


def printable(path: str) -> str:
    """Name of a file for people and for JSON: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def duration(seconds: float) -> str:
    """Return a time as people say it: ``2 h 5 min``, ``3 min 20 s``, ``8 s``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 file``, ``2 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def data_size(count: int) -> str:
    """Return a number of bytes as people read it: ``3.1 GB``, ``20 MB``, ``7 B``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * scale:
            return f"{count / scale:.{1 if unit == 'GB' else 0}f} {unit}"
    return f"{count} B"
