"""JamendoMaxCaps: metadata of Jamendo as ``YYYY-MM-DD.jsonl``, captions of windows of 30 s, audio.

A track is one entry, with the captions of its windows in their order: they are made by a model, and
most are of the whole track. https://huggingface.co/datasets/amaai-lab/JamendoMaxCaps
"""

import json
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Tag
from tasks.corpora.captioned.places import (
    find_files,
    no_audio,
    numbered_audio,
    relative,
    wrong_folder,
)
from tasks.corpora.captioned.reading import (
    below,
    distinct_tags,
    empty_caption,
    finite,
    json_lines,
    malformed,
    name,
    repeated,
    seconds,
    text,
    texts,
)
from tasks.corpora.captioned.song_describer import jamendo
from tasks.corpora.captioned.vocabulary import tag_in, tag_of

CAPTIONS = "final_caption30sec.jsonl"
_METADATA = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].jsonl"

_SPEEDS = {"verylow": "slow", "low": "slow", "medium": "medium", "high": "fast", "veryhigh": "fast"}
_VOICES = {"female": "female", "male": "male"}


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the tracks of the metadata, then those that have captions alone.

    Captions stay on disk: of each its place is kept.

    Raises
    ------
    CorpusError
        If there are neither captions nor metadata of JamendoMaxCaps.
    """
    captions = find_files(folder, CAPTIONS)[:1]
    metadata = find_files(folder, _METADATA)
    if not captions and not metadata:
        raise wrong_folder(folder, "jamendo_max_caps", f"{CAPTIONS} or YYYY-MM-DD.jsonl")
    place, suffix = "audio/", ".mp3"
    found = numbered_audio(folder)
    if found is not None:
        place, suffix = relative(folder, found[0]), found[1]
    elif find_files(folder, "train-*.parquet"):
        sentence = "Its audio is still inside train-*.parquet: write it out as audio/<id>.mp3."
        yield Dropped("no-audio-folder", ".", sentence, is_notice=True)
    else:
        yield no_audio(folder, "with <id>.mp3")
    places: dict[str, array[int]] = {}
    for path in captions:
        yield from _index(path, below(folder, path), places)
    seen: set[str] = set()
    with _opened(captions) as file:
        for path in metadata:
            where = below(folder, path)
            for row in json_lines(path, where):
                if isinstance(row, Dropped):
                    yield row
                    continue
                line, values = row
                number = _number(values.get("id"))
                if number is None:
                    yield malformed(f"{where}:{line}", "it has no id of a track")
                elif number in seen:
                    yield repeated(f"{where}:{line}", number)
                else:
                    seen.add(number)
                    windows = _captions(file, places.get(number))
                    yield _entry(number, f"{place}{number}{suffix}", windows, values)
        for number, where_captions in places.items():
            if number not in seen:
                windows = _captions(file, where_captions)
                yield _entry(number, f"{place}{number}{suffix}", windows, {})


def _entry(number: str, audio: str, captions: tuple[str, ...], values: Mapping[str, Any]) -> Entry:
    artist_id, album_id = name(values.get("artist_id")), name(values.get("album_id"))
    return Entry(
        number,
        audio,
        captions=captions,
        language="en" if captions else None,
        tags=_tags(values.get("musicinfo")),
        duration_seconds=seconds(values.get("duration")),
        artist=text(values.get("artist_name")),
        title=text(values.get("name")),
        album=text(values.get("album_name")),
        artist_id=jamendo("artist", artist_id),
        album_id=jamendo("album", album_id),
        shared_ids=(f"jamendo:{number}",),
        licence=text(values.get("license_ccurl")),
    )


def _tags(musicinfo: Any) -> tuple[Tag, ...]:
    """Genres, instruments and free tags, then voice and speed, of Jamendo's ``musicinfo``."""
    info = musicinfo if isinstance(musicinfo, dict) else {}
    lists = info.get("tags")
    lists = lists if isinstance(lists, dict) else {}

    def listed(key: str) -> tuple[str, ...]:
        value = lists.get(key)
        return texts(value) if isinstance(value, list) else ()

    tags = [tag_in("genre", word) for word in listed("genres")]
    tags += [tag_in("instrument", word) for word in listed("instruments")]
    tags += [tag_of(word) for word in listed("vartags")]
    if info.get("vocalinstrumental") == "instrumental":
        tags.append(Tag("voice", "instrumental"))
    elif info.get("vocalinstrumental") == "vocal":
        tags.append(Tag("voice", _VOICES.get(str(info.get("gender")), "vocal")))
    if speed := _SPEEDS.get(str(info.get("speed"))):
        tags.append(Tag("speed", speed))
    return distinct_tags(tags)


def _number(value: Any) -> str | None:
    found = re.fullmatch(r"\d{1,12}", name(value) or "", re.ASCII)
    return found[0].lstrip("0") or "0" if found else None


def _index(path: Path, where: str, places: dict[str, "array[int]"]) -> Iterator[Dropped]:
    """Fill the places in the file where the captions of each track stand."""
    try:
        with path.open("rb") as file:
            start = 0
            for line, content in enumerate(file, 1):
                if content.strip():
                    number, is_empty = _of_caption(content)
                    if number is None:
                        yield malformed(f"{where}:{line}", "it is no JSON object with an id")
                    else:
                        kept = places.setdefault(number, array("q"))
                        if is_empty:
                            yield empty_caption(f"{where}:{line}", number)
                        else:
                            kept.append(start)
                start += len(content)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None


def _of_caption(line: bytes) -> tuple[str | None, bool]:
    """Track of a line of captions, None if it is none, and whether the caption is empty."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None, True
    if not isinstance(value, dict):
        return None, True
    return _number(value.get("id")), text(value.get("caption")) is None


def _opened(captions: Sequence[Path]) -> AbstractContextManager[IO[bytes] | None]:
    return captions[0].open("rb") if captions else nullcontext()


def _captions(file: IO[bytes] | None, places: "array[int] | None") -> tuple[str, ...]:
    """Return the captions at some places, by the times of their windows."""
    if file is None or places is None:
        return ()
    windows = []
    for place in places:
        file.seek(place)
        value = json.loads(file.readline().decode("utf-8-sig"))
        start = finite(value.get("start_time"))
        windows.append((0.0 if start is None else start, value["caption"]))
    return texts(caption for _, caption in sorted(windows, key=lambda each: each[0]))
