"""Archives of whole corpora, unpacked without trusting them: zip, tar, tar.gz and 7z.

What an archive holds is put where its owner says, never where a name says. Every file appears
whole or not at all; those that are there already, with their size, are not written again, so
that an archive that was half unpacked is finished and not begun anew.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.corpora.archives import seven_zip, tar, unzip
from tasks.corpora.archives.sink import Sink
from tasks.corpora.archives.unzip import Problem
from tasks.corpora.archives.zip_entry import Limits, size_text
from tasks.corpora.archives.zip_member import MemberError
from tasks.download import check_space
from tasks.track import TrackError

Place = Callable[[str], str | None]
"""From the name of a member to where it goes below the folder, with ``/``; None: it is unwanted."""

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")
"""Of the archives that can be unpacked."""

GROWTH = 20
FREE_BYTES = 2**30
"""An archive may expand to so many times its size, and so many bytes: tables of numbers shrink to a
fifth at best, audio hardly."""


@dataclass(frozen=True)
class Unpacked:
    """What came of an archive.

    Attributes
    ----------
    files
        Path below the folder -> size in bytes, of all that is wanted.
    refused
        Members that were left out, with the reason.
    written_bytes
        What was not there before.
    """

    files: dict[str, int] = field(default_factory=dict)
    refused: list[Problem] = field(default_factory=list)
    written_bytes: int = 0


def is_archive(name: str) -> bool:
    """Return whether a file is named like an archive that can be unpacked."""
    return name.lower().endswith(SUFFIXES)


def limits(archive: Path) -> Limits:
    """Return what an archive of a whole corpus may ask for."""
    size_bytes = archive.stat().st_size
    total_bytes = GROWTH * size_bytes + FREE_BYTES
    return Limits(
        members=1_000_000,
        directory_bytes=256 * 2**20,
        member_bytes=min(total_bytes, 16 * 2**30),
        total_bytes=total_bytes,
    )


def unpack(archive: Path, folder: Path, place: Place, allowed: Limits | None = None) -> Unpacked:
    """Unpack an archive.

    Parameters
    ----------
    archive
        By its name a zip, tar, tar.gz or 7z.
    folder
        Where everything goes.
    place
        Where each member goes.
    allowed
        What it may ask for (default: :func:`limits`).

    Raises
    ------
    TrackError
        ``"not-an-archive"``, ``"truncated"``, ``"corrupt"`` or ``"archive-bomb"``; what was
        unpacked before stays. ``"nothing-wanted"`` if nothing in it has a place.
    StorageError
        If there is no room for it.
    """
    allowed = allowed or limits(archive)
    sink = Sink(folder, place, allowed, archive.name)
    try:
        _read(archive, sink, allowed)
    except MemberError as error:
        raise TrackError(error.reason, f"{archive.name} {error.cause}.") from error
    finally:
        sink.close()
    if not sink.files:
        refused = f"; {sink.refused[0].message}" if sink.refused else "."
        raise TrackError(
            "nothing-wanted", f"{archive.name} holds nothing of what is looked for{refused}"
        )
    return Unpacked(sink.files, sink.refused, sink.written_bytes)


def _read(archive: Path, sink: Sink, allowed: Limits) -> None:
    name = archive.name.lower()
    with open(archive, "rb") as file:
        if name.endswith(".zip"):
            _room(archive, sink.missing_bytes(_listed(archive, allowed)))
            for each in unzip.everything(archive, file, allowed):
                if isinstance(each, Problem):
                    sink.refused.append(each)
                    continue
                member, blocks = each
                try:
                    sink.take(member.path, member.size_bytes, blocks)
                except MemberError as error:
                    # Each is compressed by itself: the others are as good as they were.
                    sink.close()
                    sink.refuse(member.path, error.reason, error.cause)
        elif name.endswith(".7z"):
            seven_zip.unpack(file, sink, allowed, lambda missing: _room(archive, missing))
        elif name.endswith(".tar"):
            tar.unpack(file, sink, allowed)
        else:
            with gzip.GzipFile(fileobj=file) as stream:
                tar.unpack(stream, sink, allowed)


def _listed(archive: Path, allowed: Limits) -> list[tuple[str, int]]:
    with open(archive, "rb") as file:
        found = [
            (each[0].path, each[0].size_bytes)
            for each in unzip.everything(archive, file, allowed)
            if not isinstance(each, Problem)
        ]
    total_bytes = sum(size_bytes for _, size_bytes in found)
    if total_bytes > allowed.total_bytes:
        raise MemberError(
            "archive-bomb",
            f"would expand to {size_text(total_bytes)}, more than the "
            f"{size_text(allowed.total_bytes)} that are allowed",
        )
    return found


def _room(archive: Path, missing_bytes: int) -> None:
    check_space(
        archive.parent,
        missing_bytes,
        f"make space for what {archive.name} holds and run the same command again",
    )
