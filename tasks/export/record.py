"""What an export has written: beside its checkpoints, so that the next run can put it right."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from blocks.storage import Storage
from tasks.export.shards import ShardItem
from tasks.step import Row

FILES = "files.jsonl"
"""All files of the export: ``path``, ``size_bytes``, ``sha256``, and the ``shard`` they are of."""

RETRIES = "retries.json"
"""How often each shard was made anew, by its digest and name."""


def with_retries(items: Sequence[ShardItem], place: Storage, output: Storage) -> list[ShardItem]:
    """Return shards, those of the last run that lack something as others than they were.

    A shard lacks something if rows of it failed, or if a file of it is gone or has another size.
    The step makes it anew then, as it does with any failure.
    """
    retries = _read(place)
    sizes = None if output.is_local else output.sizes()
    lacking = {name for name, said in retries.items() if said["failed"]}
    for each in files(place):
        if each["shard"] and _size(output, sizes, each["path"]) not in _expected(each):
            lacking.add(each["shard"])
    found = []
    for item in items:
        name = name_of(item)
        before = retries.get(name, {"retries": 0})["retries"]
        found.append(replace(item, retry=before + (name in lacking)))
    return found


def name_of(item: ShardItem) -> str:
    """Return what a shard of certain rows is called here."""
    return f"{item.name} {item.track_id}"


def files(place: Storage) -> list[Row]:
    """Return the files of the last run that ended; none if there was none."""
    try:
        return [orjson.loads(line) for line in place.read_bytes(FILES).splitlines()]
    except FileNotFoundError:
        return []


def write(
    place: Storage,
    output: Storage,
    shards: Iterable[tuple[ShardItem, Row]],
    others: Iterable[Row],
) -> list[Row]:
    """Record what was written, remove what an earlier run wrote and this one did not.

    Parameters
    ----------
    place
        Where the record lies.
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
    before = {each["path"] for each in files(place)}
    rows: list[Row] = []
    retries: dict[str, Row] = {}
    for item, row in shards:
        name = name_of(item)
        rows += ({**each, "shard": name} for each in row["files"])
        # What a target cannot take, it cannot take the next time.
        failed = len(row["failures"]) - row["skipped"]
        retries[name] = {"retries": item.retry, "failed": failed}
    rows += ({**each, "shard": None} for each in others)
    # Only what a record named: other files in the folder are somebody's.
    for path in sorted(before.difference(each["path"] for each in rows)):
        output.delete(path)
    place.write_bytes(FILES, b"".join(orjson.dumps(each) + b"\n" for each in rows))
    place.write_bytes(RETRIES, orjson.dumps(retries))
    return rows


def _read(place: Storage) -> dict[str, Row]:
    try:
        found: dict[str, Row] = orjson.loads(place.read_bytes(RETRIES))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found


def _size(output: Storage, sizes: Mapping[str, int] | None, path: str) -> int | None:
    """Return the size of a file, -1 of a link, None if it is not there."""
    if sizes is not None:
        return sizes.get(path)
    local = Path(output.address, path)
    try:
        return -1 if local.is_symlink() else os.stat(local).st_size
    except OSError:
        return None


def _expected(each: Row) -> tuple[int, ...]:
    return (-1,) if each["size_bytes"] is None else (each["size_bytes"],)
