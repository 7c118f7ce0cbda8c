"""What people corrected in a dataset: ``corrections.jsonl`` beside its tables.

A line is a correction: ``{"track_id", "column", "value", "was", "at", "by"}``, of a segment also
``segment_idx`` and ``start_time``. A value of null says that what was computed is wrong, and that
what is right is not known; ``"revoked": true`` in place of the value takes earlier lines back.
Lines are only ever added, and the last one of a track and column holds. The file outlives the
tables, which the next build makes of computed values and of this.
"""

import getpass
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from blocks.storage import Storage, StorageError
from tasks.dataset.manifest import now

CORRECTIONS = "corrections.jsonl"

DROP = "drop"
"""Column of a correction that leaves a track out."""

SECTION_TYPES = ("intro", "verse", "chorus", "bridge", "solo", "outro", "inst")
MODES = ("major", "minor")
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#", "Cb": "B", "Fb": "E"}

TEMPO_BPM = (20.0, 400.0)
"""What a metronome and the fastest music reach, with room to spare."""

MOST_LYRICS = 100_000
"""Characters; the longest librettos have as many."""

LONGEST_ARTIST = 500
"""Characters; a piece with all its soloists, choirs and orchestras may have as many."""

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A BCP 47 tag, as far as lyrics need one."""

SAME_START_SECONDS = 0.05
"""How far a segment's start may have moved for a correction to be of it: less than a beat."""


class CorrectionError(ValueError):
    """What is no correction; one sentence."""


@dataclass(frozen=True)
class Correction:
    """What a person said of one value.

    Attributes
    ----------
    track_id
        Of the track.
    column
        A key of :data:`COLUMNS`.
    value
        What is right; None if only what was computed is known to be wrong.
    was
        What was computed when it was corrected.
    segment_idx, start_time
        Place and start (in seconds) of the segment, if it is a segment's value.
    revoked
        Whether the value is to be as computed again.
    at, by
        When, and the name of the user.
    """

    track_id: str
    column: str
    value: Any = None
    was: Any = None
    segment_idx: int | None = None
    start_time: float | None = None
    revoked: bool = False
    at: str = field(default_factory=now)
    by: str = field(default_factory=lambda: _user())


@dataclass(frozen=True)
class Corrections:
    """The corrections of a dataset.

    Attributes
    ----------
    by_track
        Track -> those that hold.
    left_out
        A sentence for each line that is none.
    """

    by_track: Mapping[str, tuple[Correction, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read(folder: Storage) -> Corrections:
    """Read the corrections beside a dataset's tables; lines that are none take no other with them.

    Parameters
    ----------
    folder
        Of the tables.
    """
    try:
        lines = folder.read_bytes(CORRECTIONS).splitlines()
    except FileNotFoundError:
        return Corrections()
    latest: dict[tuple[str, str, int | None], Correction] = {}
    left_out = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            correction = _parsed(line)
        except CorrectionError as error:
            left_out.append(f"Line {number} of {folder.address}/{CORRECTIONS} is left out: {error}")
            continue
        key = correction.track_id, correction.column, correction.segment_idx
        latest[key] = correction
    return Corrections(
        _by_track(each for each in latest.values() if not each.revoked), tuple(left_out)
    )


def add(folder: Storage, correction: Correction) -> Correction:
    """Add one to the corrections beside a dataset's tables.

    Parameters
    ----------
    folder
        Of the tables, on this machine.
    correction
        To be checked, and added.

    Returns
    -------
    Correction
        As it stands there: its value in the form that the dataset has.

    Raises
    ------
    CorrectionError
        If it is none.
    StorageError
        If the file cannot be written.
    """
    checked = _checked(correction)
    entry = {name: each for name, each in asdict(checked).items() if each is not None}
    if not checked.revoked:
        entry = {**entry, "value": checked.value}
        del entry["revoked"]
    path = f"{folder.address}/{CORRECTIONS}"
    try:
        # In one piece at the end: two people may correct at a time. What an interrupted write left
        # without an end must not swallow this line.
        with open(path, "ab+") as file:
            whole = file.seek(0, os.SEEK_END) == 0
            if not whole:
                file.seek(-1, os.SEEK_END)
                whole = file.read(1) == b"\n"
            file.write((b"" if whole else b"\n") + orjson.dumps(entry) + b"\n")
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}).") from error
    return checked


def check(column: str, value: Any) -> Any:
    """Return a value in the form that the dataset has.

    Parameters
    ----------
    column
        A key of :data:`COLUMNS`.
    value
        As a person typed it, or as it stands in the file.

    Raises
    ------
    CorrectionError
        If the column cannot be corrected, or never holds such a value.
    """
    if column not in COLUMNS:
        raise CorrectionError(f"{column} cannot be corrected: {', '.join(COLUMNS)} can.")
    return COLUMNS[column](value)


def _tempo(value: Any) -> float:
    try:
        # A comma is what a point is in most of Europe.
        text = value.replace(",", ".") if isinstance(value, str) else value
        tempo = math.nan if isinstance(value, bool) else float(text)
    except (TypeError, ValueError):
        tempo = math.nan
    low, high = TEMPO_BPM
    if not low <= tempo <= high:
        raise CorrectionError(
            f"{value!r} is no tempo: it has to be from {low:.0f} to {high:.0f} BPM."
        )
    return round(tempo, 2)


def _key(value: Any) -> str:
    text = str(value).replace("♯", "#").replace("♭", "b").strip()
    match = re.fullmatch(r"([A-Ga-g])([#b]?)\s+(major|minor)", text, re.IGNORECASE)
    tonic = match and match[1].upper() + match[2]
    tonic = tonic and FLATS.get(tonic, tonic)
    if not match or tonic not in TONICS:
        raise CorrectionError(f"{value!r} is no key: C# minor and Bb major are some.")
    return f"{tonic} {match[3].lower()}"


def _section_type(value: Any) -> str:
    if value not in SECTION_TYPES:
        raise CorrectionError(f"{value!r} is no type of section: {', '.join(SECTION_TYPES)} are.")
    return str(value)


def _lyrics(value: Any) -> str:
    lines = [line.strip() for line in value.splitlines()] if isinstance(value, str) else []
    text = "\n".join(lines).strip()
    if not text or len(text) > MOST_LYRICS:
        raise CorrectionError(
            f"Lyrics have to be a text of 1 to {MOST_LYRICS:,} characters; to say that there are "
            "none, mark what is there as wrong."
        )
    return text


def _language(value: Any) -> str:
    if not isinstance(value, str) or not LANGUAGE.fullmatch(value.strip()):
        raise CorrectionError(f"{value!r} is no language: en, pt-BR and yue are some (BCP 47).")
    return value.strip()


def _artist(value: Any) -> str:
    name = " ".join(value.split()) if isinstance(value, str) else ""
    if not name or len(name) > LONGEST_ARTIST:
        raise CorrectionError(
            f"An artist has to be a name of 1 to {LONGEST_ARTIST} characters; to say that nobody "
            "knows who it is, mark what is there as wrong."
        )
    return name


def _drop(value: Any) -> bool:
    if value is not True:
        raise CorrectionError("A track is dropped by true, and kept by taking that back.")
    return True


COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "tempo": _tempo,
    "key": _key,
    "section_type": _section_type,
    "lyrics": _lyrics,
    "lyrics_language": _language,
    "artist": _artist,
    DROP: _drop,
}
"""What can be corrected, and what checks it; `key` is tonic and mode, as ``C# minor``."""

OF_SEGMENTS = frozenset({"section_type"})
"""Columns that a segment has."""


def _checked(correction: Correction) -> Correction:
    of_segment = correction.column in OF_SEGMENTS
    placed = isinstance(correction.segment_idx, int) and isinstance(correction.start_time, float)
    if not (isinstance(correction.track_id, str) and correction.track_id):
        raise CorrectionError("It names no track.")
    if of_segment and not placed:
        raise CorrectionError(f"{correction.column} needs segment_idx and start_time.")
    nothing = correction.revoked or (correction.value is None and correction.column != DROP)
    if nothing and correction.column in COLUMNS:
        value = None
    else:
        value = check(correction.column, correction.value)
    return replace(
        correction,
        value=value,
        segment_idx=correction.segment_idx if of_segment else None,
        start_time=correction.start_time if of_segment else None,
    )


def _parsed(line: bytes) -> Correction:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CorrectionError("it is no JSON.") from error
    if not isinstance(entry, dict) or not {"track_id", "column"} <= entry.keys():
        raise CorrectionError("it names no track_id and column.")
    if "value" not in entry and entry.get("revoked") is not True:
        raise CorrectionError("it has neither a value nor revoked.")
    if unknown := sorted(entry.keys() - Correction.__dataclass_fields__.keys()):
        raise CorrectionError(f"{', '.join(unknown)} belongs to no correction.")
    known: dict[str, Any] = {"at": "", "by": ""} | entry
    return _checked(Correction(**known))


def _by_track(corrections: Iterable[Correction]) -> dict[str, tuple[Correction, ...]]:
    by_track: dict[str, list[Correction]] = {}
    for each in corrections:
        by_track.setdefault(each.track_id, []).append(each)
    return {track_id: tuple(found) for track_id, found in by_track.items()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return ""
