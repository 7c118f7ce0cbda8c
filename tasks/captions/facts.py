"""What is known of a track that a caption may say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from tasks.corpora.captioned.entry import Measured, Tag


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a track, under the names of the unified dataset's columns.

    Attributes
    ----------
    genres, moods, instruments, themes
        As people write them in a sentence, in the order of the corpus.
    voice
        ``female``, ``male``, ``mixed``, ``child``, ``vocal`` or ``instrumental``.
    speed
        ``slow``, ``medium`` or ``fast``.
    key
        Tonic and mode: ``"F# minor"``.
    metre
        ``"4/4"``.
    tempo_bpm
        Beats per minute.
    sections
        Names of the sections in their order.
    """

    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    voice: str | None = None
    speed: str | None = None
    key: str | None = None
    metre: str | None = None
    tempo_bpm: float | None = None
    sections: tuple[str, ...] = ()

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Facts in a row of the unified dataset, or in what :meth:`as_row` returned."""
        values: dict[str, Any] = {
            name: tuple(row.get(name) or ()) if name in _LISTS else row.get(name)
            for name in COLUMNS
        }
        return cls(**values)

    def as_row(self) -> dict[str, Any]:
        """Return the same as columns of a row, lists as lists: JSON can hold it."""
        return {
            name: list(value) if name in _LISTS else value for name, value in asdict(self).items()
        }


COLUMNS = tuple(field.name for field in fields(Facts))
_LISTS = frozenset({"genres", "moods", "instruments", "themes", "sections"})


def facts_of(tags: Sequence[Tag], measured: Measured) -> Facts:
    """Facts in what a corpus says of a track.

    Several voices are ``mixed``, and ``vocal`` beside one of them adds nothing. Tags that exclude
    each other (instrumental and a voice, two speeds) leave the fact unknown, and so does a tempo
    that is none.
    """
    of_kind: dict[str, list[str]] = {}
    for tag in tags:
        of_kind.setdefault(tag.kind, []).append(tag.value)
    tempo_bpm = measured.tempo_bpm
    if tempo_bpm is not None and not (math.isfinite(tempo_bpm) and tempo_bpm > 0):
        tempo_bpm = None
    speeds = set(of_kind.get("speed", ()))
    return Facts(
        genres=tuple(of_kind.get("genre", ())),
        moods=tuple(of_kind.get("mood", ())),
        instruments=tuple(of_kind.get("instrument", ())),
        themes=tuple(of_kind.get("theme", ())),
        voice=_voice(set(of_kind.get("voice", ()))),
        speed=speeds.pop() if len(speeds) == 1 else None,
        key=measured.key,
        metre=measured.metre,
        tempo_bpm=tempo_bpm,
        sections=measured.sections,
    )


def _voice(voices: set[str]) -> str | None:
    if len(voices) < 2:
        return next(iter(voices), None)
    if "instrumental" in voices:
        return None
    sure = voices - {"vocal"}
    return sure.pop() if len(sure) == 1 else "mixed"
