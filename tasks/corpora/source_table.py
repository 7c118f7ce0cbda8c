"""A table of paths: a row per song, a column per source, ``vocals,drums,bass,other,artist,title``.

Paths are relative to the table. ``mixture`` may be a column, and so may ``split``: train,
validation or test. A cell may be empty.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import Claim, file_name, folder_of, is_audio, not_there
from tasks.corpora.names.instruments import instrument_of, is_backing
from tasks.corpora.song import Song, StemFile
from tasks.corpora.tables import MetadataError, read_table
from tasks.dataset.digests import FileFailure
from tasks.dataset.split import Split
from tasks.text import counted, printable

SUFFIXES = (".csv", ".tsv")
MIXTURE = "mixture"
SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""How people write splits, in lower case."""

REMARK = "remark"
"""Reason of what is said of a table that is used all the same."""

Cells = Mapping[str, str]


def is_table(path: str) -> bool:
    """Return whether a file is named like a table."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def find(source: Storage, paths: Sequence[str], *, sources: Sequence[str]) -> Claim:
    """Claim every table of which some columns hold paths of audio, and all audio below it.

    Parameters
    ----------
    source, paths
        As a layout gets them.
    sources
        Names of columns that hold stems, beside those that name an instrument.
    """
    claim = Claim()
    for table in paths:
        if not is_table(table) or table in claim.paths:
            continue
        try:
            rows, notices = _rows(source, table)
        except MetadataError:
            continue
        stems = [name for name in _columns(rows) if _is_stem(name, sources)]
        if not any(is_audio(row.get(name, "")) for row in rows for name in stems):
            continue
        _take(claim, table, rows, paths, stems, notices)
    return claim


def _rows(source: Storage, table: str) -> tuple[list[Cells], list[str]]:
    """Rows by column, names of columns in lower case, and what had to be guessed."""
    with source.reading(table) as local:
        read = read_table(local, "table of songs", lambda header: len(header) > 1)
        lines = iter(read.rows())
        _, header = next(lines, (0, []))
        names = [name.strip().casefold() for name in header]
        rows = [dict(zip(names, map(str.strip, row), strict=False)) for _, row in lines]
        notices = [each.replace(str(local), printable(table)) for each in read.notices]
    return [row for row in rows if any(row.values())], notices


def _columns(rows: Sequence[Cells]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _is_stem(name: str, sources: Sequence[str]) -> bool:
    known = {each.casefold() for each in sources}
    is_named = instrument_of(name) is not None or is_backing(name)
    return name in known or (name not in ("title", "artist") and is_named)


def _take(
    claim: Claim,
    table: str,
    rows: Sequence[Cells],
    paths: Sequence[str],
    stems: Sequence[str],
    notices: Sequence[str],
) -> None:
    """Add the songs of a table to a claim."""
    folder = folder_of(table)
    below = {path for path in paths if PurePosixPath(path).is_relative_to(folder)}
    audio = {path for path in below if is_audio(path)}
    named: set[str] = set()
    for row in rows:
        song = _song(row, folder, stems)
        used = [*song.files, *([song.mixture.path] if song.mixture else [])]
        named.update(used)
        gone = [path for path in used if path not in below]
        claim.failures.extend(_gone(path, table) for path in gone)
        if (said := row.get("split", "")) and song.split is None:
            message = f'{printable(table)} has the split "{said}": train, validation or test.'
            claim.failures.append(FileFailure(song.path, "bad-metadata", message))
        elif song.stems and not gone:
            claim.songs.append(song)
    for name in _columns(rows):
        if (
            name != MIXTURE
            and name not in stems
            and any(is_audio(row.get(name, "")) for row in rows)
        ):
            message = f"Column {name} of {printable(table)} names no source: it is passed over."
            claim.failures.append(FileFailure(table, REMARK, message))
    if others := len(audio - named):
        message = f"{printable(table)} does not name {counted(others, 'file')} beside it: left out."
        claim.failures.append(FileFailure(table, REMARK, message))
    claim.failures.extend(FileFailure(table, REMARK, each) for each in notices)
    claim.paths.update(audio | {table})


def _song(row: Cells, folder: str, columns: Sequence[str]) -> Song:
    stems = [
        StemFile(name, _path(folder, row[name]), instrument_of(name))
        for name in columns
        if row.get(name)
    ]
    own = row.get(MIXTURE)
    mixture = StemFile(MIXTURE, _path(folder, own)) if own else None
    places = [stem.path for stem in stems] or [folder]
    place = os.path.commonpath([folder_of(path) for path in places])
    title = row.get("title") or file_name(place if len(places) > 1 else places[0])
    return Song(
        "",
        places[0],
        artist=row.get("artist") or title,
        title=title,
        stems=stems,
        mixture=mixture,
        split=SPLITS.get(row.get("split", "").casefold()),
    )


def _path(folder: str, cell: str) -> str:
    return os.path.normpath(PurePosixPath(folder, cell.replace("\\", "/")))


def _gone(path: str, table: str) -> FileFailure:
    if path.startswith(("/", "..")):
        message = (
            f"{printable(path)}, which {printable(table)} names, lies outside the folder: paths "
            "are relative to the table, and what they name lies beside or below it."
        )
        return FileFailure(path, "outside", message)
    return not_there(path, printable(table))
