"""Which songs a folder holds: by content, each known by the digest of its bytes."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from blocks.storage import Storage
from tasks.dataset.audio_files import looks_of
from tasks.dataset.digests import Digests, FileFailure, without_own
from tasks.dataset.passed_over import count_by_suffix
from tasks.song.lyric_files.sidecars import Sidecars, chosen
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
    passed_over
        How many files are neither songs nor lyrics or tables of songs, by suffix, the most
        frequent first.
    videos
        How many of the songs' files hold moving pictures; in a bucket, how many are named so.
    sizes_bytes
        Size of each track's file, by the track's id.
    """

    tracks: list[SongTrack]
    duplicates: dict[str, str]
    failures: list[FileFailure]
    passed_over: dict[str, int] = field(default_factory=dict)
    videos: int = 0
    sizes_bytes: dict[str, int] = field(default_factory=dict)


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
    besides: Collection[Path] = (),
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
    besides
        Files and folders with what is known of the songs, or was made of them: they are not
        counted among what is passed over.
    """
    # A listing of a bucket tells what each object is like; asking again would be billed.
    versions = {} if source.is_local else source.versions()
    names = source.files() if source.is_local else list(versions)
    # By what the dataset will call them, so that shards merge in the order of the whole.
    paths = sorted(without_own(names, source, own), key=printable)
    sidecars = Sidecars(paths)
    looks = looks_of(source, paths)
    candidates = [path for path in paths if looks[path].candidate]
    known = {*candidates, *chain.from_iterable(map(sidecars.of, candidates))}
    rest = _not_besides(source, [path for path in paths if path not in known], besides)
    if shard is not None:
        candidates, rest = shard.select(candidates), shard.select(rest)
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
    result = Discovery(
        [],
        {},
        [],
        passed_over=count_by_suffix(rest),
        videos=sum(looks[path].video for path in candidates),
    )
    for path in candidates:
        track_id = found[path]
        if isinstance(track_id, TrackError):
            result.failures.append(FileFailure(path, track_id.reason, track_id.message))
        elif track_id in first:
            result.duplicates[path] = first[track_id]
        else:
            first[track_id] = path
            result.sizes_bytes[track_id] = digests.sizes_bytes[path]
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


def _not_besides(source: Storage, paths: Sequence[str], besides: Collection[Path]) -> list[str]:
    """Return the paths that are none of the files of `besides`, nor below its folders."""
    if not source.is_local:
        return list(paths)
    root = os.path.realpath(source.address)
    known = [os.path.relpath(os.path.realpath(path), root) for path in besides]
    below = tuple(f"{path}/" for path in known)
    return [path for path in paths if path not in known and not path.startswith(below)]
