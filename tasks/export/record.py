"""What an export has written: what of it is still there, and what is no longer part of it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from blocks.storage import Storage
from tasks.dataset.failures import FAILURES
from tasks.dataset.manifest import MANIFEST
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.export.shards import ShardItem
from tasks.step import Row
from tasks.weights import Weights

FILES = ".songmill-files.jsonl"
"""List of all files of an export: ``path``, ``size_bytes`` and ``sha256``. It is hidden, since it
is none of what was exported."""

_READ = ("files", "failures", "skipped", "lines")


def with_retries(
    items: Sequence[ShardItem], stage: Stage, tables: Storage, weights: Weights, output: Storage
) -> list[ShardItem]:
    """Return shards, those that were written and lack something as others than they were.

    A shard lacks something if rows of it failed, or if a file of it is gone or has another size:
    somebody has removed it, or an export of other rows has. The step makes it anew then, as it
    does with any failure.

    Parameters
    ----------
    items
        The shards.
    stage, tables, weights
        The step that writes them, where its rows lie, and where models would.
    output
        Where the export goes.
    """
    sizes = None if output.is_local else output.sizes()
    found = list(items)
    while True:
        rows = Results([stage], found, tables, weights).rows(stage.step.name, _READ)
        lacking = {
            item.track_id
            for item, row in rows
            if isinstance(item, ShardItem) and _lacks(row, item, output, sizes)
        }
        if not lacking:
            return found
        found = [
            replace(item, retry=item.retry + 1) if item.track_id in lacking else item
            for item in found
        ]


def files(output: Storage) -> list[Row]:
    """Return the files of the export that lies somewhere; none if none does."""
    try:
        return [orjson.loads(line) for line in output.read_bytes(FILES).splitlines()]
    except FileNotFoundError:
        return []


def write(
    output: Storage, shards: Iterable[tuple[ShardItem, Row]], others: Iterable[Row]
) -> list[Row]:
    """Record what was written, remove what an earlier export wrote there and this one did not.

    Parameters
    ----------
    output
        Where the export lies.
    shards
        Items with the rows of the step.
    others
        Files that are of no shard.

    Returns
    -------
    list
        All files of the export.
    """
    before = {each["path"] for each in files(output)}
    rows = [*(each for _, row in shards for each in row["files"]), *others]
    # Only what a record named: other files in the folder are somebody's.
    for path in sorted(before.difference(each["path"] for each in rows)):
        output.delete(path)
    output.write_bytes(FILES, b"".join(orjson.dumps(each) + b"\n" for each in rows))
    return rows


def strays(output: Storage) -> list[str]:
    """Return the files beside an export that are none of it, but for its checkpoints.

    They are somebody's, or of a run with other options that was killed before it recorded them.
    """
    own = {*(each["path"] for each in files(output)), FAILURES, MANIFEST}
    return [
        path for path in output.files() if path not in own and not path.startswith("checkpoints/")
    ]


def _lacks(row: Row, item: ShardItem, output: Storage, sizes: Mapping[str, int] | None) -> bool:
    # What a target cannot take, it cannot take the next time.
    if len(row["failures"]) > row["skipped"] or not item.source.parts.exists(row["lines"]):
        return True
    return any(_size(output, sizes, each["path"]) != _expected(each) for each in row["files"])


def _size(output: Storage, sizes: Mapping[str, int] | None, path: str) -> int | None:
    """Return the size of a file, -1 of a link, None if it is not there."""
    if sizes is not None:
        return sizes.get(path)
    local = Path(output.address, path)
    try:
        return -1 if local.is_symlink() else os.stat(local).st_size
    except OSError:
        return None


def _expected(each: Row) -> int:
    size: int | None = each["size_bytes"]
    return -1 if size is None else size
