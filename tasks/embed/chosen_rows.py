"""From the rows of a unified dataset to the items of a run: one per piece of audio."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from blocks.storage import Storage
from tasks.dataset.digests import Digests
from tasks.dataset.failures import Failure, failure
from tasks.dataset.unified import captions_of
from tasks.dataset.unified_choice import Splits, assign_splits
from tasks.embed.items import SOURCE, Item, identity
from tasks.step import digest
from tasks.track import TrackError

Row = dict[str, Any]


@dataclass(frozen=True)
class ChosenRows:
    """What a run is to embed.

    Attributes
    ----------
    dataset
        Fingerprint of the rows, as they were read.
    rows
        Whose audio is there, with their final ``split`` and ``group``.
    item_ids
        Identity of the audio of each of `rows`; several may share one.
    items
        One per identity, in the order in which rows first name it.
    failures
        Rows that cannot be used.
    splits
        How the rows were split.
    notes
        What else is to be said, a sentence each.
    """

    dataset: str
    rows: Sequence[Row]
    item_ids: Sequence[str]
    items: Sequence[Item]
    failures: Sequence[Failure]
    splits: Splits
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def audio(self) -> str:
        """Fingerprint of the audio of the rows."""
        return digest("\n".join(self.item_ids).encode())


def fingerprint(rows: Sequence[Row]) -> str:
    """Return the digest of what embeddings say of rows as they were read."""
    said = (
        (
            row["id"],
            captions_of(row),
            row["split"],
            row["group"],
            row["evaluation_only"],
            row["start_seconds"],
            row["end_seconds"],
            row["duration"],
            row["dataset"],
            row["title"],
            row["artist"],
        )
        for row in rows
    )
    return digest("\n".join(map(repr, said)).encode())


def choose(
    rows: Sequence[Row],
    failures: Sequence[Failure],
    notes: Sequence[str],
    *,
    memory: Storage,
    seed: int,
) -> ChosenRows:
    """Read the audio files' digests, and make items of rows.

    Parameters
    ----------
    rows
        Of the unified dataset, with absolute paths.
    failures, notes
        What is known of others already.
    memory
        Where digests are remembered.
    seed
        Of the splits of rows that have none.
    """
    digests = Digests(SOURCE, memory, versions={})
    found = digests.of(dict.fromkeys(os.path.normpath(row["audio_path"]) for row in rows))
    digests.save()
    usable: list[Row] = []
    item_ids: list[str] = []
    failed = list(failures)
    for row in rows:
        file = found[os.path.normpath(row["audio_path"])]
        if isinstance(file, TrackError):
            failed.append(
                failure(
                    row["id"],
                    row["audio_path"],
                    "audio",
                    file.reason,
                    file.message,
                    in_dataset=False,
                )
            )
            continue
        usable.append(row)
        item_ids.append(identity(file, row["start_seconds"], row["end_seconds"]))
    files = {row["id"]: found[os.path.normpath(row["audio_path"])] for row in usable}
    splits = assign_splits(usable, {name: str(file) for name, file in files.items()}, seed)
    return ChosenRows(
        dataset=fingerprint(rows),
        rows=[
            row | {"split": name, "group": group}
            for row, name, group in zip(usable, splits.splits, splits.groups, strict=True)
        ],
        item_ids=item_ids,
        items=_items(usable, item_ids),
        failures=failed,
        splits=splits,
        notes=notes,
    )


def _items(rows: Sequence[Row], item_ids: Sequence[str]) -> list[Item]:
    first: dict[str, Row] = {}
    captions: dict[str, dict[str, None]] = {}
    for row, item_id in zip(rows, item_ids, strict=True):
        first.setdefault(item_id, row)
        captions.setdefault(item_id, {}).update(dict.fromkeys(captions_of(row)))
    return [
        Item(
            item_id,
            os.path.normpath(row["audio_path"]),
            start_seconds=row["start_seconds"],
            end_seconds=row["end_seconds"],
            captions=tuple(captions[item_id]),
        )
        for item_id, row in first.items()
    ]
