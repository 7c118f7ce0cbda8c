"""A plain folder of audio; beside ``X.mp3`` may lie ``X.txt`` and ``X.json``.

The text holds a caption per line. The JSON is an object with any of ``caption`` or ``captions``,
``artist``, ``title``, ``album``, ``license``, ``language``, ``split``, ``duration``, ``genre``,
``mood``, ``instruments``, ``theme``, ``tags``, ``tempo_bpm``, ``key``, ``metre``, ``sections``,
``evaluation_only``.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Measured, Tag
from tasks.corpora.captioned.places import audio_below, files_below, wrong_folder
from tasks.corpora.captioned.reading import (
    distinct_tags,
    empty_caption,
    finite,
    json_document,
    malformed,
    seconds,
    text,
    texts,
)
from tasks.corpora.captioned.song_describer import words
from tasks.corpora.captioned.vocabulary import tag_in, tag_of
from tasks.corpora.tables import MetadataError, encoding_of
from tasks.text import printable

_SPLITS = frozenset({"train", "validation", "test"})
_CATEGORIES = {
    "genre": "genre",
    "genres": "genre",
    "mood": "mood",
    "moods": "mood",
    "instrument": "instrument",
    "instruments": "instrument",
    "theme": "theme",
    "themes": "theme",
    "voice": "voice",
    "speed": "speed",
}
_KEY = re.compile(r"([A-Ga-g])([#b♯♭]?) *(major|minor|maj|min)", re.IGNORECASE)


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield every file of audio below a folder, whether or not there are texts beside it.

    Raises
    ------
    CorpusError
        If there is no audio in it.
    """
    is_any = False
    described: set[str] = set()
    for path in audio_below(folder):
        is_any = True
        stem = os.path.splitext(path)[0]
        described.add(stem)
        captions: dict[str, None] = {}
        fields: dict[str, Any] = {}
        beside = folder / f"{stem}.txt"
        if beside.is_file():
            for text_or_notice in _lines(beside, printable(f"{stem}.txt"), printable(path)):
                if isinstance(text_or_notice, Dropped):
                    yield text_or_notice
                else:
                    captions[text_or_notice] = None
        beside = folder / f"{stem}.json"
        if beside.is_file():
            try:
                found = json_document(beside)
            except CorpusError:
                found = None
            if isinstance(found, dict):
                fields = found
            else:
                yield _unreadable(f"{stem}.json", path, "it is no JSON object")
        written = [fields.get("caption")]
        written += fields["captions"] if isinstance(fields.get("captions"), list) else []
        captions.update(dict.fromkeys(texts(written)))
        yield _entry(path, tuple(captions), fields)
    if not is_any:
        raise wrong_folder(folder, "folder", "file of audio")
    for sidecar in files_below(folder, ".txt"):
        path = sidecar.relative_to(folder).as_posix()
        if os.path.splitext(path)[0] not in described:
            cause = "there is no audio of that name"
            yield malformed(printable(path), cause)


def _entry(path: str, captions: tuple[str, ...], fields: Mapping[str, Any]) -> Entry:
    split = text(fields.get("split"))
    return Entry(
        printable(path),
        path,
        captions=captions,
        language=text(fields.get("language")),
        tags=_tags(fields),
        measured=_measured(fields),
        duration_seconds=seconds(fields.get("duration")),
        artist=text(fields.get("artist")),
        title=text(fields.get("title")),
        album=text(fields.get("album")),
        licence=text(fields.get("license")) or text(fields.get("licence")),
        evaluation_only=fields.get("evaluation_only") is True,
        split=split if split in _SPLITS else None,
    )


def _tags(fields: Mapping[str, Any]) -> tuple[Tag, ...]:
    tags = []
    for key, value in fields.items():
        if key in _CATEGORIES:
            tags += [tag_in(_CATEGORIES[key], word) for word in words(value)]
        elif key in ("tags", "keywords"):
            tags += [tag_of(word) for word in words(value)]
    return distinct_tags(tags)


def _measured(fields: Mapping[str, Any]) -> Measured:
    tempo = finite(fields.get("tempo_bpm", fields.get("bpm")))
    metre = text(fields.get("metre")) or text(fields.get("time_signature"))
    sections = fields.get("sections")
    return Measured(
        tempo_bpm=tempo if tempo is not None and 0 < tempo < 1000 else None,
        key=key_of(text(fields.get("key"))),
        metre=metre if metre and re.fullmatch(r"\d{1,2}/\d{1,2}", metre, re.ASCII) else None,
        sections=tuple(filter(None, map(text, sections))) if isinstance(sections, list) else (),
    )


def key_of(stated: str | None) -> str | None:
    """Return a key as all corpora write it, ``F# minor``; None of what is no key."""
    found = _KEY.fullmatch(stated or "")
    if found is None:
        return None
    accidental = found[2].translate({ord("♯"): "#", ord("♭"): "b", ord("B"): "b"})
    mode = "major" if found[3].lower().startswith("maj") else "minor"
    return f"{found[1].upper()}{accidental} {mode}"


def _lines(path: Path, where: str, native_id: str) -> Iterator[str | Dropped]:
    """Captions of a text file, and what is wrong with it."""
    try:
        encoding, _ = encoding_of(path, "caption")
        found = texts(path.read_text(encoding=encoding, errors="replace").splitlines())
    except (MetadataError, OSError):
        yield _unreadable(where, native_id, "it is no text that can be read")
        return
    yield from found
    if not found:
        yield empty_caption(where, native_id)


def _unreadable(where: str, native_id: str, cause: str) -> Dropped:
    shown = printable(where)
    sentence = f"{shown} is not taken, since {cause}."
    return Dropped("malformed-sidecar", shown, sentence, printable(native_id), is_notice=True)
