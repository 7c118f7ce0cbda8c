"""Lyrics of UltraStar's karaoke files: notes of a syllable each, with their beats.

After https://usdx.eu/format: headers ``#KEY:VALUE``; a note is its type (``:`` sung, ``*`` golden,
``F`` freestyle, ``R`` and ``G`` rapped), first beat, beats, pitch and text; ``-`` ends a line,
``P1`` and ``P2`` begin the parts of a duet, ``E`` ends the file. A beat lasts a quarter of what
``#BPM`` says, and the first one begins at ``#GAP`` milliseconds.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from tasks.song.lyric_files.lines import Line, Lyrics, Word, close, is_word, notice, sort
from tasks.step import TrackError

MAX_SECONDS = 86_400.0
"""Beats beyond a day are no song's."""

MIN_HYPHENATED = 0.5
"""Share of the syllables within words that end with a hyphen, where hyphens mark syllables."""

_HEADER = re.compile(r"#\s*([A-Za-z0-9]{1,32})\s*:(.*)")
_NOTE = re.compile(r"([:*FRG])[ \t]*(-?\d{1,9})[ \t]+(\d{1,9})[ \t]+(-?\d{1,9})(?:[ \t](.*))?")
_BREAK = re.compile(r"-[ \t]*(-?\d{1,9})(?:[ \t]+(-?\d{1,9}))?\s*")
_TEMPO = re.compile(r"B[ \t]+(-?[\d.,]{1,16})[ \t]+([\d.,]{1,16})\s*")
_PART = re.compile(r"P[ \t]?([1-9])\s*")
_BEATS_PER_QUARTER = 4

_LANGUAGES = {
    name: tag
    for tag, names in {
        "en": "english englisch", "de": "german deutsch", "es": "spanish español castellano",
        "fr": "french français francais", "it": "italian italiano",
        "pt": "portuguese português", "nl": "dutch nederlands", "pl": "polish polski",
        "sv": "swedish svenska", "da": "danish dansk", "no": "norwegian norsk",
        "fi": "finnish suomi", "ru": "russian русский", "uk": "ukrainian", "cs": "czech čeština",
        "sk": "slovak", "hu": "hungarian magyar", "ro": "romanian", "hr": "croatian",
        "sl": "slovenian", "tr": "turkish türkçe", "el": "greek", "ja": "japanese 日本語",
        "zh": "chinese mandarin 中文", "ko": "korean 한국어", "la": "latin", "ca": "catalan",
        "eu": "basque", "gl": "galician", "et": "estonian", "is": "icelandic", "vi": "vietnamese",
    }.items()
    for name in names.split()
}  # fmt: skip


def is_ultrastar(text: str) -> bool:
    """Return whether a text has headers and notes of UltraStar, and little else."""
    lines = [line for line in text.splitlines() if line.strip()]
    notes = sum(_NOTE.fullmatch(line) is not None for line in lines)
    marks = sum(_is_markup(line) for line in lines)
    headers = any(_HEADER.fullmatch(line.strip()) for line in lines)
    return headers and notes > 0 and notes + marks >= len(lines) / 2


def parse(text: str) -> Lyrics:
    """Lines and words of an UltraStar file, with their times.

    A space at an end of a syllable parts words; ``~`` holds the syllable before it. The parts of
    a duet are sorted together; what both sing at once appears once.

    Raises
    ------
    TrackError
        ``lyrics-malformed`` if the file does not say how long a beat is, or beats lie beyond
        :data:`MAX_SECONDS`.
    """
    lines = text.splitlines()
    headers: dict[str, str] = {}
    for line in lines:
        if match := _HEADER.fullmatch(line.strip()):
            headers.setdefault(match[1].upper(), match[2].strip())
    reader = _Reader(
        _Beats(_number(headers.get("BPM", "")), _number(headers.get("GAP", "0")) or 0.0),
        is_relative=headers.get("RELATIVE", "").lower() == "yes",
        has_hyphens=_has_hyphens(lines),
    )
    ignored = []
    for line in lines:
        if line.strip() == "E":
            break
        if not reader.read(line) and line.strip() and not _HEADER.fullmatch(line.strip()):
            ignored.append(line.strip())
    reader.end_line()
    rows: list[Line] = []
    for row in sort(reader.rows):
        if (row.text, row.start_seconds) not in [
            (other.text, other.start_seconds) for other in rows[-9:]
        ]:
            rows.append(row)
    close(rows)
    lyrics = Lyrics(
        rows,
        language=_LANGUAGES.get(re.split(r"[\s,(]", headers.get("LANGUAGE", "").lower())[0]),
        title=headers.get("TITLE", ""),
        artist=headers.get("ARTIST", ""),
    )
    if reader.parts > 1:
        sentence = f"the {reader.parts} parts of a duet were sorted into one"
        lyrics.notices.append(notice("duet", sentence))
    if ignored:
        sentence = "left out, since it is no note of UltraStar"
        lyrics.notices.append(notice("not-lyrics", sentence, ignored))
    return lyrics


class _Beats:
    """Seconds of beats, through changes of tempo."""

    def __init__(self, bpm: float | None, gap_milliseconds: float) -> None:
        if bpm is None or bpm <= 0:
            raise TrackError(
                "lyrics-malformed",
                "The lyrics file is of UltraStar, but its #BPM is no number above 0: its notes "
                "have no times.",
            )
        self._changes = [(0.0, gap_milliseconds / 1000, self._seconds_per_beat(bpm))]

    @staticmethod
    def _seconds_per_beat(bpm: float) -> float:
        return 60 / (bpm * _BEATS_PER_QUARTER)

    def change(self, beat: float, bpm: float) -> None:
        if bpm > 0 and beat >= self._changes[-1][0]:
            self._changes.append((beat, self._raw(beat), self._seconds_per_beat(bpm)))

    def seconds(self, beat: float) -> float:
        seconds = self._raw(beat)
        if not abs(seconds) <= MAX_SECONDS:
            raise TrackError(
                "lyrics-malformed",
                f"The UltraStar file has a note at beat {beat:.0f}, {seconds:.0f} s into the song: "
                "its #BPM or #GAP is wrong.",
            )
        return max(0.0, round(seconds, 6))

    def _raw(self, beat: float) -> float:
        first, start, length = next(
            (change for change in reversed(self._changes) if beat >= change[0]), self._changes[0]
        )
        return start + (beat - first) * length


@dataclass(slots=True)
class _Syllable:
    text: str
    start_seconds: float
    end_seconds: float


class _Reader:
    """Reads notes into rows."""

    def __init__(self, beats: _Beats, *, is_relative: bool, has_hyphens: bool) -> None:
        self.rows: list[Line] = []
        self.parts = 1
        self._beats = beats
        self._is_relative = is_relative
        self._has_hyphens = has_hyphens
        self._shift = 0
        self._syllables: list[_Syllable] = []

    def read(self, line: str) -> bool:
        """Read a line of the file; returns whether it is one of the notes' lines."""
        if match := _NOTE.fullmatch(line):
            beat = int(match[2]) + self._shift
            start, end = self._beats.seconds(beat), self._beats.seconds(beat + int(match[3]))
            self._syllables.append(_Syllable(match[5] or "", start, end))
        elif match := _BREAK.fullmatch(line):
            self.end_line()
            if self._is_relative:
                self._shift += int(match[2] or match[1])
        elif match := _PART.fullmatch(line):
            self.end_line()
            self.parts = max(self.parts, int(match[1]))
            self._shift = 0
        elif match := _TEMPO.fullmatch(line):
            at, bpm = _number(match[1]), _number(match[2])
            if at is not None and bpm is not None:
                self._beats.change(at + self._shift, bpm)
        else:
            return False
        return True

    def end_line(self) -> None:
        """Join the syllables read so far into a row."""
        syllables, self._syllables = self._syllables, []
        words: list[Word] = []
        parted = True
        for syllable in syllables:
            text = syllable.text.replace("~", "")
            pieces = text.split()
            if not pieces:
                # A held note; or a space alone, which parts words as well.
                if words:
                    words[-1].end_seconds = syllable.end_seconds
                parted = parted or (text != "" and text.isspace())
                continue
            for index, piece in enumerate(pieces):
                if index > 0 or parted or text[0].isspace():
                    words.append(Word(piece, syllable.start_seconds, syllable.end_seconds))
                else:
                    before = words[-1].text
                    words[-1].text = (before.rstrip("-") if self._has_hyphens else before) + piece
                    words[-1].end_seconds = syllable.end_seconds
            parted = text[-1].isspace()
        if words:
            self.rows.append(
                Line(
                    " ".join(word.text for word in words),
                    words[0].start_seconds,
                    syllables[-1].end_seconds,
                    [word for word in words if is_word(word.text)],
                )
            )


def _has_hyphens(lines: list[str]) -> bool:
    """Return whether a hyphen at the end of a syllable says that its word goes on."""
    texts = [match[5] or "" if (match := _NOTE.fullmatch(line)) else " " for line in lines]
    joined = [
        before
        for before, after in pairwise(texts)
        if before.strip() and after.strip("~ ") and not (before[-1].isspace() or after[0].isspace())
    ]
    hyphenated = sum(text.endswith("-") for text in joined)
    return hyphenated > 0 and hyphenated >= MIN_HYPHENATED * len(joined)


def _is_markup(line: str) -> bool:
    stripped = line.strip()
    return stripped == "E" or any(
        pattern.fullmatch(stripped) for pattern in (_HEADER, _BREAK, _TEMPO, _PART)
    )


def _number(text: str) -> float | None:
    """Return a number with a decimal point or comma; None for none, or one out of all bounds."""
    match = re.fullmatch(r"\s*([+-]?\d{1,9}(?:[.,]\d{0,9})?)\s*", text)
    return float(match[1].replace(",", ".")) if match else None
