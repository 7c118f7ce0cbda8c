"""Song Describer: captions that people wrote of tracks of Jamendo; for evaluation alone.

``song_describer.csv`` has a row per caption; ``metadata.json``, which other tools write of it,
an object per track or per caption. https://doi.org/10.5281/zenodo.10072001
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.corpora.captioned.entry import Dropped, Entry, Tag
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
    distinct_tags,
    empty_caption,
    json_document,
    literal_list,
    malformed,
    name,
    records,
    seconds,
    text,
    texts,
)
from tasks.corpora.captioned.vocabulary import tag_in, tag_of

LICENCE = "CC-BY-SA-4.0"
"""Of the record that the audio is published in, where a row states none."""

SUFFIX = ".2min.mp3"

_CATEGORIES = {
    "genre": "genre",
    "genres": "genre",
    "instrument": "instrument",
    "instruments": "instrument",
    "mood/theme": "mood/theme",
    "mood": "mood/theme",
    "moods": "mood/theme",
}
_CAPTIONS = ("caption", "captions", "alt_captions", "description", "descriptions")
_SET_SIZES = 2


@dataclass
class _Track:
    """A track as it grows, caption by caption."""

    number: int
    where: str
    captions: dict[str, None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the tracks of Song Describer, each with all of its captions.

    Raises
    ------
    CorpusError
        If there is neither ``song_describer.csv`` nor a ``metadata.json`` with captions.
    """
    tables = find_files(folder, "song_describer*.csv")
    documents = [] if tables else find_files(folder, "metadata.json", "song_describer*.json")
    if not tables and not documents:
        raise wrong_folder(folder, "song_describer", "song_describer.csv or metadata.json")
    path = (tables or documents)[0]
    rows = _csv(path, below(folder, path)) if tables else _json(path, folder)
    place, suffix = "audio/", SUFFIX
    found = next(sharded_audio(folder), None)
    if found is not None:
        place, suffix = relative(folder, found[0]), found[1]
    elif find_folder(folder, "audio") is None:
        yield no_audio(folder, "audio")
    tracks: dict[int, _Track] = {}
    for row in rows:
        if isinstance(row, Dropped):
            yield row
            continue
        where, cells = row
        number = track_number(cells)
        if number is None:
            yield malformed(where, "it has no id of a track")
            continue
        captions = _captions_of(cells)
        if not captions:
            yield empty_caption(where, str(number))
        track = tracks.setdefault(number, _Track(number, where))
        track.captions.update(dict.fromkeys(captions))
        for key, value in cells.items():
            if key not in track.values or track.values[key] in (None, ""):
                track.values[key] = value
    for track in tracks.values():
        audio = f"{place}{track.number % 100:02d}/{track.number}{suffix}"
        yield _entry(track, audio)


def track_number(cells: Mapping[str, Any]) -> int | None:
    """Return the id of the track at Jamendo, of ``track_id`` or else of the file's name."""
    for key in ("track_id", "jamendo_id", "id"):
        found = re.fullmatch(r"(?:track_)?(\d{1,12})", name(cells.get(key)) or "", re.ASCII)
        if found:
            return int(found[1])
    for key in ("path", "audio_path", "file_name", "filename", "location"):
        stem = PurePosixPath(text(cells.get(key)) or "").name
        if found := re.match(r"(\d{1,12})\.", stem, re.ASCII):
            return int(found[1])
    return None


def _entry(track: _Track, audio: str) -> Entry:
    values = track.values
    artist_id, album_id = name(values.get("artist_id")), name(values.get("album_id"))
    return Entry(
        str(track.number),
        audio,
        captions=tuple(track.captions),
        language="en",
        tags=_tags(values),
        duration_seconds=seconds(values.get("duration")),
        artist=text(values.get("artist")) or text(values.get("artist_name")),
        title=text(values.get("title")) or text(values.get("track_name")),
        album=text(values.get("album")) or text(values.get("album_name")),
        artist_id=jamendo("artist", artist_id),
        album_id=jamendo("album", album_id),
        shared_ids=(f"jamendo:{track.number}",),
        licence=text(values.get("license")) or text(values.get("licence")) or LICENCE,
        evaluation_only=True,
    )


def jamendo(what: str, number: str | None) -> str | None:
    """Return an id of Jamendo as all corpora write it: ``artist_000087`` and 87 are one."""
    found = re.fullmatch(rf"(?:{what}_)?0*(\d+)", number or "", re.ASCII)
    return f"jamendo:{found[1]}" if found else None


def _captions_of(cells: Mapping[str, Any]) -> Sequence[str]:
    found: list[Any] = []
    for key in _CAPTIONS:
        value = cells.get(key)
        found += value if isinstance(value, list) else [value]
    return texts(each.get("caption") if isinstance(each, dict) else each for each in found)


def _tags(values: Mapping[str, Any]) -> tuple[Tag, ...]:
    tags = []
    for key, value in values.items():
        if key in _CATEGORIES:
            tags += [tag_in(_CATEGORIES[key], word) for word in words(value)]
        elif key in ("tags", "aspects"):
            tags += [tag_of(word) for word in words(value)]
    return distinct_tags(tags)


def words(value: Any) -> tuple[str, ...]:
    """Return the words of a list, of a Python literal, or of text with commas between them."""
    if isinstance(value, str):
        items = literal_list(value) if value.strip()[:1] in ("[", "{") else None
        value = re.split(r"[,;]", value) if items is None else items
    if not isinstance(value, list):
        return ()
    return texts(
        each.rpartition("---")[2].strip() if isinstance(each, str) else each for each in value
    )


def _csv(path: Path, where: str) -> Iterator[tuple[str, Mapping[str, Any]] | Dropped]:
    for row in records(path, where, ("track_id", "caption")):
        yield row if isinstance(row, Dropped) else (f"{where}:{row[0]}", row[1])


def _json(path: Path, folder: Path) -> Iterator[tuple[str, Mapping[str, Any]] | Dropped]:
    """Objects of a list, or of a mapping by track, also below a key such as ``tracks``."""
    document = json_document(path)
    where = below(folder, path)
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        if len(document) <= _SET_SIZES and lists:
            document = lists[0]
        else:
            document = [
                {"track_id": key, **value} if isinstance(value, dict) else value
                for key, value in document.items()
            ]
    objects = document if isinstance(document, list) else []
    if not any(isinstance(each, dict) and _captions_of(each) for each in objects):
        raise wrong_folder(folder, "song_describer", "metadata.json with captions")
    for number, each in enumerate(objects, 1):
        if isinstance(each, dict):
            yield f"{where}:{number}", each
        else:
            yield malformed(f"{where}:{number}", "it is no JSON object")
