"""An entry of a zip archive's table of contents, judged before anything is decompressed."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from stat import S_ISLNK
from zipfile import ZipInfo

from tasks import audio
from tasks.corpora.archives.zip_member import METHODS, Member, MemberError

ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"}
)
LEFT_BEHIND = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""What systems leave behind, as are files that start with ``._`` and hold attributes of others."""
MACOS_FOLDER = "__MACOSX"

IS_ENCRYPTED = 0x1
# APPNOTE.TXT 4.4.2: the system that an entry's attributes are of; 3 is Unix.
MADE_ON_UNIX = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may ask for.

    Attributes
    ----------
    members
        Entries of the archive, of any kind.
    directory_bytes
        Its table of contents, which is read whole.
    member_bytes, total_bytes
        One member and all audio, decompressed.
    ratio, free_bytes
        A member of more than `free_bytes` may not be shrunk by more than `ratio`.
    """

    members: int = 10_000
    directory_bytes: int = 4 * 2**20
    member_bytes: int = 4 * 2**30
    total_bytes: int = 16 * 2**30
    ratio: float = 100.0
    free_bytes: int = 64 * 2**20


LIMITS = Limits()


def as_member(entry: ZipInfo, name: str, seen: set[str], limits: Limits) -> Member | None:
    """Return an entry as a member, or None if it is nothing of interest.

    Names that are taken are added to `seen`.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    _check_place(entry, name)
    if is_left_behind(name) or MACOS_FOLDER in path.parts:
        return None
    suffix = path.suffix.lower()
    if any(part.startswith(".") for part in path.parts):
        if path.name.lower().endswith(tuple(audio.EXTENSIONS)):
            raise MemberError("hidden-file", "is hidden by a dot in front: rename it")
        return None
    if suffix in ARCHIVE_SUFFIXES:
        raise MemberError(
            "nested-archive", "is an archive in the archive, which is not opened: unpack it first"
        )
    if suffix not in audio.EXTENSIONS:
        return None
    key = unicodedata.normalize("NFC", str(path)).casefold()
    if key in seen:
        raise MemberError("duplicate-name", "has the name of an earlier member, which counts")
    seen.add(key)
    _check_readable(entry)
    if entry.file_size == 0:
        raise MemberError("empty", "is an empty file")
    check_size(entry.file_size, entry.compress_size, limits)
    return _member(entry, str(path))


def plain_member(entry: ZipInfo, name: str, limits: Limits) -> Member:
    """Return an entry as a member, whatever it is.

    Raises
    ------
    MemberError
        If it cannot be read, or would expand to more than is allowed.
    """
    _check_place(entry, name)
    _check_readable(entry)
    check_size(entry.file_size, entry.compress_size, limits)
    return _member(entry, name)


def _member(entry: ZipInfo, path: str) -> Member:
    return Member(
        path,
        entry.file_size,
        entry.compress_size,
        entry.CRC,
        entry.compress_type,
        entry.header_offset,
    )


def _check_readable(entry: ZipInfo) -> None:
    if entry.flag_bits & IS_ENCRYPTED:
        raise MemberError("encrypted-member", "is encrypted: unpack it with its password")
    if entry.compress_type not in METHODS:
        raise MemberError(
            "unsupported-compression",
            f"is compressed by method {entry.compress_type}: pack it anew with deflate",
        )


def _check_place(entry: ZipInfo, name: str) -> None:
    check_name(name)
    if entry.create_system == MADE_ON_UNIX and S_ISLNK(entry.external_attr >> 16):
        raise MemberError("symlink", "is a symbolic link")


def check_name(name: str) -> None:
    """Refuse the name of a member that lies outside of its archive, be it audio or not.

    Raises
    ------
    MemberError
        If it does.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or re.match("[A-Za-z]:", name):
        raise MemberError("absolute-path", "has an absolute path")
    if ".." in path.parts:
        raise MemberError("path-escape", "lies outside of the archive")
    if "\0" in name:
        raise MemberError("bad-name", "has a NUL in its name")


def check_size(size_bytes: int, compressed_bytes: int | None, limits: Limits) -> None:
    """Refuse a member that would expand to more than is allowed.

    Parameters
    ----------
    size_bytes, compressed_bytes
        As the archive claims; None where members are compressed together.
    limits
        What is allowed.

    Raises
    ------
    MemberError
        If it would.
    """
    if size_bytes > limits.member_bytes:
        raise MemberError(
            "archive-bomb",
            f"would expand to {size_text(size_bytes)}, more than the "
            f"{size_text(limits.member_bytes)} that are allowed",
        )
    if compressed_bytes is None or size_bytes <= limits.free_bytes:
        return
    if size_bytes > limits.ratio * compressed_bytes:
        ratio = size_bytes / max(compressed_bytes, 1)
        raise MemberError(
            "archive-bomb",
            f"would expand {ratio:,.0f} times, to {size_text(size_bytes)}; music does not",
        )


def is_left_behind(name: str) -> bool:
    """Return whether an entry is a folder, or a file that a system has left behind."""
    path = PurePosixPath(name.replace("\\", "/"))
    return (
        name.endswith(("/", "\\")) or path.name.startswith("._") or path.name.lower() in LEFT_BEHIND
    )


def size_text(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"
