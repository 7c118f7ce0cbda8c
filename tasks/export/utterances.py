"""What is sung in an example, as recognizers of speech learn it: lines of text with their times.

A song is its lines, those that have times; a segment, or a song whose lines have none, is one
utterance with the whole text.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.export.described import Description, Span
from tasks.export.examples import Example

BREAKS = ("Cc", "Zl", "Zp")
"""Categories of Unicode that no text of one line has: control, line and paragraph separator."""


@dataclass(frozen=True)
class Utterance:
    """Something that is sung.

    Attributes
    ----------
    text
        One line, in the normalization form NFC.
    start_seconds, end_seconds
        When, from the beginning of the example; there is something between them.
    words
        Those of its words that have times, as the dataset writes them.
    """

    text: str
    start_seconds: float
    end_seconds: float
    words: tuple[Span, ...]


def utterances(example: Example, said: Description, seconds: float) -> list[Utterance]:
    """Return what is sung in an example; nothing if no words are known.

    Parameters
    ----------
    example, said
        The example, and what is known of it.
    seconds
        Length of its audio. What lies behind its end is left out.
    """
    lines: list[Utterance] = []
    if example.track is None:
        words = words_of_lines(said.lines, said.words)
        for line, of_line in zip(said.lines, words, strict=True):
            end = min(line.end_seconds, seconds)
            text = one_line(line.text)
            if text and line.start_seconds < end:
                lines.append(Utterance(text, line.start_seconds, end, of_line))
    whole = one_line(said.lyrics or "")
    if lines or not whole:
        return lines
    return [Utterance(whole, 0.0, seconds, said.words)]


def words_of_lines(lines: Sequence[Span], words: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Return the words of each line.

    Words are parts of the lines' texts and follow each other as they do there. That says more
    than their times: those of a file of lyrics may be off by more than a word. What is in no line
    is left out.
    """
    found: list[list[Span]] = [[] for _ in lines]
    line = at = 0
    for word in words:
        for number in range(line, len(lines)):
            place = lines[number].text.find(word.text, at if number == line else 0)
            if place >= 0:
                line, at = number, place + len(word.text)
                found[line].append(word)
                break
    return [tuple(each) for each in found]


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, in NFC; white space is a space."""
    composed = unicodedata.normalize("NFC", text)
    plain = (" " if unicodedata.category(each) in BREAKS else each for each in composed)
    return " ".join("".join(plain).split())
