"""Archives of stems: ``<artist>/<song>.zip``, or a song in several that a service has split."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import ROOT, Claim, file_name, folder_name, folder_of
from tasks.corpora.song import Song
from tasks.dataset.digests import FileFailure
from tasks.text import printable

OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")

PARTS = (
    # Google Drive: "Song-20240501T101010Z-001.zip", and "-1-001" and "-3-001" since 2023.
    re.compile(r"(?P<song>.+-\d{8}T\d{6}Z)(?:-\d+)?-(?P<number>\d{3})"),
    re.compile(r"(?P<song>.+)[._-]part(?P<number>\d{1,3})", re.IGNORECASE),
)
"""Names of archives that one folder was split into: each is whole, and holds some of the files."""

PERHAPS_A_PART = "perhaps-a-part"
"""Reason of a remark on archives that may be parts of one song; they are songs all the same."""

DRIVE_TIME = re.compile(r"-\d{8}T\d{6}Z(?:-\d+)?(?:-\d{3})?$")

SPLIT_BY_BYTES = re.compile(r"\.z\d\d$|\.zip\.\d{3}$", re.IGNORECASE)
"""Pieces of one archive, none of which can be opened alone."""

COUNTED = re.compile(
    r"(?P<song>.+?)(?: ?\(\d{1,2}\)|[ ,._-]+\(?(?:part|pt)\.? ?\d{1,2}\)?"
    r"|[ ._-]+\(?\d{1,2} ?of ?\d{1,2}\)?)",
    re.IGNORECASE,
)
"""What a browser calls a second download of one name, and songs and archives in parts: a copy,
another song, or a part."""


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim every zip archive as a song, of the artist that its folder is named after.

    Parts of one are one song. At the top of the source an archive has no artist but itself.
    Archives of other kinds are failures.
    """
    claim = Claim()
    songs: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for path in paths:
        name = PurePosixPath(path).name.lower()
        if SPLIT_BY_BYTES.search(name):
            message = f"{printable(path)} is a piece of an archive: join the pieces to one zip."
            claim.failures.append(FileFailure(path, "unsupported-archive", message))
        elif name.endswith(".zip"):
            title, number = _part(PurePosixPath(path).stem)
            songs[folder_of(path), title].append((number, path))
        elif name.endswith(OTHER_ARCHIVES):
            message = f"{printable(path)} is no zip archive: unpack it, or pack it anew as one."
            claim.failures.append(FileFailure(path, "unsupported-archive", message))
        else:
            continue
        claim.paths.add(path)
    for (folder, _), parts in songs.items():
        claim.songs.extend(_songs(source, folder, sorted(parts)))
        claim.failures.extend(_missing(sorted(parts)))
    claim.failures.extend(_counted(claim.songs))
    return claim


def _part(name: str) -> tuple[str, int]:
    """Return what the parts of an archive are called alike, and which this one is; 0 if none."""
    for pattern in PARTS:
        if match := pattern.fullmatch(name):
            return match["song"], int(match["number"])
    return name, 0


def _songs(source: Storage, folder: str, parts: Sequence[tuple[int, str]]) -> list[Song]:
    """Return the song of some parts; a song each, if they have no numbers or one twice."""
    numbers = [number for number, _ in parts]
    paths = [path for _, path in parts]
    if len(set(numbers)) < len(numbers) or 0 in numbers:
        return [_song(source, folder, [path], file_name(path)) for path in paths]
    return [_song(source, folder, paths, printable(_part(PurePosixPath(paths[0]).stem)[0]))]


def _song(source: Storage, folder: str, paths: Sequence[str], name: str) -> Song:
    title = DRIVE_TIME.sub("", name)
    artist = title if folder == ROOT else folder_name(source, folder)
    return Song("", paths[0], artist=artist, title=title, archive=True, parts=tuple(paths[1:]))


def _missing(parts: Sequence[tuple[int, str]]) -> list[FileFailure]:
    """Return what says that parts before the last of some are not there."""
    numbers = {number for number, _ in parts}
    gone = sorted(set(range(1, max(numbers) + 1)) - numbers)
    if 0 in numbers or not gone:
        return []
    path = parts[0][1]
    said = ", ".join(str(number) for number in gone)
    message = f"{printable(path)} is part of an archive of which part {said} is not there: add it."
    return [FileFailure(path, "missing-part", message)]


def _counted(songs: Sequence[Song]) -> list[FileFailure]:
    """Return a remark for each of several archives that only a number tells apart."""
    alike: dict[tuple[str, str], list[Song]] = defaultdict(list)
    for song in songs:
        name = PurePosixPath(song.path).stem
        match = None if song.parts else COUNTED.fullmatch(name)
        alike[folder_of(song.path), match["song"] if match else name].append(song)
    failures = []
    for several in alike.values():
        for song, other in zip(several, [*several[1:], several[0]], strict=True):
            if song is not other:
                message = (
                    f"{printable(song.path)} and {printable(other.path)} are taken for two songs: "
                    "if they are parts of one, pack them into one archive."
                )
                failures.append(FileFailure(song.path, PERHAPS_A_PART, message))
    return failures
