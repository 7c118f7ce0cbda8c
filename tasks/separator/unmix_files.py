"""Which files are to be separated, what each is called, and where its stems go."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.dataset import placing
from tasks.dataset.audio_files import looks_of
from tasks.dataset.digests import Digests, FileFailure, without_own
from tasks.dataset.passed_over import count_by_suffix
from tasks.step import Row, Track
from tasks.text import printable
from tasks.track import TrackError

EVERYWHERE = Storage("/")
"""Where files of this machine lie: their paths are absolute."""


@dataclass(frozen=True)
class Files:
    """What there is to separate.

    Attributes
    ----------
    tracks
        One per distinct content, in the order of their paths.
    names
        For each track, by its id, what its stems' folders are called: one for each copy of it.
    failures
        Files that cannot be read.
    passed_over
        How many other files the folders hold, by suffix.
    """

    tracks: list[Track]
    names: dict[str, list[str]]
    failures: list[FileFailure] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)


def source_of(places: Sequence[str]) -> Storage:
    """Return where all of some files and folders lie.

    Raises
    ------
    ValueError
        If they lie in a bucket and are more than one place, or somewhere else too.
    """
    remote = [place for place in places if not Storage(place).is_local]
    if not remote:
        return EVERYWHERE
    if len(places) > 1:
        raise ValueError(
            f"{remote[0]} has to be the only place that is given: a bucket is separated by itself"
        )
    parent, _, name = remote[0].rpartition("/")
    is_below = parent != "s3:/" and bool(name)
    return Storage(parent if is_below and Storage(parent).exists(name) else remote[0])


def find(places: Sequence[str], memory: Storage, *, own: Sequence[Storage]) -> Files:
    """Find the files to separate.

    Parameters
    ----------
    places
        Files, which are taken whatever they are called, and folders, which are looked through;
        or one prefix or object of a bucket.
    memory
        Where the digests of files are remembered.
    own
        Places that are written to: what lies there is not separated.
    """
    source = source_of(places)
    if source.is_local:
        versions: dict[str, tuple[int, str]] = {}
        paths, rest = _here(places, own)
    else:
        versions = source.versions()
        if source.address == Storage(places[0]).address:
            paths, rest = _told_apart(source, without_own(list(versions), source, own))
        else:
            paths, rest = [places[0].rpartition("/")[2]], []
    digests = Digests(source, memory, versions)
    found = digests.of(paths)
    digests.save()
    files = Files([], {}, passed_over=count_by_suffix(rest))
    for path, name in zip(paths, placing.names_of(paths), strict=True):
        track_id = found[path]
        if isinstance(track_id, TrackError):
            files.failures.append(FileFailure(path, track_id.reason, track_id.message))
            continue
        if track_id not in files.names:
            files.tracks.append(Track(track_id, path))
        files.names.setdefault(track_id, []).append(name)
    return files


def _here(places: Sequence[str], own: Sequence[Storage]) -> tuple[list[str], list[str]]:
    """Return the files to take of this machine, and those that are passed over."""
    taken: dict[str, None] = {}
    rest: dict[str, None] = {}
    for place in places:
        path = os.path.abspath(place)
        if not os.path.isdir(path):
            taken[path] = None
            continue
        folder = Storage(path)
        inside = sorted(without_own(folder.files(), folder, own), key=printable)
        audio, others = _told_apart(folder, inside)
        taken.update(dict.fromkeys(os.path.join(path, name) for name in audio))
        rest.update(dict.fromkeys(os.path.join(path, name) for name in others))
    return list(taken), [path for path in rest if path not in taken]


def _told_apart(source: Storage, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    looks = looks_of(source, paths)
    return (
        [path for path in paths if looks[path].candidate],
        [path for path in paths if not looks[path].candidate],
    )


def place(row: Row, name: str, stored: Storage, output: Storage) -> None:
    """Put the stems of a track where people look for them: ``<name>/<stem>.<format>``."""
    for path in row["stem_paths"]:
        placing.place(stored, path, output, f"{name}/{PurePosixPath(path).name}")
