"""Which songs a folder holds: by content, each known by the digest of its bytes."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage, StorageError
from tasks import audio
from tasks.audio import printable
from tasks.step import Track, TrackError, digest

ShardBy = Literal["hash", "alphabetical", "directory"]

READ_THREADS = 4
LYRICS_SUFFIXES = (".lrc", ".txt")
DIGESTS = "digests.parquet"
_DIGESTS_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),  # a file's name need not be UTF-8
        ("size_bytes", pa.int64()),
        ("version", pa.string()),
        ("digest", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that was expected to be a song and is not."""

    path: str
    reason: str
    message: str


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

    tracks: list[Track]
    duplicates: dict[str, str]
    failures: list[FileFailure]


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a folder's files, the same on every machine."""

    index: int
    total: int
    by: ShardBy

    def select(self, paths: Sequence[str]) -> list[str]:
        """The shard's own of all `paths`.

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
    checkpoints: Storage | None,
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
    checkpoints
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
    paths = sorted(_foreign(names, source, own), key=printable)
    sidecars = _sidecars(paths)
    candidates = _candidates(source, paths)
    if shard is not None:
        candidates = shard.select(candidates)
    candidates = candidates[:max_tracks]
    digests = _Digests(source, checkpoints, versions)
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
                Track(
                    track_id=track_id,
                    path=path,
                    lyrics_path=sidecar if readable else None,
                    lyrics_digest=lyrics_digest if isinstance(lyrics_digest, str) else None,
                    metadata=metadata(path),
                )
            )
    return result


def _foreign(paths: Sequence[str], source: Storage, own: Sequence[Storage]) -> list[str]:
    """Paths that lie in none of the places in `own`."""
    if not source.is_local:
        root = f"{source.address.rstrip('/')}/"
        prefixes = [place.address.rstrip("/").removeprefix(root) for place in own]
    else:
        root = os.path.realpath(source.address)
        prefixes = [
            os.path.relpath(os.path.realpath(place.address), root)
            for place in own
            if place.is_local
        ]
    inside = tuple(f"{prefix}/" for prefix in prefixes)
    return [path for path in paths if not path.startswith(inside)]


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


class _Digests:
    """Digests of files, remembered by path and version.

    Parameters
    ----------
    source
        Where the files are.
    checkpoints
        Where to remember them; None for nowhere.
    versions
        Versions of the files, where they are known already.
    """

    def __init__(
        self,
        source: Storage,
        checkpoints: Storage | None,
        versions: Mapping[str, tuple[int, str]],
    ) -> None:
        self._source = source
        self._checkpoints = checkpoints
        self._versions = versions
        self._known = _read_digests(checkpoints) if checkpoints else {}
        self._before = len(self._known)

    def of(self, paths: Iterable[str]) -> dict[str, str | TrackError]:
        """Digest of each file, or why there is none."""
        wanted = list(paths)
        with ThreadPoolExecutor(READ_THREADS) as pool:
            return dict(zip(wanted, pool.map(self._of, wanted), strict=True))

    def save(self) -> None:
        """Remember what is known now, if it is more than before."""
        if not self._checkpoints or len(self._known) == self._before:
            return
        paths, sizes, versions = zip(*self._known, strict=True)
        columns = [list(map(os.fsencode, paths)), sizes, versions, list(self._known.values())]
        table = pa.Table.from_arrays(columns, schema=_DIGESTS_SCHEMA)
        with self._checkpoints.writing(DIGESTS) as target:
            pq.write_table(table, target)

    def _of(self, path: str) -> str | TrackError:
        name = printable(path)
        try:
            size_bytes, version = self._version(path)
            if size_bytes == 0:
                return TrackError("empty", f"{name} is an empty file.")
            key = (path, size_bytes, version)
            if key not in self._known:
                self._known[key] = _digest_of_file(self._source, path)
            return self._known[key]
        except FileNotFoundError:
            return TrackError("missing", f"{name} is not there any more.")
        except OSError as error:
            if isinstance(error, StorageError) and not isinstance(error, PermissionError):
                # The store failed, and would fail for every file.
                raise
            reason = error.strerror or "access denied"
            return TrackError("unreadable", f"{name} cannot be read: {reason}.")

    def _version(self, path: str) -> tuple[int, str]:
        if path in self._versions:
            return self._versions[path]
        status = os.stat(Path(self._source.address, path))
        return status.st_size, str(status.st_mtime_ns)


def _read_digests(checkpoints: Storage) -> dict[tuple[str, int, str], str]:
    """Digest by path, size in bytes and version, as far as remembered."""
    try:
        with checkpoints.reading(DIGESTS) as path:
            table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        return {}
    if not table.schema.equals(_DIGESTS_SCHEMA):
        return {}
    paths, sizes, versions, digests = (column.to_pylist() for column in table.columns)
    return dict(
        zip(zip(map(os.fsdecode, paths), sizes, versions, strict=True), digests, strict=True)
    )


def _digest_of_file(source: Storage, path: str) -> str:
    hashed = blake2b(digest_size=16)
    for piece in source.pieces(path):
        hashed.update(piece)
    return hashed.hexdigest()
