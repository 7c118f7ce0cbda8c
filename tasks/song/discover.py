"""Which songs a folder holds: by content, each known by the digest of its bytes."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal

from blocks.storage import Storage
from tasks import audio
from tasks.dataset.digests import READ_THREADS, Digests, FileFailure, without_own
from tasks.song.sidecars import Sidecars, chosen
from tasks.song.track import SongTrack
from tasks.step import TrackError, digest
from tasks.text import printable

ShardBy = Literal["hash", "alphabetical", "directory"]


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
    sidecars = Sidecars(paths)
    candidates = _candidates(source, paths)
    if shard is not None:
        candidates = shard.select(candidates)
    candidates = candidates[:max_tracks]
    digests = Digests(source, memory, versions)
    lyrics = {path: sidecars.of(path) for path in candidates}
    found = digests.of(dict.fromkeys([*candidates, *chain.from_iterable(lyrics.values())]))
    digests.save()
    # What lies beside a copy of a song is of the song as well.
    of_song: dict[str | TrackError, list[str]] = defaultdict(list)
    for path in candidates:
        of_song[found[path]] += lyrics[path]

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
            sidecar, lyrics_digest, others = chosen(of_song[track_id], found)
            result.tracks.append(
                SongTrack(
                    track_id=track_id,
                    path=path,
                    lyrics_path=sidecar,
                    lyrics_digest=lyrics_digest,
                    other_lyrics_paths=others,
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
