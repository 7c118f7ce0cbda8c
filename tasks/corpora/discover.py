"""Which songs with stems a source holds, in whatever layouts, each known by its content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from blocks.storage import Storage
from tasks.corpora.archives.zip_entry import is_left_behind
from tasks.corpora.layout import ROOT, Layout
from tasks.corpora.layouts import LAYOUTS
from tasks.corpora.loose_songs import regrouped
from tasks.corpora.song import Song
from tasks.corpora.song_archives import PERHAPS_A_PART
from tasks.dataset.digests import Digests, FileFailure, without_own
from tasks.step import digest
from tasks.text import printable
from tasks.track import TrackError

MIN_STEMS = 2
"""A target and something to play along with."""


FOLDERS = "folders"
"""The layout that knows nothing of stems but that they are audio: names tell the rest."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a source holds.

    Attributes
    ----------
    songs
        One per distinct content, in the order of their paths.
    duplicates
        Path of a further copy -> path of the song that it is a copy of.
    failures
        Files and folders that cannot be used, in the order of their paths.
    copies
        The further copies themselves.
    passed_over
        Files that no layout knows, nor are audio or archives, in the order of their paths.
    """

    songs: list[Song]
    duplicates: dict[str, str]
    failures: list[FileFailure]
    copies: list[Song] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def discover(
    source: Storage,
    memory: Storage | None,
    *,
    own: Sequence[Storage] = (),
    max_songs: int | None = None,
) -> Discovery:
    """Find the songs below `source`.

    Parameters
    ----------
    source
        Folder or bucket to look through, recursively; it may itself be one song.
    memory
        Where the digests of files are remembered, so that an unchanged file is not read
        again; None to remember nothing.
    own
        Places that this program writes to: what lies there is no source.
    max_songs
        Stop after so many songs.
    """
    # A listing of a bucket tells what each object is like; asking again would be billed.
    versions = {} if source.is_local else source.versions()
    names = source.files() if source.is_local else list(versions)
    found_songs, failures, passed_over = candidates(
        source, sorted(without_own(names, source, own), key=printable)
    )
    found_songs = found_songs[:max_songs]
    digests = Digests(source, memory, versions)
    found = digests.of({path: None for song in found_songs for path in song.files})
    digests.save()

    result = Discovery([], {}, failures, passed_over=passed_over)
    first: dict[str, str] = {}
    for candidate in found_songs:
        song = _identified(candidate, found, failures)
        if song is None:
            continue
        if song.track_id in first:
            result.duplicates[song.path] = first[song.track_id]
            result.copies.append(song)
        else:
            first[song.track_id] = song.path
            result.songs.append(song)
    copies = {*result.duplicates, *result.duplicates.values()}
    failures[:] = [
        each for each in failures if each.reason != PERHAPS_A_PART or each.path not in copies
    ]
    failures.sort(key=lambda failure: printable(failure.path))
    return result


def candidates(
    source: Storage, paths: Sequence[str], layouts: Mapping[str, Layout] = LAYOUTS
) -> tuple[list[Song], list[FileFailure], list[str]]:
    """Return what the layouts recognise, each of what those before it have left, and the rest."""
    songs: list[Song] = []
    failures: list[FileFailure] = []
    for name, find in layouts.items():
        claim = find(source, paths)
        found = regrouped(source, claim.songs) if name == FOLDERS else claim.songs
        songs += [replace(song, layout=name) for song in found]
        failures += claim.failures
        paths = [path for path in paths if path not in claim.paths]
    passed_over = [path for path in paths if not is_left_behind(path)]
    return sorted(songs, key=lambda song: printable(song.path)), failures, passed_over


def _identified(
    song: Song, digests: Mapping[str, str | TrackError], failures: list[FileFailure]
) -> Song | None:
    """Return the song of those stems that can be read; add to `failures` what cannot."""
    bad: set[str] = set()
    for path in song.files:
        if isinstance(error := digests[path], TrackError):
            bad.add(path)
            failures.append(FileFailure(path, error.reason, error.message))
    if song.archive:
        if bad:
            for path in set(song.files) - bad:
                message = f"{printable(path)} is part of an archive of which another is unreadable."
                failures.append(FileFailure(path, "missing-part", message))
            return None
        parts = [str(digests[path]) for path in song.files]
        track_id = parts[0] if len(parts) == 1 else digest(json.dumps(parts).encode())
        return replace(song, track_id=track_id)
    stems = sorted(
        (stem for stem in song.stems if stem.path not in bad),
        key=lambda stem: (stem.name, stem.path, stem.stream),
    )
    if len(stems) < MIN_STEMS:
        name = "The source" if song.path == ROOT else printable(song.path)
        message = f"{name} holds {'one' if stems else 'no'} usable stem; a song takes two."
        failures.append(FileFailure(song.path, "too-few-stems", message))
        return None
    if song.files == [song.path]:
        track_id = str(digests[song.path])
    else:
        content = sorted((stem.name, str(digests[stem.path])) for stem in stems)
        track_id = digest(json.dumps(content).encode())
    return replace(song, track_id=track_id, stems=stems)
