"""Which format a lyrics file has, by its content whatever its name, and what it says."""

import re

from tasks.song.lyric_files import lrc, subtitles, ultrastar
from tasks.song.lyric_files.lines import Lyrics
from tasks.step import TrackError

_HALF = 0.5
_NUMBER = r"-?\d{1,6}(?:[.,]\d+)?"
_CLOCK = r"\d{1,2}:\d{2}:\d{2}[.,]\d{1,3}"
_ROWS_OF_MARKUP = {
    # Formats that are told by what most of their rows look like.
    "NetEase YRC, QQ QRC or KuGou KRC": re.compile(r"\[\d{1,9},\d{1,9}\].*"),
    "a table of times": re.compile(rf"{_NUMBER}\s*[\t;,]\s*{_NUMBER}(?:\s*[\t;,].*)?"),
    "MicroDVD subtitles": re.compile(r"\{\d{1,9}\}\{\d{0,9}\}.*"),
    "SubViewer subtitles": re.compile(rf"{_CLOCK},{_CLOCK}"),
    "a guitar tablature": re.compile(r"[A-Ga-g]?[#b]?\|[-\d|hpbrx/\\~()*.\s]{4,}"),
}
_CHORD = (
    r"[A-G][#b]?(?:maj|min|m|M|dim|aug|sus|add|\+|°)?\d{0,2}(?:(?:sus|add|b|#)\d{1,2})*"
    r"(?:/[A-G][#b]?)?"
)
_CHORDS_INLINE = re.compile(rf"\[{_CHORD}\]")
_DIRECTIVE = re.compile(r"\{\s*[A-Za-z_]{1,32}\s*(?::[^{}]*)?\}")
_XML = r"(?:<\?xml[^>]*>\s*)?"
_STARTS = (
    ("Advanced SubStation Alpha (.ass)", re.compile(r"\s*\[Script Info\]", re.I)),
    ("RTF", re.compile(r"\s*\{\\rtf")),
    ("HTML", re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.I)),
    ("TTML", re.compile(rf"\s*{_XML}(?:<!--(?:(?!-->).)*-->\s*)*<(?:\w+:)?tt[\s>]", re.S)),
    ("MusicXML", re.compile(rf"\s*{_XML}(?:<!DOCTYPE[^>]*>\s*)?<score-")),
    ("XML", re.compile(r"\s*<(?:\?xml|sami|smil|transcript|timedtext)\b", re.I)),
    ("ABC notation", re.compile(r"\s*(?:%abc|X:\s*\d+\s*\n(?:.*\n)*?K:)")),
    ("a Praat TextGrid", re.compile(r'\s*File type = "ooTextFile')),
    ("LilyPond", re.compile(r"\s*\\(?:version|relative|header|score)\b")),
    ("M3U", re.compile(r"\s*#EXTM3U")),
)  # fmt: skip
_JSON = re.compile(r"\s*(?:\{\s*\"[^\"]*\"\s*:.*\}|\[\s*[\{\"].*[\}\"]\s*\])\s*", re.S)


def read(text: str) -> tuple[Lyrics, str]:
    """Return what a decoded lyrics file says, and which format it has.

    Returns
    -------
    tuple of Lyrics and str
        The format is ``txt``, ``lrc``, ``lrc-enhanced`` (with times of words), ``ultrastar``,
        ``srt`` or ``vtt``.

    Raises
    ------
    TrackError
        ``lyrics-format`` for a format that is not read, ``lyrics-malformed`` for one that cannot
        be, ``lyrics-too-large`` for more text than lyrics have.
    """
    if ultrastar.is_ultrastar(text):
        return ultrastar.parse(text), "ultrastar"
    if subtitles.is_vtt(text):
        return lrc.parse(subtitles.as_lrc(text)), "vtt"
    if name := _other_format(text):
        raise TrackError(
            "lyrics-format",
            f"The lyrics file is {name}, which is not read as lyrics; save it as LRC, SRT or plain "
            "text.",
        )
    if subtitles.is_srt(text):
        return lrc.parse(subtitles.as_lrc(text)), "srt"
    lyrics = lrc.parse(text)
    if lyrics.timed_words:
        return lyrics, "lrc-enhanced"
    return lyrics, "lrc" if lyrics.timed_lines else "txt"


def _other_format(text: str) -> str | None:
    """Return the name of a format that is no lyrics."""
    for name, start in _STARTS:
        if start.match(text):
            return name
    if _JSON.fullmatch(text) and not _has_lines(text):
        return "JSON"
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    for name, pattern in _ROWS_OF_MARKUP.items():
        count = sum(pattern.fullmatch(row) is not None for row in rows)
        if count >= 2 and count >= _HALF * len(rows):
            return name
    directives = sum(_DIRECTIVE.fullmatch(row) is not None for row in rows)
    chords = sum(_CHORDS_INLINE.search(row) is not None for row in rows)
    if directives >= 2 or (chords >= 2 and chords >= _HALF * len(rows)):
        return "a chord sheet (ChordPro)"
    return None


def _has_lines(text: str) -> bool:
    """Return whether a text that begins and ends as JSON holds lines of LRC."""
    return lrc.LINE_TIME.search(text) is not None and "\n" in text.strip()
