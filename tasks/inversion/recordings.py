"""Which recordings are examples of which concept: of a folder per concept, or of a dataset."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from blocks.storage import Storage
from models.inversion.tokens import check_concept
from tasks.dataset.audio_files import looks_of
from tasks.dataset.digests import Digests
from tasks.dataset.failures import Failure, failure
from tasks.dataset.passed_over import count_by_suffix
from tasks.dataset.placing import names_of
from tasks.dataset.query import QueryError, Tables
from tasks.embed.items import SOURCE, Item, identity
from tasks.inversion.known import MEASURED, known_of
from tasks.text import printable
from tasks.track import TrackError

Parts = Literal["tracks", "segments"]

DISCOVER = "discover"
"""What failures call the search for recordings."""


@dataclass(frozen=True)
class Recording:
    """An example of a concept.

    Attributes
    ----------
    concept
        The concept.
    item
        The recording, or the part of one.
    song_id
        Identity of the whole recording.
    name
        What files made of it are called: its own within the concept, unless it is a part of the
        same song.
    known
        What a dataset says of it, as :func:`tasks.inversion.known.known_of` has it.
    """

    concept: str
    item: Item
    song_id: str
    name: str
    known: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Recordings:
    """All examples of a run.

    Attributes
    ----------
    recordings
        By concept, then in the order of their paths.
    concepts
        Names of all concepts that were asked for, in order; of some there may be nothing.
    failures
        What cannot be used.
    copies
        For each concept, how many files hold the same as another of them.
    passed_over
        How many files are none, by suffix.
    """

    recordings: list[Recording] = field(default_factory=list)
    concepts: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """What a run works on: each recording once, whatever concepts it is an example of."""
        return list({each.item.track_id: each.item for each in self.recordings}.values())


@dataclass(frozen=True)
class Asked:
    """A concept that is made of songs of a dataset.

    Attributes
    ----------
    concept
        Its name.
    where
        SQL expression that is true of its rows; None for all.
    parts
        Whether rows are whole tracks, or segments.
    """

    concept: str
    where: str | None
    parts: Parts


def source_of(folder: str | None) -> Storage:
    """Return where the paths of recordings start: a bucket, or this machine's root."""
    return SOURCE if folder is None or Storage(folder).is_local else Storage(folder)


def concept_folders(folder: str) -> list[str]:
    """Return the names of the concepts of a folder, in order.

    Raises
    ------
    ConceptError
        If one of them can be no word of a prompt.
    """
    place = Storage(folder)
    if place.is_local:
        with os.scandir(folder) as entries:
            names = {each.name for each in entries if each.is_dir()}
    else:
        names = {path.partition("/")[0] for path in place.files() if "/" in path}
    shown = sorted(printable(name) for name in names if not name.startswith("."))
    return [check_concept(name) for name in shown]


def find(folder: str, memory: Storage) -> Recordings:
    """Find the recordings of a folder that holds a folder for each concept.

    Folders within a concept's are looked through as well.

    Parameters
    ----------
    folder
        The folder, or ``s3://bucket/prefix``.
    memory
        Where the digests of files are remembered.
    """
    place, source = Storage(folder).absolute(), source_of(folder)
    versions = {} if place.is_local else place.versions()
    paths = sorted(place.files() if place.is_local else versions, key=printable)
    looks = looks_of(place, paths)
    audio = [path for path in paths if looks[path].candidate]
    found = Recordings(
        concepts=concept_folders(folder),
        passed_over=count_by_suffix(path for path in paths if not looks[path].candidate),
    )
    root = f"{place.address.rstrip('/')}/" if place.is_local else ""
    for concept in found.concepts:
        below = [path for path in audio if path.startswith(f"{concept}/")]
        if not below:
            found.failures.append(
                _failure(
                    f"{folder}/{concept}",
                    "empty-concept",
                    f"{folder}/{concept} holds no audio: put recordings of the concept into it, "
                    "or remove it.",
                )
            )
    of_concepts = [path for path in audio if "/" in path]
    found.failures += [
        _failure(
            f"{folder}/{path}",
            "no-concept",
            f"{printable(path)} lies beside the folders of concepts: move it into the one whose "
            "example it is.",
        )
        for path in audio
        if "/" not in path
    ]
    digests = Digests(source, memory, versions)
    known = digests.of(f"{root}{path}" for path in of_concepts)
    digests.save()
    for concept in found.concepts:
        below = [path for path in of_concepts if path.startswith(f"{concept}/")]
        names = names_of([printable(path.partition("/")[2]) for path in below])
        seen: set[str] = set()
        for path, name in zip(below, names, strict=True):
            file = known[f"{root}{path}"]
            if isinstance(file, TrackError):
                found.failures.append(_failure(f"{folder}/{path}", file.reason, file.message))
            elif file in seen:
                found.copies[concept] += 1
            else:
                seen.add(file)
                item = Item(file, f"{root}{path}")
                found.recordings.append(Recording(concept, item, file, name))
    return found


def add(found: Recordings, asked: Asked, tables: Tables, memory: Storage) -> None:
    """Add a concept that is made of songs of a dataset.

    Parameters
    ----------
    found
        What is added to.
    asked
        The concept, and which songs.
    tables
        Of the dataset.
    memory
        Where the digests of files are remembered.
    """
    rows = chosen_rows(asked, tables)
    paths = [os.path.abspath(row["file_path"]) for row in rows]
    digests = Digests(SOURCE, memory, {})
    known = digests.of(dict.fromkeys(paths))
    digests.save()
    distinct = list(dict.fromkeys(paths))
    names = dict(zip(distinct, names_of([printable(path) for path in distinct]), strict=True))
    found.concepts.append(asked.concept)
    for row, path in zip(rows, paths, strict=True):
        file = known[path]
        if isinstance(file, TrackError):
            found.failures.append(_failure(path, file.reason, file.message))
            continue
        if file != row["track_id"]:
            found.failures.append(
                _failure(
                    path,
                    "changed",
                    f"{printable(path)} is not the file any more that the dataset was built of: "
                    "build it again.",
                )
            )
            continue
        start, end = row.get("start_time"), row.get("end_time")
        item = Item(identity(file, start, end), path, start_seconds=start, end_seconds=end)
        found.recordings.append(Recording(asked.concept, item, file, names[path], known_of(row)))


def chosen_rows(asked: Asked, tables: Tables) -> list[dict[str, Any]]:
    """Return the rows of a dataset that a concept is made of, those of segments with their track's.

    Raises
    ------
    QueryError
        If the condition cannot be answered, holds of no row, or the dataset is not one of songs.
    """
    if "tracks" not in tables.names or asked.parts not in tables.names:
        raise QueryError(
            f"The dataset holds {' and '.join(tables.names)}, and a concept is made of "
            f"{asked.parts} that build_dataset.py made."
        )
    wanted = ("track_id", "file_path", *MEASURED)
    if asked.parts == "tracks":
        rows = tables.rows(asked.where, columns=wanted)
    else:
        places = ("track_id", "start_time", "end_time")
        parts = tables.rows(asked.where, table="segments", columns=places)
        ids = {row["track_id"] for row in parts}
        songs = {
            row["track_id"]: row for row in tables.rows(columns=wanted) if row["track_id"] in ids
        }
        rows = [songs[part["track_id"]] | part for part in parts]
    if not rows:
        raise QueryError(f"None of the {asked.parts} is as {asked.where} asks.")
    return rows


def _failure(path: str, reason: str, message: str) -> Failure:
    return failure(None, path, DISCOVER, reason, message, in_dataset=False)
