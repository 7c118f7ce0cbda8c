"""Which songs a folder holds: by content, each known by the digest of its bytes."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from blocks.storage import Storage
from tasks import audio
from tasks.dataset.digests import READ_THREADS, Digests, FileFailure, without_own
from tasks.song.track import SongTrack
from tasks.step import TrackError, digest
from tasks.text import printable

ShardBy = Literal["hash", "alphabetical", "directory"]

LYRICS_SUFFIXES = (".lrc", ".txt")


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a folder holds.

    Attributes
    ----------
    tracks
        One per distinct content, in the order of their paths.
    duplicates
        Path of a further copy -> path of the track that it is a copy of.
    failures
        Files named like audio that hold none, or cannot be read.
    """

    tracks: list[SongTrack]
    duplicates: dict[str, str]
    failures: list[FileFailure]


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a folder's files, the same on every machine."""

    index: int
    total: int
    by: ShardBy

    def select(self, paths: Sequence[str]) -> list[str]:
        """Return the shard's own of all `paths`.

        ``hash`` and ``directory`` place a file by a digest of its path or its
        folder, so that new files move no others; ``alphabetical`` cuts the
        sorted list into runs of equal length.
        """
        if self.by == "alphabetical":
            count = len(paths)
            start = self.index * count // self.total
            return list(paths[start : (self.index + 1) * count // self.total])
        key: Callable[[str], str] = (
            (lambda path: path) if self.by == "hash" else (lambda path: os.path.dirname(path))
        )
        return [
            path
            for path in paths
            if int(digest(os.fsencode(key(path))), 16) % self.total == self.index
        ]


def discover(
    source: Storage,
    memory: Storage | None,
    *,
    own: Sequence[Storage] = (),
    metadata: Callable[[str], dict[str, str]],
    max_tracks: int | None = None,
    shard: Shard | None = None,
) -> Discovery:
    """Find the songs below `source`.

    Parameters
    ----------
    source
        Folder or bucket to look through, recursively.
    memory
        Where the digests of files are remembered, so that an unchanged file is
        not read again; None to remember nothing.
    own
        Places that this program writes to: what lies there is no source.
    metadata
        From a file's path to what is known of the song.
    max_tracks
        Stop after so many files.
    shard
        Take only this part of the files.
    """
    # A listing of a bucket tells what each object is like; asking again would be billed.
    versions = {} if source.is_local else source.versions()
    names = source.files() if source.is_local else list(versions)
    # By what the dataset will call them, so that shards merge in the order of the whole.
    paths = sorted(without_own(names, source, own), key=printable)
    sidecars = _sidecars(paths)
    candidates = _candidates(source, paths)
    if shard is not None:
        candidates = shard.select(candidates)
    candidates = candidates[:max_tracks]
    digests = Digests(source, memory, versions)
    lyrics = {path: sidecars.get(os.path.splitext(path)[0].lower()) for path in candidates}
    found = digests.of([*candidates, *(path for path in lyrics.values() if path)])
    digests.save()

    first: dict[str, str] = {}
    result = Discovery([], {}, [])
    for path in candidates:
        track_id = found[path]
        if isinstance(track_id, TrackError):
            result.failures.append(FileFailure(path, track_id.reason, track_id.message))
        elif track_id in first:
            result.duplicates[path] = first[track_id]
        else:
            first[track_id] = path
            sidecar = lyrics[path]
            lyrics_digest = found[sidecar] if sidecar else None
            readable = isinstance(lyrics_digest, str)
            result.tracks.append(
                SongTrack(
                    track_id=track_id,
                    path=path,
                    lyrics_path=sidecar if readable else None,
                    lyrics_digest=lyrics_digest if isinstance(lyrics_digest, str) else None,
                    metadata=metadata(path),
                )
            )
    return result


def _candidates(source: Storage, paths: Sequence[str]) -> list[str]:
    """Files named like audio, and files that hold audio under another name."""

    def is_candidate(path: str) -> bool:
        if PurePosixPath(path).suffix.lower() in audio.EXTENSIONS:
            return True
        # In a bucket every look at a file is a request that is billed.
        return source.is_local and audio.sniff(_head(source, path)) is not None

    with ThreadPoolExecutor(READ_THREADS) as pool:
        flags = pool.map(is_candidate, paths)
        return [path for path, flag in zip(paths, flags, strict=True) if flag]


def _head(source: Storage, path: str) -> bytes:
    try:
        with open(Path(source.address, path), "rb") as file:
            return file.read(audio.SNIFF_BYTES)
    except OSError:
        return b""


def _sidecars(paths: Iterable[str]) -> dict[str, str]:
    """Lyrics files by path without suffix in lower case; the richer format wins."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        stem, suffix = os.path.splitext(path)
        if suffix.lower() in LYRICS_SUFFIXES:
            found[stem.lower()].setdefault(suffix.lower(), path)
    return {
        stem: next(by_suffix[suffix] for suffix in LYRICS_SUFFIXES if suffix in by_suffix)
        for stem, by_suffix in found.items()
    }
