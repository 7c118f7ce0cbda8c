"""What a thread takes from an iterable ahead of who needs it."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """Items that a thread takes from now on, and an iterator of them.

    Whatever ends the source is raised where the items are used.

    Parameters
    ----------
    items
        The source, which no other thread may use; a generator is closed at the end.
    capacity
        Items that the thread is ahead at most; it may hold one more.
    """

    def __init__(self, items: Iterable[Item], capacity: int) -> None:
        self._capacity = capacity
        self._taken: deque[Item] = deque()
        self._changed = threading.Condition()
        self._is_at_end = self._is_closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._take, args=(items,), daemon=True).start()

    def __iter__(self) -> "Ahead[Item]":
        return self

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._taken or self._is_at_end or self._is_closed)
            if self._taken:
                item = self._taken.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Take no more items: the thread ends with what it is at."""
        with self._changed:
            self._is_closed = True
            self._taken.clear()
            self._changed.notify_all()

    def _take(self, items: Iterable[Item]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                with self._changed:
                    self._changed.wait_for(
                        lambda: len(self._taken) < self._capacity or self._is_closed
                    )
                    if self._is_closed:
                        break
                    self._taken.append(item)
                    self._changed.notify_all()
        except BaseException as raised:  # raised where the items are used
            error = raised
        finally:
            close_source(items)
            with self._changed:
                self._error, self._is_at_end = error, True
                self._changed.notify_all()


def close_source(items: Iterable[Any]) -> None:
    """Close what items come from, if it is a generator or another that can be closed."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
