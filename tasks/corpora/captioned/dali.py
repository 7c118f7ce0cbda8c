"""DALI: songs with their lyrics and notes, from an export of its annotations as JSON.

The annotations are published as pickles, which run code when they are read: they are refused.
A JSON file holds one song or a list of songs, each with ``info`` and ``annotations``. The audio
comes from YouTube, and nobody states a licence of it. https://github.com/gabolsgabs/DALI
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Tag
from tasks.corpora.captioned.places import audio_by_stem, files_below, no_audio, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    distinct_tags,
    json_document,
    json_lines,
    malformed,
    name,
    repeated,
    text,
    texts,
)
from tasks.corpora.captioned.vocabulary import tag_in

_VIDEO = re.compile(r"(?:.*[/=])?([A-Za-z0-9_-]{11})")
_EXPORT = "export them as JSON with the package DALI-dataset on a machine that may run them"


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the songs of an export of DALI.

    Raises
    ------
    CorpusError
        If there are pickles alone, or nothing of DALI.
    """
    exports = [path for path in files_below(folder, ".json", ".jsonl") if _is_export(path)]
    pickles = list(files_below(folder, ".gz", ".pkl", ".pickle"))
    if not exports and pickles:
        raise CorpusError(
            f"{folder} has DALI's annotations as pickles, which run code when they are read: "
            f"{_EXPORT}."
        )
    if not exports:
        raise wrong_folder(folder, "dali", "JSON file with info and annotations")
    for path in pickles:
        where = below(folder, path)
        sentence = f"{where} is left out, since a pickle runs code when it is read: {_EXPORT}."
        yield Dropped("pickle", where, sentence)
    audio = audio_by_stem(folder)
    if not audio:
        yield no_audio(folder, "with <id>.mp3")
    seen: set[str] = set()
    for path in exports:
        for row in _songs(path, below(folder, path)):
            if isinstance(row, Dropped):
                yield row
                continue
            where, song = row
            info = song.get("info")
            info = info if isinstance(info, dict) else {}
            native_id = name(info.get("id"))
            if native_id is None or "/" in native_id:
                yield malformed(where, "its info has no id")
            elif native_id in seen:
                yield repeated(where, native_id)
            else:
                seen.add(native_id)
                yield _entry(native_id, audio.get(native_id, f"audio/{native_id}.mp3"), song, info)


def _entry(native_id: str, audio: str, song: Mapping[str, Any], info: Mapping[str, Any]) -> Entry:
    metadata, sound = _object(info.get("metadata")), _object(info.get("audio"))
    genres = metadata.get("genres")
    tags = [tag_in("genre", word) for word in texts(genres if isinstance(genres, list) else ())]
    sung = _object(_object(song.get("annotations")).get("annot"))
    if any(sung.get(part) for part in ("notes", "words", "lines", "paragraphs")):
        tags.append(Tag("voice", "vocal"))
    video = _VIDEO.fullmatch(text(sound.get("url")) or "")
    return Entry(
        native_id,
        audio,
        tags=distinct_tags(tags),
        artist=text(info.get("artist")),
        title=text(info.get("title")),
        album=text(metadata.get("album")),
        shared_ids=(f"youtube:{video[1]}",) if video else (),
    )


def _is_export(path: Path) -> bool:
    """Tell a file of songs by its beginning: other JSON may lie beside it."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.read(65_536)
    except OSError:
        return False
    return '"info"' in head or '"annotations"' in head


def _songs(path: Path, where: str) -> Iterator[tuple[str, Mapping[str, Any]] | Dropped]:
    """Songs of one file: one, a list, lines, or a mapping by their ids."""
    if path.suffix == ".jsonl":
        for row in json_lines(path, where):
            yield row if isinstance(row, Dropped) else (f"{where}:{row[0]}", row[1])
        return
    try:
        document = json_document(path)
    except CorpusError:
        yield malformed(where, "it is no valid JSON")
        return
    if isinstance(document, dict) and "info" not in document:
        document = list(document.values())
    if isinstance(document, dict):
        yield where, document
        return
    for number, song in enumerate(document if isinstance(document, list) else [document], 1):
        if isinstance(song, dict):
            yield f"{where}:{number}", song
        else:
            yield malformed(f"{where}:{number}", "it is no JSON object")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
