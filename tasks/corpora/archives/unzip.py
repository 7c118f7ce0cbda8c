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

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from blocks.storage import StorageError
from tasks import audio
from tasks.corpora.archives.zip_entry import (
    LIMITS,
    Limits,
    as_member,
    is_left_behind,
    plain_member,
    size_text,
)
from tasks.corpora.archives.zip_member import (
    BLOCK_BYTES,
    LOCAL_HEADER,
    Member,
    MemberError,
    content,
)
from tasks.corpora.archives.zip_names import ENCODINGS, decoded
from tasks.track import TrackError

OVERHEAD_BYTES = 256
"""More than the headers of one file take beside its name, and the end of an archive."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something within an archive that is not used, or not as it should be.

    ``"name-not-utf8"`` only informs: the member is used, under a name in the encoding that all
    names of the archive seem to be in. Any other reason means that the member is left out.
    """

    path: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a zip archive holds.

    Attributes
    ----------
    members
        Audio, in the order of the names, each usable as far as its header tells.
    problems
        What is wrong with the rest, in the archive's order.
    passed_over
        Names of files that are neither audio nor archives, nor what systems leave behind.
    """

    members: list[Member]
    problems: list[Problem]
    passed_over: list[str]


@dataclass(frozen=True, slots=True)
class Digest:
    """A file in an archive, the digest of its content, and how that begins."""

    member: Member
    digest: str
    head: bytes


def _nothing_known(name: str) -> bool:
    return False


def members(archive: Path, limits: Limits = LIMITS) -> tuple[list[Member], list[Problem]]:
    """Audio that a zip archive holds, and what is wrong with the rest, as :func:`contents` does.

    Raises
    ------
    TrackError
        As :func:`contents`.
    """
    found = contents(archive, limits)
    return found.members, found.problems


def contents(
    archive: Path,
    limits: Limits = LIMITS,
    is_known: Callable[[str], bool] = _nothing_known,
) -> Contents:
    """Return what a zip archive holds.

    Of members with one name (letter case and Unicode composition aside) the first counts.

    Parameters
    ----------
    archive, limits
        The archive, and what it may ask for.
    is_known
        Whether a name holds a word that is expected in names of members; of several encodings
        that these may be in, the one is taken that makes such words.

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
        passed_over: list[str] = []
        seen: set[str] = set()
        for entry, name, encoding in zip(entries, *decoded(entries, is_known), strict=True):
            try:
                member = as_member(entry, name, seen, limits)
                if member is None:
                    if not is_left_behind(name):
                        passed_over.append(name)
                    continue
                _check_head(file, member)
            except MemberError as error:
                problems.append(problem(name, error))
                continue
            found.append(member)
            if encoding:
                said = f"The name of {member.path} is not UTF-8: read as {_CODE_PAGES[encoding]}."
                problems.append(Problem(member.path, "name-not-utf8", said))
    if not found:
        raise _nothing_usable(problems)
    total = sum(member.size_bytes for member in found)
    if total > limits.total_bytes:
        raise TrackError(
            "archive-bomb",
            f"The archive would expand to {size_text(total)}, more than the "
            f"{size_text(limits.total_bytes)} that are allowed.",
        )
    return Contents(sorted(found, key=lambda member: member.path), problems, passed_over)


def digests(archive: Path, limits: Limits = LIMITS) -> Iterator[Digest]:
    """Yield every file in an archive with its digest, of whatever kind it is.

    Folders are passed over, and what systems leave behind, unless it begins like audio.

    Parameters
    ----------
    archive, limits
        The archive, and what it may ask for.

    Raises
    ------
    TrackError
        If one cannot be read, or the archive holds bytes that belong to none: members that
        were deleted from its table of contents, or data before and after.
    """
    with open(archive, "rb") as file:
        entries = _entries(archive, file, limits)
        spare = archive.stat().st_size - sum(entry.compress_size for entry in entries)
        spare -= sum(OVERHEAD_BYTES + 2 * len(entry.orig_filename.encode()) for entry in entries)
        spare -= sum(2 * len(entry.extra) + len(entry.comment) for entry in entries)
        is_shared = len({entry.header_offset for entry in entries}) < len(entries)
        if spare > OVERHEAD_BYTES or is_shared:
            said = "The archive holds bytes that belong to no file in it, or to several."
            raise TrackError("unaccounted-bytes", said)
        for entry, name in zip(entries, decoded(entries, _nothing_known)[0], strict=True):
            try:
                yield from _digest(file, entry, name, limits)
            except MemberError as error:
                found = problem(name, error)
                raise TrackError(found.reason, found.message) from error


def _digest(file: BinaryIO, entry: ZipInfo, name: str, limits: Limits) -> Iterator[Digest]:
    member = plain_member(entry, name, limits)
    hashed, head = blake2b(digest_size=16), b""
    for block in _verified(file, member, limits):
        hashed.update(block)
        head = head or block[: audio.SNIFF_BYTES]
    is_folder = name.endswith(("/", "\\"))
    if member.size_bytes if is_folder else not is_left_behind(name) or audio.sniff(head):
        yield Digest(member, hashed.hexdigest(), head)


def everything(
    archive: Path, file: BinaryIO, limits: Limits
) -> Iterator[tuple[Member, Iterator[bytes]] | Problem]:
    """Yield every file in an archive, of whatever kind it is, with its content to be read in turn.

    Parameters
    ----------
    archive, file
        The archive, and the same opened.
    limits
        What it may ask for.

    Raises
    ------
    TrackError
        If the archive's table of contents cannot be used.
    MemberError
        While a content is read that is damaged, or more than the archive claims.
    """
    entries = _entries(archive, file, limits)
    for entry, name in zip(entries, decoded(entries, _nothing_known)[0], strict=True):
        if entry.is_dir():
            continue
        try:
            member = plain_member(entry, name, limits)
        except MemberError as error:
            yield problem(name, error)
        else:
            yield member, _verified(file, member, limits)


def extract(archive: Path, member: Member, target: Path, limits: Limits = LIMITS) -> None:
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
        found = problem(member.path, error)
        raise TrackError(found.reason, found.message) from error


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
                f"The archive's table of contents is larger than {size_text(self._limit_bytes)}.",
            )
        return super().read(-1 if size is None else size) or b""


_CODE_PAGES = {name: f"code page {name.removeprefix('cp')}" for name in ENCODINGS} | {
    "gbk": "GBK, code page 936"
}


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
                "archive-bomb", f"expands to more than the {size_text(member.size_bytes)} it claims"
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


def problem(name: str, error: MemberError) -> Problem:
    """Return what is wrong with a member, for people."""
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
