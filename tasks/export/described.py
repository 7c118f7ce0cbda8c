"""What is known of an example, under names that do not depend on the job that found it out.

Times are seconds from the beginning of the example, not of its file.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.captions import compose
from tasks.captions.facts import Facts
from tasks.export.examples import Example


@dataclass(frozen=True)
class Span:
    """A text with its time: a word, a line, a section, a chord.

    Attributes
    ----------
    text
        What it is.
    start_seconds, end_seconds
        When.
    confidence
        Of a word, how sure its time is, from 0 to 1; None where nobody says.
    """

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | None = None


@dataclass(frozen=True)
class Description:
    """What is known of an example; None and empty where nothing is.

    Attributes
    ----------
    title, artist, album
        As stated.
    caption
        A description in a sentence: a human one where there is one.
    genres, moods, instruments
        As stated, then as heard.
    tempo_bpm
        Beats per minute.
    key
        Tonic and mode: ``"F# minor"``.
    time_signature
        ``"4/4"``.
    language
        Of the lyrics, BCP 47.
    is_instrumental
        Whether nobody sings.
    lyrics
        One line per line.
    lines, words
        Of the lyrics that are timed, those that begin in the example. A line without an end ends
        with its last word, or else where the next one begins.
    sections
        ``verse``, ``chorus`` and so on.
    chords
        ``C:maj``, ``A:min``, ``N``; those that are heard in the example, cut at its ends.
    beats, downbeats
        Times of the beats, and of those that begin a bar.
    licence
        As stated.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    caption: str | None = None
    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    tempo_bpm: float | None = None
    key: str | None = None
    time_signature: str | None = None
    language: str | None = None
    is_instrumental: bool | None = None
    lyrics: str | None = None
    lines: tuple[Span, ...] = ()
    words: tuple[Span, ...] = ()
    sections: tuple[Span, ...] = ()
    chords: tuple[Span, ...] = ()
    beats: tuple[float, ...] = ()
    downbeats: tuple[float, ...] = ()
    licence: str | None = None


def describe(example: Example) -> Description:
    """Return what is known of an example of any job."""
    return _OF_KIND[example.kind](example)


def _of_song(example: Example) -> Description:
    song, window = example.of_track, _Window(example)
    facts = Facts(
        genres=_both(song, "genre", "genre"),
        moods=_both(song, "mood", "mood"),
        instruments=_both(song, "instruments", "instrument"),
        voice="instrumental" if _is_instrumental(example) else None,
        key=_key(song),
        metre=song.get("time_signature"),
        tempo_bpm=song.get("tempo"),
    )
    of_segment = example.track is not None
    prompt = (
        (example.row.get("prompt_enhanced") or example.row.get("prompt")) if of_segment else None
    )
    parts = [example.row] if of_segment else example.segments
    return Description(
        title=song.get("title"),
        artist=song.get("artist"),
        album=song.get("album"),
        caption=prompt or _composed(facts, example.id),
        genres=facts.genres,
        moods=facts.moods,
        instruments=facts.instruments,
        tempo_bpm=facts.tempo_bpm,
        key=facts.key,
        time_signature=facts.metre,
        language=song.get("lyrics_language"),
        is_instrumental=_is_instrumental(example),
        lyrics=example.row.get("segment_lyrics") if of_segment else song.get("lyrics"),
        lines=window.spans(_with_ends(song), "text"),
        words=window.spans(song.get("lyrics_words"), "word"),
        sections=window.spans(parts, "section_type"),
        chords=window.heard(song.get("chords"), "chord"),
        beats=window.times(song.get("beats")),
        downbeats=window.times(song.get("downbeats")),
        licence=song.get("license"),
    )


def _of_unified(example: Example) -> Description:
    row = example.row
    facts = Facts.of_row(row)
    return Description(
        title=row.get("title"),
        artist=row.get("artist"),
        album=row.get("album"),
        caption=row.get("caption"),
        genres=facts.genres,
        moods=facts.moods,
        instruments=facts.instruments,
        tempo_bpm=facts.tempo_bpm,
        key=facts.key,
        time_signature=facts.metre,
        is_instrumental=None if facts.voice is None else facts.voice == "instrumental",
        licence=row.get("license"),
    )


def _of_concept(example: Example) -> Description:
    row = example.row
    known = row.get("description")
    name = str(row["concept"]).replace("_", " ")
    return Description(
        title=example.id,
        caption=f"{name}, {known}" if known else name,
        tempo_bpm=row.get("tempo_bpm"),
        key=row.get("key"),
    )


def _of_pair(example: Example) -> Description:
    row = example.row
    return Description(
        title=row.get("title"), artist=row.get("artist"), instruments=(str(row["instrument"]),)
    )


_OF_KIND = {
    "songs": _of_song,
    "unified": _of_unified,
    "concepts": _of_concept,
    "stems": _of_pair,
}


class _Window:
    """The times of a song as its part has them."""

    def __init__(self, example: Example) -> None:
        self._start = example.start_seconds
        self._end = example.end_seconds

    def spans(self, items: Sequence[Mapping[str, Any]] | None, name: str) -> tuple[Span, ...]:
        """Return what begins in the part, no longer than that."""
        return tuple(span for span in self._parts(items, name) if span.start_seconds >= 0)

    def heard(self, items: Sequence[Mapping[str, Any]] | None, name: str) -> tuple[Span, ...]:
        """Return what is heard in the part, no longer than that."""
        return tuple(
            replace(span, start_seconds=max(0.0, span.start_seconds))
            for span in self._parts(items, name)
            if span.start_seconds >= 0 or span.end_seconds > 0
        )

    def _parts(self, items: Sequence[Mapping[str, Any]] | None, name: str) -> Iterator[Span]:
        for each in items or ():
            start, end, text = each["start_time"], each["end_time"], each[name]
            if start is None or end is None or text is None:
                continue
            if self._end is None or start < self._end:
                last = end if self._end is None else min(end, self._end)
                times = self._relative(start), self._relative(max(start, last))
                yield Span(text, *times, each.get("alignment_confidence"))

    def times(self, times: Iterable[float] | None) -> tuple[float, ...]:
        """Return those of the part."""
        return tuple(self._relative(time) for time in times or () if self._holds(time))

    def _holds(self, time: float) -> bool:
        return self._start <= time and (self._end is None or time < self._end)

    def _relative(self, time: float) -> float:
        # The tables have times to the millisecond.
        return round(time - self._start, 3)


def _with_ends(song: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of a song that are timed, each with an end: LRC states none."""
    lines = [
        dict(line) for line in song.get("lyrics_lines") or () if line["start_time"] is not None
    ]
    lines.sort(key=lambda line: line["start_time"])
    starts = [line["start_time"] for line in lines]
    sung: dict[int, float] = {}
    for word in song.get("lyrics_words") or ():
        if word["start_time"] is not None and word["end_time"] is not None:
            of_line = bisect_right(starts, word["start_time"]) - 1
            sung[of_line] = max(word["end_time"], sung.get(of_line, 0.0))
    for number, line in enumerate(lines):
        if line["end_time"] is None:
            following = [*starts[number + 1 : number + 2], song.get("duration")]
            line["end_time"] = sung.get(number, following[0])
    return lines


def _is_instrumental(example: Example) -> bool | None:
    if example.track is not None and example.row.get("has_vocals") is not None:
        return not example.row["has_vocals"]
    found: bool | None = example.of_track.get("is_instrumental")
    return found


def _key(song: Mapping[str, Any]) -> str | None:
    tonic, mode = song.get("dominant_key"), song.get("mode")
    return f"{tonic} {mode}" if tonic and mode else None


def _both(song: Mapping[str, Any], column: str, kind: str) -> tuple[str, ...]:
    """Return what tables state, then what was heard, each once."""
    stated = [part.strip() for part in re.split(r"[,;|]", song.get(column) or "")]
    heard = [each["tag"] for each in song.get("tags") or () if each["kind"] == kind]
    return tuple(
        {each.casefold(): each for each in [*heard[::-1], *stated[::-1]] if each}.values()
    )[::-1]


def _composed(facts: Facts, seed: str) -> str | None:
    found = compose.compose(facts, seed, count=1)
    return found[0].text if found else None
