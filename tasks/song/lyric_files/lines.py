"""Lyrics in memory: lines and words with their times, headings and what was noticed."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

_SPACELESS_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_QUOTED_LINES = 3
_QUOTED_CHARACTERS = 60


@dataclass(slots=True)
class Word:
    """A word as written, with its times in seconds where the file gives them."""

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(slots=True)
class Line:
    """A line as written, with its times in seconds where the file gives them.

    A heading ("[Chorus]") is a row of the file and no line of the lyrics. A row without text
    parts stanzas.
    """

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    words: list[Word] = field(default_factory=list)
    is_heading: bool = False
    translation: str | None = None

    def part(self, start: int, end: int | None = None) -> "Line":
        """Return what lies between two characters of the line: the text, and its words.

        A word across a bound is cut there: scripts without spaces have whole lines of one word.
        """
        end = len(self.text) if end is None else end
        kept: list[Word] = []
        position = 0
        for word in self.words:
            first = self.text.index(word.text, position)
            position = first + len(word.text)
            text = self.text[max(first, start) : min(position, end)].strip()
            if first < end and position > start and is_word(text):
                kept.append(Word(text, word.start_seconds, word.end_seconds))
        start_seconds = self.start_seconds
        if start > 0 and kept and kept[0].start_seconds is not None:
            start_seconds = kept[0].start_seconds
        return Line(self.text[start:end].strip(), start_seconds, self.end_seconds, kept)


class Heading(NamedTuple):
    """Label of a section, as written.

    Attributes
    ----------
    text
        Without brackets: "Verse 1: Ann".
    start_seconds
        Its own time, or else that of the line it stands over.
    line
        Index of the line that follows; None if none does.
    """

    text: str
    start_seconds: float | None
    line: int | None


@dataclass(slots=True)
class Lyrics:
    """What a lyrics file says.

    Attributes
    ----------
    rows
        All rows in the order in which they are sung: lines, headings, and empty ones.
    language
        The file's own language, as a BCP 47 tag.
    title, artist
        What the file says that it is the lyrics of.
    notices
        What was repaired or left out, each as ``code: sentence``.
    is_instrumental
        Whether the file says that there is nothing to sing.
    lines_beyond_end
        How many lines would start after the end of the audio.
    """

    rows: list[Line]
    language: str | None = None
    title: str = ""
    artist: str = ""
    notices: list[str] = field(default_factory=list)
    is_instrumental: bool = False
    lines_beyond_end: int = 0

    @property
    def lines(self) -> list[Line]:
        """Lines that have text."""
        return [row for row in self.rows if row.text and not row.is_heading]

    @property
    def text(self) -> str:
        """The lines, an empty one between stanzas."""
        stanzas = "\n".join(row.text for row in self.rows if not row.is_heading)
        return re.sub(r"\n{3,}", "\n\n", stanzas).strip("\n")

    @property
    def headings(self) -> list[Heading]:
        """Headings, in order."""
        found: list[Heading] = []
        below: Line | None = None
        line = len(self.lines)
        lines = line
        for row in reversed(self.rows):
            if row.is_heading:
                start = row.start_seconds
                if start is None and below is not None and not below.is_heading:
                    start = below.start_seconds
                found.append(Heading(row.text, start, line if line < lines else None))
            elif row.text:
                line -= 1
            if row.text:
                below = row
        return found[::-1]

    @property
    def timed_lines(self) -> bool:
        """Whether any line has a time."""
        return any(line.start_seconds is not None for line in self.lines)

    @property
    def timed_words(self) -> bool:
        """Whether there are times within lines."""
        return any(word.start_seconds is not None for line in self.lines for word in line.words)


def is_word(token: str) -> bool:
    """Return whether a piece of text between spaces is sung, not mere punctuation or ornament."""
    return token == "&" or any(char.isalnum() for char in token)


def is_spaceless(*chars: str) -> bool:
    """Return whether a character belongs to a script that writes no spaces between words."""
    return any(unicodedata.name(char, "").startswith(_SPACELESS_SCRIPTS) for char in chars)


def sort(rows: list[Line]) -> list[Line]:
    """Return the rows by start; those without a time stay behind the row they follow."""
    keys = []
    last = 0.0
    for row in rows:
        last = last if row.start_seconds is None else row.start_seconds
        keys.append(last)
    order = sorted(range(len(rows)), key=keys.__getitem__)
    return [rows[index] for index in order]


def close(rows: list[Line]) -> None:
    """Set the ends that follow from the next start. Rows that start together end together."""
    following: float | None = None
    current: float | None = None
    for row in reversed(rows):
        if row.start_seconds is None:
            continue
        if row.start_seconds != current:
            following, current = current, row.start_seconds
        if row.end_seconds is None or row.end_seconds < row.start_seconds:
            row.end_seconds = following


def notice(code: str, sentence: str, examples: list[str] | None = None) -> str:
    """Return a notice, with the number and the first of the lines that it is about."""
    if not examples:
        return f"{code}: {sentence}."
    shown = [
        text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"
        for text in examples[:_QUOTED_LINES]
    ]
    more = " | …" if len(examples) > _QUOTED_LINES else ""
    return f"{code}: {sentence} ({len(examples)}): {' | '.join(shown)}{more}"
