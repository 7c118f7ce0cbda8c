"""MTG-Jamendo: TSV files with tags by category, and tracks in a hundred folders.

``autotagging.tsv`` has every tag, its subsets some; ``raw.meta.tsv`` names of tracks and artists;
``audio_licenses.txt`` licences; ``splits/split-0`` the split that Song Describer's tracks are the
test set of. There are no captions. https://github.com/MTG/mtg-jamendo-dataset
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry
from tasks.corpora.captioned.places import (
    find_files,
    find_folder,
    no_audio,
    relative,
    sharded_audio,
    wrong_folder,
)
from tasks.corpora.captioned.reading import (
    below,
    csv_rows,
    distinct_tags,
    malformed,
    repeated,
    seconds,
    text,
)
from tasks.corpora.captioned.song_describer import jamendo
from tasks.corpora.captioned.vocabulary import tag_in, tag_of

_HEADER = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
# From all tags on all tracks to the least.
_TABLES = (
    *("raw_30s_cleantags_50artists.tsv", "autotagging.tsv", "raw_30s_cleantags.tsv"),
    *("raw_30s.tsv", "raw.tsv", "autotagging_top50tags.tsv", "autotagging_genre.tsv"),
    *("autotagging_moodtheme.tsv", "autotagging_instrument.tsv"),
)
_SPLIT = re.compile(r"split-0/[^/]*-(train|validation|test)\.tsv")


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the tracks of the table of MTG-Jamendo that has most of them.

    Raises
    ------
    CorpusError
        If there is no table of MTG-Jamendo in it.
    """
    tables = {path.name: path for path in find_files(folder, "autotagging*.tsv", "raw*.tsv")}
    chosen = next((tables[each] for each in _TABLES if each in tables), None)
    chosen = chosen or next(
        (path for each, path in tables.items() if not each.endswith(".meta.tsv")), None
    )
    if chosen is None:
        raise wrong_folder(folder, "mtg_jamendo", "autotagging.tsv")
    place, suffix = "audio/", ".mp3"
    # The better of the two qualities, where both are there.
    found = min(sharded_audio(folder), key=lambda each: "low" in each[1], default=None)
    if found is not None:
        place, suffix = relative(folder, found[0]), found[1]
    elif find_folder(folder, "audio") is None:
        yield no_audio(folder, "audio")
    names: dict[int, tuple[str | None, ...]] = {}
    for path in find_files(folder, "raw.meta.tsv", "raw_30s.meta.tsv")[:1]:
        yield from _read_names(path, below(folder, path), names)
    licences: dict[int, str] = {}
    for path in find_files(folder, "audio_licenses.txt")[:1]:
        licences = _read_licences(path)
    splits: dict[int, str] = {}
    for path in _split_files(folder):
        yield from _read_split(path, below(folder, path), splits)
    seen: set[int] = set()
    where = below(folder, chosen)
    for line, cells in _rows(chosen, where):
        if isinstance(cells, Dropped):
            yield cells
            continue
        number = _number(cells[0])
        if number is None or len(cells) < len(_HEADER):
            yield malformed(f"{where}:{line}", "it is no track with an id, a path and tags")
            continue
        if number in seen:
            yield repeated(f"{where}:{line}", str(number))
            continue
        seen.add(number)
        title, artist, album = names.get(number, (None, None, None))
        split = splits.get(number)
        yield Entry(
            str(number),
            f"{place}{number % 100:02d}/{number}{suffix}",
            tags=distinct_tags(
                tag_in(category, word) if dash else tag_of(word or category)
                for category, dash, word in (tag.strip().rpartition("---") for tag in cells[5:])
                if word
            ),
            duration_seconds=seconds(cells[4]),
            artist=artist,
            title=title,
            album=album,
            artist_id=jamendo("artist", cells[1].strip()),
            album_id=jamendo("album", cells[2].strip()),
            shared_ids=(f"jamendo:{number}",),
            licence=licences.get(number),
            evaluation_only=split == "test",
            split=split,
        )


def _rows(path: Path, where: str) -> Iterator[tuple[int, list[str] | Dropped]]:
    """Rows below the header; their tags make them longer than it."""
    header: list[str] = []
    for row in csv_rows(path, where, "\t"):
        if isinstance(row, Dropped):
            yield 0, row
        elif header:
            yield row
        else:
            header = [cell.strip() for cell in row[1]]
            if tuple(header[: len(_HEADER)]) != _HEADER:
                raise CorpusError(
                    f"{path} is no table of MTG-Jamendo, whose first row is "
                    f"{' '.join(_HEADER)}: get the file again."
                )
    if not header:
        raise CorpusError(f"{path} is empty: get the file again.")


def _number(track_id: str) -> int | None:
    found = re.fullmatch(r"(?:track_)?(\d{1,12})", track_id.strip(), re.ASCII)
    return int(found[1]) if found else None


def _read_names(
    path: Path, where: str, names: dict[int, tuple[str | None, ...]]
) -> Iterator[Dropped]:
    """Fill title, artist and album of tracks: ``TRACK_ID … TRACK_NAME ARTIST_NAME ALBUM_NAME``."""
    places: list[int] = []
    for row in csv_rows(path, where, "\t"):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        if not places:
            header = [cell.strip() for cell in cells]
            wanted = ("TRACK_NAME", "ARTIST_NAME", "ALBUM_NAME")
            if not set(wanted) <= set(header):
                yield malformed(f"{where}:{line}", "it does not name TRACK_NAME and ARTIST_NAME")
                return
            places = [header.index(each) for each in wanted]
            continue
        number = _number(cells[0])
        if number is None or len(cells) <= max(places):
            yield malformed(f"{where}:{line}", "it gives no names of a track")
        else:
            names[number] = tuple(text(_unquoted(cells[each])) for each in places)


def _unquoted(cell: str) -> str:
    """Undo the quotation of a whole cell."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _read_licences(path: Path) -> dict[int, str]:
    """Licence of each track: below its path stand its title, and a line with the address."""
    licences: dict[int, str] = {}
    number = None
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                if found := re.fullmatch(r"\d\d/(\d{1,12})\.mp3", line.strip(), re.ASCII):
                    number = int(found[1])
                elif number and (found := re.search(r"licen[cs]e: *(https?://\S+)", line)):
                    licences[number] = found[1]
                    number = None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None
    return licences


def _split_files(folder: Path) -> list[Path]:
    """Files of split 0: of all tags where they are there, since their tracks are the most."""
    for above in ("", "*/", "*/*/", "*/*/*/"):
        paths = sorted(folder.glob(f"{above}split-0/*.tsv"))
        if paths := [each for each in paths if _SPLIT.search(each.as_posix())]:
            whole = [each for each in paths if each.name.startswith("autotagging-")]
            return whole or paths
    return []


def _read_split(path: Path, where: str, splits: dict[int, str]) -> Iterator[Dropped]:
    found = _SPLIT.search(path.as_posix())
    assert found is not None
    for line, cells in _rows(path, where):
        if isinstance(cells, Dropped):
            yield cells
        elif (number := _number(cells[0])) is None:
            yield malformed(f"{where}:{line}", "it has no id of a track")
        elif splits.get(number) != "test":  # a track that any file has for tests is one
            splits[number] = found[1]
