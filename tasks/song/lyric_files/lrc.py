"""Lines, words and times of lyrics: plain text, LRC and enhanced LRC.

The LRC that is read (there is no standard; these are the forms players share):

- line times ``[mm:ss]``, ``[mm:ss.xx]``, ``[mm:ss.xxx]``, ``[mm:ss:xx]``, ``[hh:mm:ss]`` and
  ``[hh:mm:ss.xx]``; several before one line repeat it;
- word times of the A2 extension, ``<mm:ss.xx>``, or in square brackets within the line; a time
  without text behind it ends what precedes it;
- id tags ``[ar:]``, ``[ti:]``, ``[la:]``, ``[offset:]`` and so on; walaoke's ``F:``, ``M:``,
  ``D:`` are dropped. Lines that are one bracket, as ``[Chorus]``, are headings.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from tasks.song.lyric_files.headings import is_section
from tasks.song.lyric_files.lines import Line, Lyrics, Word, close, is_spaceless, is_word, sort
from tasks.step import TrackError

MAX_CHARACTERS = 1_000_000
"""Largest text that repeated lines may amount to; more is no lyrics."""

_TIME = r"\s*(-?\d{1,4}:\d{1,3}(?::\d{1,3})?(?:[.,]\d{1,6})?)\s*"
LINE_TIME = re.compile(rf"\s*\[{_TIME}\]")
ANY_TIME = re.compile(rf"\[{_TIME}\]|<{_TIME}>")
_ID_LINE = re.compile(r"\[\s*[A-Za-z#]{1,16}\s*:.*\]")
_ID_TAG = re.compile(r"\[\s*([A-Za-z#]{1,16})\s*:([^\]]*)\]")
_ANNOTATION = re.compile(r"\[[^\]]*\]\s*")
_WALAOKE = re.compile(r"\s*[FMD]:\s*")
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


def parse(text: str) -> Lyrics:
    """Lines and words of a decoded lyrics file.

    Lines are sorted by start; lines without a time stay behind the line they follow. The offset
    tag is applied (a positive one makes lyrics appear sooner), and what would then start before
    the track starts with it. A line ends at its own end time if it has one, else where the next
    line or empty timed line starts; the last one's end stays unknown. A word ends where the next
    timed word of its line starts. Times beyond the end of the track are kept.

    Raises
    ------
    TrackError
        ``lyrics-too-large`` if repeated lines amount to more than :data:`MAX_CHARACTERS`.
    """
    tags: dict[str, str] = {}
    raw_lines: list[str] = []
    for raw in text.splitlines():
        content = raw.strip()
        if _ID_LINE.fullmatch(content) and not is_section(content.strip("[] ")):
            for match in _ID_TAG.finditer(content):
                tags.setdefault(match[1].lower(), match[2].strip())
        elif content or (raw_lines and raw_lines[-1]):
            raw_lines.append(content)
    clock = _Clock(text, tags.get("offset", ""))
    entries = [_split(content, clock) for content in raw_lines]
    timed = any(entry.starts for entry in entries)
    tight = _words_without_spaces(entries)
    rows = sort([row for entry in _bounded(entries) for row in _lines(entry, tight)])
    if timed:
        rows = [row for row in rows if row.text or row.start_seconds is not None]
    close(rows)
    for row in rows:
        if _ANNOTATION.fullmatch(row.text):
            row.is_heading = True
            row.text = row.text.strip("[] ")
            row.words = []
    return Lyrics(
        rows,
        language=_language_tag(tags.get("la", "")),
        title=tags.get("ti", ""),
        artist=tags.get("ar", ""),
    )


class _Clock:
    """Reads time tags, under the conventions that hold for the whole file."""

    def __init__(self, text: str, offset: str) -> None:
        thirds = [
            time.split(":")[2]
            for match in ANY_TIME.finditer(text)
            if (time := match[1] or match[2]).count(":") == 2 and not re.search("[.,]", time)
        ]
        # [a:b:c] is hh:mm:ss unless some c cannot be seconds: then all are hundredths.
        self.third_is_hundredths = any(int(third) >= 60 for third in thirds)
        match = re.fullmatch(r"\s*([+-]?\d{1,9})\s*(?:ms)?\s*", offset)
        self.offset_seconds = int(match[1]) / 1000 if match else 0.0

    def seconds(self, time: str) -> float:
        sign = -1 if time.startswith("-") else 1
        parts = time.lstrip("-").replace(",", ".").split(":")
        if len(parts) == 3 and "." not in parts[2] and self.third_is_hundredths:
            parts = [parts[0], f"{parts[1]}.{parts[2].zfill(2)}"]
        value = 0.0
        for part in parts:
            value = value * 60 + float(part)
        return max(0.0, round(sign * value - self.offset_seconds, 6))


@dataclass(slots=True)
class _Run:
    """Text behind one time tag, to the next."""

    start: float | None
    text: str


@dataclass(slots=True)
class _Entry:
    """A line of the file: the times at which it starts, and its runs of text."""

    starts: list[float]
    runs: list[_Run]


def _split(content: str, clock: _Clock) -> _Entry:
    leading: list[float] = []
    position = 0
    while match := LINE_TIME.match(content, position):
        leading.append(clock.seconds(match[1]))
        position = match.end()
    if leading and (match := _WALAOKE.match(content, position)):
        position = match.end()
    runs = [_Run(None, "")]
    brackets = False
    for match in ANY_TIME.finditer(content, position):
        runs[-1].text = content[position : match.start()]
        runs.append(_Run(clock.seconds(match[1] or match[2]), ""))
        brackets = brackets or (match[1] is not None and match.end() < len(content))
        position = match.end()
    runs[-1].text = content[position:]
    if brackets and leading:
        # Word times in the brackets of line times: the last leading one is the first word's.
        runs[0].start = leading[-1]
        leading = leading[:1]
    elif not leading and len(runs) > 1:
        leading = [run.start for run in runs if run.start is not None][:1]
    if sum(bool(run.text.strip()) for run in runs) > 1 and runs[0].text.strip() and leading:
        runs[0].start = leading[0] if runs[0].start is None else runs[0].start
    if not runs[0].text.strip() and len(runs) > 1:
        del runs[0]
    return _Entry(leading, runs)


def _bounded(entries: list[_Entry]) -> list[_Entry]:
    """Return the entries, unless repeating lines blows them up beyond all lyrics."""
    size = sum(
        max(len(entry.starts), 1) * sum(len(run.text) for run in entry.runs) for entry in entries
    )
    if size > MAX_CHARACTERS:
        raise TrackError(
            "lyrics-too-large",
            f"The repeated lines of the lyrics file amount to {size:,} characters, more than the "
            f"{MAX_CHARACTERS:,} that are read.",
        )
    return entries


def _words_without_spaces(entries: list[_Entry]) -> bool:
    """Return whether time tags alone part the words: tags within lines, and never a space."""
    spaced, tight = 0, 0
    for entry in entries:
        for before, after in pairwise(run.text for run in entry.runs if run.text.strip()):
            if before[-1].isspace() or after[0].isspace():
                spaced += 1
            elif not is_spaceless(before[-1], after[0]):
                tight += 1
    return tight > 0 and spaced == 0


def _lines(entry: _Entry, tight: bool) -> list[Line]:
    """Return the line, once for every time at which it starts."""
    if tight:
        text = " ".join(run.text.strip() for run in entry.runs)
    else:
        text = "".join(run.text for run in entry.runs)
    text = " ".join(text.split())
    end = None
    if len(entry.runs) > 1 and not entry.runs[-1].text.strip():
        end = entry.runs[-1].start
    starts: list[float | None] = [*entry.starts] or [None]
    lines = []
    for start in starts:
        # Word times are those of the first repetition.
        shift = start - entry.starts[0] if start is not None else 0.0
        lines.append(
            Line(text, start, None if end is None else end + shift, _words(entry, tight, shift))
        )
    return lines


def _words(entry: _Entry, tight: bool, shift: float) -> list[Word]:
    words: list[Word] = []
    texts: list[list[str]] = []
    before = " "
    for run in entry.runs:
        start = None if run.start is None else run.start + shift
        if words and words[-1].end_seconds is None:
            words[-1].end_seconds = start
        for index, token in enumerate(run.text.split()):
            joined = not (
                index > 0
                or tight
                or before.isspace()
                or run.text[0].isspace()
                or is_spaceless(before, token[0])
            )
            if joined:
                texts[-1].append(token)
                words[-1].end_seconds = None
            else:
                texts.append([token])
                words.append(Word("", start if index == 0 else None))
        if run.text:
            before = run.text[-1]
    for word, parts in zip(words, texts, strict=True):
        word.text = "".join(parts)
        if (word.end_seconds or 0.0) < (word.start_seconds or 0.0):
            word.end_seconds = None
    return [word for word in words if is_word(word.text)]


def _language_tag(value: str) -> str | None:
    tag = value.lower().replace("_", "-")
    return tag if _LANGUAGE_TAG.fullmatch(tag) else None
