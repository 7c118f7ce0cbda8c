"""Addresses of places, as people give them: a folder, or ``s3://bucket/prefix``."""

import os
import re

from blocks.storage_error import StorageError

S3 = "s3://"

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):/")
"""How an address begins that is none of a folder. What only holds a colon is a name."""

_S3_IN_PART = re.compile(r"\s*s3:", re.IGNORECASE)


def place(address: str) -> str:
    """Return an address in the form in which it is used everywhere.

    ``~`` and ``~user`` at the beginning are the home, since a form has no shell that
    would say so, and ``S3://`` is ``s3://``. Everything else stays as it is: ``live: 2024``
    is a folder.

    Raises
    ------
    StorageError
        If it is empty, of a kind of store that is not known, or written wrongly: it would
        become a folder called ``gs:``.
    """
    if not address.strip():
        raise StorageError("An empty address names no place: give a folder, or s3://bucket/prefix.")
    if address.strip()[: len(S3)].lower() == S3:
        return S3 + address.strip()[len(S3) :]
    scheme = _SCHEME.match(address)
    if scheme is None and _S3_IN_PART.match(address) is None:
        return os.path.expanduser(address)
    # What stands before an @ may be a secret.
    shown = re.sub("//[^/]*@", "//...@", address.strip())
    raise StorageError(f"{shown} is no place that can be used: {_remedy(shown, scheme)}.")


def path(address: str) -> str:
    """Return the path of a file or folder of this machine, as :func:`place` does.

    Raises
    ------
    StorageError
        If it is in a bucket, or no place at all.
    """
    if is_local(found := place(address)):
        return found
    raise StorageError(f"{found} is in a bucket: give a path of this machine.")


def is_local(address: str) -> bool:
    """Return whether a place is on a disk."""
    return not address.startswith(S3)


def _remedy(address: str, scheme: re.Match[str] | None) -> str:
    name = "s3" if scheme is None else scheme[1].lower()
    rest = address[len(name) + 1 :].lstrip("/")
    if name in ("s3", "s3a", "s3n"):
        return f"a bucket is written s3://{rest or 'bucket/prefix'}"
    if name == "file":
        return f"write the path itself, /{rest.removeprefix('localhost/')}"
    return f"give a folder or s3://bucket/prefix; a folder of that name is ./{address}"
