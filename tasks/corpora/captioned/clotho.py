"""Clotho: five captions of each of some thousand sounds of Freesound, of which few are music.

``clotho_captions_{development,validation,evaluation}.csv``, and metadata in ISO-8859-1.
https://doi.org/10.5281/zenodo.4783391
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.corpora.captioned.entry import Dropped, Entry
from tasks.corpora.captioned.places import find_files, find_folder, no_audio, relative, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    distinct_tags,
    empty_caption,
    malformed,
    name,
    records,
    repeated,
    text,
    texts,
)
from tasks.corpora.captioned.vocabulary import tag_of

_SPLITS = {"development": "train", "validation": "validation", "evaluation": "test"}
_PART = re.compile(r"_(development|validation|evaluation)")
_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the sounds of the parts whose captions are there.

    Raises
    ------
    CorpusError
        If there are no captions of Clotho.
    """
    tables = find_files(folder, "clotho_captions_*.csv")
    if not tables:
        raise wrong_folder(folder, "clotho", "clotho_captions_development.csv")
    metadata = {}
    for path in find_files(folder, "clotho_metadata_*.csv"):
        if found := _PART.search(path.stem):
            metadata[found[1]] = path
    for path in tables:
        found = _PART.search(path.stem)
        if found is None:
            cause = "its name has none of the parts of Clotho"
            yield malformed(below(folder, path), cause)
            continue
        part = found[1]
        described: dict[str, Mapping[str, str]] = {}
        if part in metadata:
            yield from _read_metadata(metadata[part], below(folder, metadata[part]), described)
        audio = find_folder(folder, part) or find_folder(folder, f"clotho_audio_{part}")
        if audio is None:
            yield no_audio(folder, part)
        place = f"{part}/" if audio is None else relative(folder, audio)
        yield from _part(path, below(folder, path), part, place, described)


def _part(
    path: Path, where: str, part: str, place: str, described: Mapping[str, Mapping[str, str]]
) -> Iterator[Entry | Dropped]:
    seen: set[str] = set()
    for row in records(path, where, ("file_name", *_CAPTIONS)):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        file = cells["file_name"]
        if not file or "/" in file or "\\" in file:
            yield malformed(f"{where}:{line}", "it names no file of audio")
            continue
        native_id = f"{part}-{file.rpartition('.')[0] or file}"
        if file in seen:
            yield repeated(f"{where}:{line}", native_id)
            continue
        seen.add(file)
        captions = texts(cells[each] for each in _CAPTIONS)
        if not all(map(text, (cells[each] for each in _CAPTIONS))):
            yield empty_caption(f"{where}:{line}", native_id)
        known = described.get(file, {})
        sound = name(known.get("sound_id")) or ""
        yield Entry(
            native_id,
            place + file,
            captions=captions,
            language="en" if captions else None,
            tags=distinct_tags(map(tag_of, texts(known.get("keywords", "").split(";")))),
            artist=text(known.get("manufacturer")),
            title=text(file.rpartition(".")[0]),
            shared_ids=(f"freesound:{sound}",) if sound.isdecimal() else (),
            licence=text(known.get("license")),
            split=_SPLITS[part],
        )


def _read_metadata(
    path: Path, where: str, described: dict[str, Mapping[str, str]]
) -> Iterator[Dropped]:
    """Fill what is known of each file; that it is in ISO-8859-1 is no news."""
    for row in records(path, where, ("file_name", "license")):
        if isinstance(row, Dropped):
            if row.reason != "guessed-encoding":
                yield row
        else:
            described.setdefault(row[1]["file_name"], row[1])
