"""MusicBench: captions of MusicCaps and of altered copies of its clips, with tempo, key and chords.

``MusicBench_{train,test_A,test_B}.json`` are JSON lines, a row per caption: rows of one file of
audio are one entry. What the tests hold, and all of AudioSet's evaluation set, is for evaluation
alone. The clips come from YouTube, and nobody states a licence of their sound.
https://huggingface.co/datasets/amaai-lab/MusicBench
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.corpora.captioned.entry import Dropped, Entry, Measured
from tasks.corpora.captioned.places import find_files, find_folder, no_audio, relative, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    empty_caption,
    finite,
    json_lines,
    malformed,
    text,
    texts,
)

_METRES: Mapping[float | None, str] = {3.0: "3/4", 4.0: "4/4"}
_TONIC = re.compile(r"[A-G][#b]?")
_TEMPI_BPM = (20.0, 400.0)


@dataclass
class _Clip:
    """A file of audio as its captions are gathered."""

    captions: dict[str, None] = field(default_factory=dict)
    measured: Measured = field(default_factory=Measured)
    evaluation_only: bool = False


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the clips of all three files.

    Raises
    ------
    CorpusError
        If there is no ``MusicBench_*.json``.
    """
    files = find_files(folder, "MusicBench_*.json")
    if not files:
        raise wrong_folder(folder, "musicbench", "MusicBench_train.json")
    clips: dict[str, _Clip] = {}
    for path in files:
        where = below(folder, path)
        for row in json_lines(path, where):
            if isinstance(row, Dropped):
                yield row
                continue
            line, values = row
            location = _location(values.get("location"))
            if location is None:
                yield malformed(f"{where}:{line}", "its location names no file of audio")
                continue
            captions = texts((values.get("main_caption"), values.get("alt_caption")))
            if not captions:
                yield empty_caption(f"{where}:{line}", _native_id(location))
            clip = clips.setdefault(location, _Clip(measured=_measured(values)))
            clip.captions.update(dict.fromkeys(captions))
            if "_test" in path.name or _is_true(values.get("is_audioset_eval_mcaps")):
                clip.evaluation_only = True
    prefixes: dict[str, str] = {}
    for top in dict.fromkeys(location.partition("/")[0] for location in clips):
        found = find_folder(folder, top)
        prefixes[top] = "" if found is None else relative(folder, found.parent)
        if found is None:
            yield no_audio(folder, top)
    for location, clip in clips.items():
        video = re.match(r"[\w-]{11}", PurePosixPath(location).stem, re.ASCII)
        yield Entry(
            _native_id(location),
            prefixes[location.partition("/")[0]] + location,
            captions=tuple(clip.captions),
            language="en" if clip.captions else None,
            measured=clip.measured,
            shared_ids=(f"youtube:{video[0]}",) if video else (),
            evaluation_only=clip.evaluation_only,
            split="test" if clip.evaluation_only else None,
        )


def _location(value: Any) -> str | None:
    """Path of a file below the corpus; None of what leads out of it or is none."""
    path = PurePosixPath((text(value) or "").replace("\\", "/"))
    inside = not path.is_absolute() and ".." not in path.parts
    return str(path) if inside and len(path.parts) > 1 and path.suffix else None


def _native_id(location: str) -> str:
    """Name of the file, with its folders where there are several: copies differ by them."""
    return str(PurePosixPath(location).with_suffix("")).replace("/", "-")


def _measured(values: Mapping[str, Any]) -> Measured:
    tempo, key = finite(values.get("bpm")), values.get("key")
    if tempo is None or not _TEMPI_BPM[0] <= tempo <= _TEMPI_BPM[1]:
        tempo = None
    name = None
    if isinstance(key, list) and len(key) == 2:
        tonic, mode = text(key[0]) or "", (text(key[1]) or "").lower()
        if _TONIC.fullmatch(tonic) and mode in ("major", "minor"):
            name = f"{tonic} {mode}"
    return Measured(tempo_bpm=tempo, key=name, metre=_metre(values.get("beats")))


def _metre(beats: Any) -> str | None:
    """Metre by the numbers of the beats, the second of two lists: those before each first one."""
    if not (isinstance(beats, list) and len(beats) == 2 and isinstance(beats[1], list)):
        return None
    numbers = [finite(each) for each in beats[1]]
    lasts = {last for last, first in pairwise(numbers) if first == 1}
    return _METRES.get(lasts.pop()) if len(lasts) == 1 else None


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")
