"""The error of everything that stores."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StorageError(Exception):
    """A result that could not be stored; the message is one sentence for people."""


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Raise what the system refuses to a writer inside the block as one sentence."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(_sentence(target, error)) from error


def _sentence(target: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No space is left to write {target}: free some and run the same command again; "
            "what is finished stays."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written ({error.strerror}): choose another output folder."
    return f"{target} could not be written: {error.strerror or error}."
