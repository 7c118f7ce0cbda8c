# ruff: noqa: RUF001
"""Which lines name a section of the song: "[Verse 1: Ann]", "(Chorus x2)", "Chorus:", "副歌"."""

import re

_ANYWHERE = (
    "chorus|pre-?\\s?chorus|post-?\\s?chorus|refrain|refr[aã]o|pr[eé]-?refr[aã]o|estribillo|"
    "ritornello|zwischenspiel|припев|куплет|бридж|проигрыш|вступление|副歌|主歌|间奏|間奏|前奏|"
    "尾奏|桥段|導歌|导歌|サビ|[abc]メロ|후렴|후렴구|nakarat"
)
"""Nobody sings these: even without brackets, alone in their line, they are headings."""

_NUMBERED = "verse|vers|verso|strophe|strofa|estrofa|couplet|part|section"
"""Headings without brackets if they have a number."""

_IN_BRACKETS = (
    "intro|outro|bridge|middle\\s?(?:8|eight)|interlude|break|breakdown|build(?:-?up)?|drop|hook|"
    "coda|solo|skit|spoken(?:\\swords?)?|ad-?libs?|instrumental(?:\\s\\w+)?|(?:guitar|piano|sax|"
    "saxophone|drum|bass|violin|synth|harmonica|keyboard|organ|trumpet)\\s(?:solo|break|interlude|"
    "riff)|music|musical\\s\\w+|tag|vamp|turnaround|end|ending|fade(?:-?out)?|humming|whistling|"
    "vocali[sz]ing|coro|pre-?coro|post-?coro|puente|ponte|pont|brücke|strumentale|"
    "instrumentaal|[123]절"
)
"""Words that may be sung as well ("solo" is Spanish for alone): headings in brackets or before
a colon."""

MAX_HEADING_CHARACTERS = 200

_REPEATED = r"(?:\s*[\(\[]?\s*(?:[x×]\s*\d{1,2}|\d{1,2}\s*[x×])\s*[\)\]]?)?"
_COUNT = rf"(?:\s*(?:\d{{1,2}}|[ivx]{{1,4}}|[a-d]))?{_REPEATED}"
_NAMED = rf"(?:{_ANYWHERE}|{_NUMBERED}|{_IN_BRACKETS})"
_SECTION = re.compile(rf"{_NAMED}{_COUNT}(?:\s*[:：\-–—|,/&+].{{0,100}})?", re.IGNORECASE)
_BARE = re.compile(
    rf"(?:{_ANYWHERE}){_COUNT}|(?:{_NUMBERED})\s*(?:\d{{1,2}}|[ivx]{{1,4}}){_REPEATED}",
    re.IGNORECASE,
)
_BEFORE_COLON = re.compile(rf"({_NAMED}{_COUNT})\s*[:：]", re.IGNORECASE)
_BRACKETED = re.compile(r"[\[(（【]\s*([^\])）】]*)\s*[\])）】]\s*[:：]?")


def is_section(name: str) -> bool:
    """Return whether a text from within brackets names a section, and perhaps who sings it."""
    return len(name) <= MAX_HEADING_CHARACTERS and _SECTION.fullmatch(name.strip()) is not None


def leading_heading(text: str) -> tuple[str, int]:
    """Return the heading that a line begins with, and where the rest of the line begins.

    Returns
    -------
    tuple of str and int
        The heading without its brackets; empty, with 0, if the line begins with none.
    """
    start = text[:MAX_HEADING_CHARACTERS]
    bracketed = _BRACKETED.match(start)
    if bracketed and is_section(bracketed[1]):
        return bracketed[1].strip(), bracketed.end()
    if start == text and _BARE.fullmatch(text.strip()):
        return text.strip(), len(text)
    named = _BEFORE_COLON.match(start)
    return (named[1].strip(), named.end()) if named else ("", 0)
