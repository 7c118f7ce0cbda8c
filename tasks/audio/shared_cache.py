"""A cache that threads share."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any

from cachetools import LRUCache


@dataclass
class _Making:
    """Who is making one entry: a lock, and how many threads hold it or wait for it."""

    lock: Lock = field(default_factory=Lock)
    threads: int = 0


class SharedCache(LRUCache[Any, Any]):
    """A cache that forgets what was used least recently, for several threads."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._lock = RLock()
        self._under_way: dict[Hashable, _Making] = {}
        super().__init__(*arguments, **options)

    @contextmanager
    def making(self, key: Hashable) -> Iterator[None]:
        """Let one thread at a time look for an entry and make it, the others find it then."""
        with self._lock:
            making = self._under_way.setdefault(key, _Making())
            making.threads += 1
        try:
            with making.lock:
                yield
        finally:
            with self._lock:
                making.threads -= 1
                if not making.threads:
                    del self._under_way[key]

    # A look-up notes what was used; the library leaves it to its callers to lock that.

    def __getitem__(self, key: Hashable) -> Any:
        with self._lock:
            return super().__getitem__(key)

    def get(self, key: Hashable, default: Any = None) -> Any:  # noqa: D102
        with self._lock:
            return super().get(key, default)

    def __setitem__(self, key: Hashable, value: Any) -> None:
        with self._lock:
            super().__setitem__(key, value)
