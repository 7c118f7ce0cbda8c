"""The manifest of a dataset: what it was made of, and that it is whole.

A dataset's files are replaced between :func:`declare_unfinished` and :func:`write_manifest`,
which comes last of all. So a manifest that is there describes the files beside it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from blocks.storage import Storage

MANIFEST = "manifest.json"

Manifest = dict[str, Any]


def declare_unfinished(folder: Storage) -> None:
    """Remove the manifest: what is half replaced is not what it was before."""
    folder.delete(MANIFEST)


def write_manifest(
    folder: Storage, manifest: Mapping[str, Any], *, sort_keys: bool = False
) -> None:
    """Write ``manifest.json``, last of all: it declares the dataset whole."""
    options = orjson.OPT_INDENT_2 | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    folder.write_bytes(MANIFEST, orjson.dumps(manifest, option=options) + b"\n")


def read_manifest(folder: Storage) -> Manifest | None:
    """Read ``manifest.json``; None if there is none or it is damaged."""
    try:
        manifest: Manifest = orjson.loads(folder.read_bytes(MANIFEST))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return manifest


def unchanged(
    folder: Storage, fingerprint: str, files: Callable[[Manifest], Iterable[Path]]
) -> Manifest | None:
    """Return the manifest of a dataset that need not be written again, or None.

    Parameters
    ----------
    folder
        The dataset's.
    fingerprint
        Digest of all that the dataset's files depend on.
    files
        From a manifest to the files that have to be there beside it.
    """
    manifest = read_manifest(folder)
    if not manifest or manifest.get("fingerprint") != fingerprint:
        return None
    return manifest if all(path.is_file() for path in files(manifest)) else None


def now() -> str:
    """Return the time, as manifests state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
