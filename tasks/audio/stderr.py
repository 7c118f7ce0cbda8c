"""Silence of the C libraries that decode."""

import ctypes
import os
from functools import cached_property
from threading import Lock


class _MutedStderr:
    """While it is entered, C libraries print nothing to stderr (with glibc).

    libmpg123 reports every damaged MP3 there, and libsndfile has no switch for it (its
    issue 958). What is exchanged is the C library's variable, not descriptor 2: Python
    prints on in other threads, and processes that start meanwhile inherit the terminal.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0 and self._streams:
                stderr, _, null = self._streams
                stderr.value = null
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._streams:
                stderr, shown, _ = self._streams
                stderr.value = shown

    @cached_property
    def _streams(self) -> tuple[ctypes.c_void_p, int | None, int] | None:
        """The variable, its value, and a stream to nowhere; None where it is a constant."""
        if "CS_GNU_LIBC_VERSION" not in os.confstr_names:
            return None
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        null = libc.fopen(os.devnull.encode(), b"w")
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        return (stderr, stderr.value, null) if null else None


MUTED_STDERR = _MutedStderr()
