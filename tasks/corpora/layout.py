"""What a layout of stems is, and what several of them need."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from blocks.storage import Storage, StorageError
from tasks import audio
from tasks.corpora.song import Song
from tasks.dataset.digests import READ_THREADS, FileFailure
from tasks.text import printable

ROOT = "."
"""Path of the source itself, when that is a song."""

MAX_METADATA_BYTES = 2**20
"""Those of MoisesDB and Slakh2100 have some kilobytes."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a layout recognises among the files below a source.

    Attributes
    ----------
    songs
        Its songs, yet without `track_id` and `layout`.
    paths
        Every file that belongs to the layout, of use or not; no other layout gets it.
    failures
        Files that cannot be used.
    """

    songs: list[Song] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    failures: list[FileFailure] = field(default_factory=list)


class Layout(Protocol):
    """One way in which datasets arrange stems."""

    def __call__(self, source: Storage, paths: Sequence[str]) -> Claim:
        """Claim what is in this layout among the files `paths`, which no other has claimed."""
        ...


class MetadataError(ValueError):
    """A metadata file that cannot be used; the message ends a sentence on it."""


def is_audio(path: str) -> bool:
    """Return whether a file is named like audio."""
    return PurePosixPath(path).suffix.lower() in audio.EXTENSIONS


def file_name(path: str) -> str:
    """Name of a file without folders and suffix, for people."""
    return printable(PurePosixPath(path).stem)


def folder_of(path: str) -> str:
    """Folder that a file lies in; `ROOT` if that is the source."""
    return str(PurePosixPath(path).parent)


def folder_name(source: Storage, folder: str) -> str:
    """Name of a folder, for people."""
    if folder != ROOT:
        return printable(PurePosixPath(folder).name)
    if source.is_local:
        return printable(Path(source.address).resolve().name)
    return source.address.rstrip("/").rpartition("/")[2]


def artist_and_title(name: str) -> tuple[str, str]:
    """Return what ``Artist - Title`` tells; without a dash the artist is the song itself."""
    artist, _, title = name.partition(" - ")
    return artist.strip() or name, title.strip() or name


def described(
    source: Storage,
    paths: Sequence[str],
    metadata: Iterable[str],
    parse: Callable[[bytes], Any],
    song_of: Callable[[str, Any, Sequence[str]], tuple[Song, list[FileFailure]]],
) -> Claim:
    """Claim folders of which a file of metadata tells what they hold.

    Parameters
    ----------
    source, paths
        As a layout gets them.
    metadata
        The files of metadata, one per folder.
    parse
        From the content of such a file to values; raises MetadataError.
    song_of
        From the folder, these values and the files below it to its song and what is wrong
        with files of it; raises MetadataError.
    """
    folders = {folder_of(path): path for path in metadata}
    inside = _below(paths, folders)
    claim = Claim(paths={path for below in inside.values() for path in below})
    with ThreadPoolExecutor(READ_THREADS) as pool:
        read = pool.map(lambda path: _read(source, path), folders.values())
        for (folder, path), content in zip(folders.items(), read, strict=True):
            if isinstance(content, FileFailure):
                claim.failures.append(content)
                continue
            try:
                song, failures = song_of(folder, parse(content), inside[folder])
            except MetadataError as error:
                message = f"{printable(path)} cannot be used: it {error}."
                claim.failures.append(FileFailure(path, "bad-metadata", message))
                continue
            claim.songs.append(song)
            claim.failures.extend(failures)
    return claim


def not_there(path: str, metadata: str) -> FileFailure:
    """Failure of a file that the metadata names and that is not there."""
    message = f"{printable(path)} is named in {metadata} and not there: get the dataset again."
    return FileFailure(path, "missing", message)


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return the value, if it is a mapping; else raise MetadataError."""
    if not isinstance(value, dict):
        raise MetadataError(f"gives no mapping for {what}")
    return value


def text(value: Any, what: str) -> str:
    """Return the value, if it is text that can be stored, or empty if there is none."""
    if value is None:
        return ""
    try:
        if isinstance(value, str):
            value.encode()
            return value.strip()
    except UnicodeEncodeError:
        pass
    raise MetadataError(f"gives no text for {what}")


def _below(paths: Sequence[str], folders: Iterable[str]) -> dict[str, list[str]]:
    """Files below each of the folders; of nested folders the outermost counts."""
    below: dict[str, list[str]] = {folder: [] for folder in folders}
    for path in paths:
        for folder in reversed(PurePosixPath(path).parents):
            if str(folder) in below:
                below[str(folder)].append(path)
                break
    return below


def _read(source: Storage, path: str) -> bytes | FileFailure:
    content = b""
    try:
        for piece in source.pieces(path):
            content += piece
            if len(content) > MAX_METADATA_BYTES:
                message = f"{printable(path)} cannot be used: it is larger than 1 MiB."
                return FileFailure(path, "bad-metadata", message)
    except OSError as error:
        if isinstance(error, StorageError) and not isinstance(error, PermissionError):
            # The store failed, and would fail for every file.
            raise
        reason = error.strerror or "access denied"
        return FileFailure(path, "unreadable", f"{printable(path)} cannot be read: {reason}.")
    return content
