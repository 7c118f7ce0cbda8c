"""Zip archives of stems, read without trusting them.

What an archive holds is judged before anything is decompressed, and nothing is written but
the one file that :func:`extract` is given: a name within an archive never becomes a path.

What a bomb is. Deflate shrinks digital silence by up to 1,032:1 (zlib's documentation), so
a ratio alone does not tell a bomb from a silent stem. What harms is size. An archive is
refused by the bytes that it would expand to, and a member when it is both large and
shrunk beyond what music allows: lossless coders save some 30 to 70 % of it, so that 100:1
takes more than 98 % of digital silence, which no dataset wants as a stem either. Four minutes
of silence at CD quality (42 MB) are below ``free_bytes``, and reported as silent later.
"""

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from blocks.storage import StorageError
from tasks import audio
from tasks.corpora.archives.zip_member import (
    BLOCK_BYTES,
    LOCAL_HEADER,
    METHODS,
    Member,
    MemberError,
    content,
)
from tasks.track import TrackError

ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"}
)
IGNORED_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What systems leave behind; names that start with a dot are ignored too."""

IS_ENCRYPTED = 0x1
NAME_IS_UTF8 = 0x800
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


@dataclass(frozen=True, slots=True)
class Problem:
    """Something within an archive that is not used, or not as it should be.

    ``"name-not-utf8"`` only informs: the member is used, under a name read as code page
    437, the format's own. Any other reason means that the member is left out.
    """

    path: str
    reason: str
    message: str


def members(archive: Path, limits: Limits = Limits()) -> tuple[list[Member], list[Problem]]:
    """Audio that a zip archive holds, and what is wrong with the rest.

    Returns
    -------
    tuple
        Members in the order of their names, each usable as far as its header tells; and
        problems, in the archive's order. Files that are neither audio nor archives, and
        what systems leave behind, are passed over in silence. Of members with one name
        (letter case and Unicode composition aside) the first counts.

    Raises
    ------
    TrackError
        ``"not-a-zip"``, ``"truncated"``, ``"corrupt"``, ``"too-many-files"``,
        ``"archive-bomb"`` or ``"name-not-utf8"``; if nothing can be used ``"no-audio"``,
        or the reason that all members share, of which ``"encrypted-member"`` becomes
        ``"encrypted"``.
    """
    with open(archive, "rb") as file:
        entries = _entries(archive, file, limits)
        found: list[Member] = []
        problems: list[Problem] = []
        seen: set[str] = set()
        for entry in entries:
            name, is_utf8 = _name(entry)
            try:
                member = _member(entry, name, seen, limits)
                if member is None:
                    continue
                _check_head(file, member)
            except MemberError as error:
                problems.append(_problem(name, error))
                continue
            found.append(member)
            if not is_utf8:
                said = f"The name of {member.path} is not UTF-8: read as code page 437."
                problems.append(Problem(member.path, "name-not-utf8", said))
    if not found:
        raise _nothing_usable(problems)
    total = sum(member.size_bytes for member in found)
    if total > limits.total_bytes:
        raise TrackError(
            "archive-bomb",
            f"The archive would expand to {_size(total)}, more than the "
            f"{_size(limits.total_bytes)} that are allowed.",
        )
    return sorted(found, key=lambda member: member.path), problems


def extract(archive: Path, member: Member, target: Path, limits: Limits = Limits()) -> None:
    """Decompress one member into a file, whole or not at all.

    Parameters
    ----------
    archive, member
        As :func:`members` found it.
    target
        File to write, which must not be there yet; it is gone again if the member is bad.
    limits
        Its `member_bytes` are counted as they come, whatever the header claims.

    Raises
    ------
    TrackError
        ``"archive-bomb"`` if there are more bytes than the header claims or the limits
        allow, ``"truncated"`` if the archive ends too early, ``"corrupt"`` if the content
        is damaged.
    FileExistsError
        If the target is there already.
    StorageError
        If the target cannot be written.
    """
    try:
        with open(archive, "rb") as file, _whole_or_gone(target) as output:
            for block in _verified(file, member, limits):
                _write(output, block, target)
    except MemberError as error:
        problem = _problem(member.path, error)
        raise TrackError(problem.reason, problem.message) from error


def _entries(archive: Path, file: BinaryIO, limits: Limits) -> list[ZipInfo]:
    """Read the archive's table of contents."""
    looks_like_zip = file.read(len(LOCAL_HEADER)) == LOCAL_HEADER
    try:
        with _BoundedFile(archive, limits.directory_bytes) as bounded, ZipFile(bounded) as zipped:
            entries = zipped.infolist()
    except UnicodeDecodeError as error:
        raise TrackError(
            "name-not-utf8",
            "The archive promises names in UTF-8 and holds others: pack it anew.",
        ) from error
    except (BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        if looks_like_zip:
            raise TrackError(
                "truncated",
                "The archive ends before its table of contents, or that is damaged: get it again.",
            ) from error
        raise TrackError("not-a-zip", "The file is not a zip archive.") from error
    if len(entries) > limits.members:
        raise TrackError(
            "too-many-files",
            f"The archive holds more than {limits.members:,} files; a song does not.",
        )
    # Without its own end, an archive shows the table of one that is stored within it.
    if looks_like_zip and entries and min(entry.header_offset for entry in entries) != 0:
        raise TrackError(
            "truncated", "The archive does not end with its own table of contents: get it again."
        )
    if sum(entry.compress_size for entry in entries) > archive.stat().st_size:
        raise TrackError(
            "archive-bomb", "Members of the archive overlap: together they claim more than it has."
        )
    return entries


class _BoundedFile(FileIO):
    """A file of which zipfile cannot read a huge table of contents into memory."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        super().__init__(path)
        self._limit_bytes = limit_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._limit_bytes:
            raise TrackError(
                "too-many-files",
                f"The archive's table of contents is larger than {_size(self._limit_bytes)}.",
            )
        return super().read(-1 if size is None else size) or b""


def _name(entry: ZipInfo) -> tuple[str, bool]:
    """Name of an entry, and whether its bytes are UTF-8 (which few packers declare)."""
    if entry.flag_bits & NAME_IS_UTF8:
        return entry.orig_filename, True
    try:
        # zipfile has read it as code page 437, which maps every byte.
        return entry.orig_filename.encode("cp437").decode("utf-8"), True
    except UnicodeDecodeError:
        return entry.orig_filename, False


def _member(entry: ZipInfo, name: str, seen: set[str], limits: Limits) -> Member | None:
    """Return the entry as a member, or None if it is nothing of interest.

    Names that are taken are added to `seen`.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    _check_place(entry, name, path)
    ignored = any(part.startswith(".") or part in IGNORED_NAMES for part in path.parts)
    if ignored or name.endswith(("/", "\\")):
        return None
    suffix = path.suffix.lower()
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
    if entry.flag_bits & IS_ENCRYPTED:
        raise MemberError("encrypted-member", "is encrypted: unpack it with its password")
    if entry.compress_type not in METHODS:
        raise MemberError(
            "unsupported-compression",
            f"is compressed by method {entry.compress_type}: pack it anew with deflate",
        )
    _check_size(entry, limits)
    return Member(
        str(path),
        entry.file_size,
        entry.compress_size,
        entry.CRC,
        entry.compress_type,
        entry.header_offset,
    )


def _check_place(entry: ZipInfo, name: str, path: PurePosixPath) -> None:
    """Refuse what lies, or points, outside of the archive, be it audio or not."""
    if path.is_absolute() or re.match("[A-Za-z]:", name):
        raise MemberError("absolute-path", "has an absolute path")
    if ".." in path.parts:
        raise MemberError("path-escape", "lies outside of the archive")
    if "\0" in name:
        raise MemberError("bad-name", "has a NUL in its name")
    if entry.create_system == MADE_ON_UNIX and S_ISLNK(entry.external_attr >> 16):
        raise MemberError("symlink", "is a symbolic link")


def _check_size(entry: ZipInfo, limits: Limits) -> None:
    size_bytes = entry.file_size
    if size_bytes == 0:
        raise MemberError("empty", "is an empty file")
    if size_bytes > limits.member_bytes:
        raise MemberError(
            "archive-bomb",
            f"would expand to {_size(size_bytes)}, more than the {_size(limits.member_bytes)} "
            "that are allowed",
        )
    if size_bytes > limits.free_bytes and size_bytes > limits.ratio * entry.compress_size:
        ratio = size_bytes / max(entry.compress_size, 1)
        raise MemberError(
            "archive-bomb",
            f"would expand {ratio:,.0f} times, to {_size(size_bytes)}; music does not",
        )


def _check_head(file: BinaryIO, member: Member) -> None:
    """Make sure that a member begins like audio."""
    head = b""
    for block in content(file, member, audio.SNIFF_BYTES):
        head += block
        if len(head) >= audio.SNIFF_BYTES:
            break
    if audio.sniff(head, member.name) is None:
        raise MemberError("not-audio", "does not contain audio")


def _verified(file: BinaryIO, member: Member, limits: Limits) -> Iterator[bytes]:
    """Content of a member, counted and checked as it comes."""
    count = crc32 = 0
    for block in content(file, member, BLOCK_BYTES):
        count += len(block)
        if count > min(member.size_bytes, limits.member_bytes):
            raise MemberError(
                "archive-bomb", f"expands to more than the {_size(member.size_bytes)} it claims"
            )
        crc32 = zlib.crc32(block, crc32)
        yield block
    if count != member.size_bytes or crc32 != member.crc32:
        raise MemberError("corrupt", "is damaged")


@contextmanager
def _whole_or_gone(target: Path) -> Iterator[BinaryIO]:
    # Exclusively: what was there before is neither overwritten nor, on failure, removed.
    with open(target, "xb") as output:
        try:
            yield output
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _write(output: BinaryIO, block: bytes, target: Path) -> None:
    try:
        output.write(block)
    except OSError as error:
        raise StorageError(
            f"{target} could not be written ({error.strerror}): is there space left?"
        ) from error


def _problem(name: str, error: MemberError) -> Problem:
    shown = name.replace("\0", "\\0")
    return Problem(shown, error.reason, f"{shown} in the archive {error.cause}.")


def _nothing_usable(problems: list[Problem]) -> TrackError:
    """Return why an archive is of no use at all."""
    reasons = {problem.reason for problem in problems}
    if reasons == {"encrypted-member"}:
        return TrackError("encrypted", "The archive is encrypted: unpack it with its password.")
    if len(reasons) == 1:
        others = f" The same is true of {len(problems) - 1} more." if len(problems) > 1 else ""
        return TrackError(problems[0].reason, problems[0].message + others)
    named = ", ".join(f"{problem.path} ({problem.reason})" for problem in problems[:5])
    cause = f": {named}{', ...' if len(problems) > 5 else ''}." if problems else "."
    return TrackError("no-audio", f"The archive holds no audio that can be used{cause}")


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"
