"""Proof that a caption says nothing that no column supports.

Knows nothing of the templates: it takes the phrases out of the text, and what is left has to be
words that say nothing of a track.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from tasks.captions.facts import Facts
from tasks.pieces import Phrase

FUNCTION_WORDS = frozenset(
    {
        *("a", "an", "and", "at", "in", "of", "that", "the", "this", "with"),
        *("built", "featuring", "features", "has", "is"),
        *("music", "piece", "recording", "track"),
        # Names of what the phrases after them are.
        *("genre", "instruments", "key", "metre", "mood", "sections", "speed", "tempo"),
        *("theme", "themes", "voice"),
    }
)
"""All that may stand between phrases."""

VOICES = {
    "female voice": {"female"},
    "male voice": {"male"},
    "child's voice": {"child"},
    "female and male voices": {"mixed"},
    "vocals": {"vocal"},
    "instrumental": {"instrumental"},
}
SPEEDS = {"slow": {"slow"}, "mid-tempo": {"medium"}, "fast": {"fast"}}
_TEMPO = re.compile(r"(\d+) BPM")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_TAKEN = "\0"


def unsupported(text: str, sources: Sequence[Phrase], facts: Facts) -> list[str]:
    """Find what a composed caption says without a column that says so.

    Parameters
    ----------
    text
        The caption.
    sources
        Its phrases with their columns.
    facts
        What the columns hold.

    Returns
    -------
    list
        One sentence each; empty if all is supported.
    """
    problems = [problem for phrase in sources if (problem := _unfounded(phrase, facts))]
    rest = text
    # The longest first: "guitar" is not to be found in "bass guitar".
    for phrase in sorted(sources, key=lambda phrase: -len(phrase.text)):
        taken = re.sub(
            rf"(?<!\w){re.escape(phrase.text)}(?!\w)", _TAKEN, rest, count=1, flags=re.IGNORECASE
        )
        if taken == rest:
            problems.append(f"the phrase {phrase.text!r} does not stand in it")
        rest = taken
    problems += [
        f"{word!r} comes from no column"
        for word in _WORD.findall(rest)
        if word.casefold() not in FUNCTION_WORDS
    ]
    return problems


def _unfounded(phrase: Phrase, facts: Facts) -> str | None:
    """Return what is wrong with a phrase; None if each of its columns says it."""
    if not phrase.columns:
        return f"{phrase.text!r} names no column"
    for column in phrase.columns:
        says = _SUPPORT.get(column)
        if says is None:
            return f"{phrase.text!r} names {column}, which is no column of facts"
        if not says(phrase.text, facts):
            return f"{phrase.text!r} is not what {column} says ({getattr(facts, column)!r})"
    return None


def _one_of(column: str) -> Callable[[str, Facts], bool]:
    return lambda text, facts: any(_plain(value) == text for value in getattr(facts, column))


def _equals(column: str) -> Callable[[str, Facts], bool]:
    return lambda text, facts: _plain(getattr(facts, column) or "") == text


def _plain(value: str) -> str:
    """Return a value as a sentence has it: on one line, without asides, articles, marks at ends."""
    text = re.sub(r" \(.*\)$", "", " ".join(value.replace("_", " ").replace(": ", " ").split()))
    text = text.strip(" .!?-*~=+").rstrip("'")
    return re.sub(r"^(?:the|an|a(?! cap+el+a)) (?=\S)", "", text, flags=re.IGNORECASE)


def _tempo(text: str, facts: Facts) -> bool:
    stated = _TEMPO.fullmatch(text)
    tempo_bpm = facts.tempo_bpm
    return stated is not None and tempo_bpm is not None and abs(int(stated[1]) - tempo_bpm) <= 0.5


def _sections(text: str, facts: Facts) -> bool:
    """Whether a section occurs: in the plural, more than once."""
    return text in facts.sections or any(
        text in (f"{name}s", f"{name}es") and facts.sections.count(name) > 1
        for name in facts.sections
    )


_SUPPORT: Mapping[str, Callable[[str, Facts], bool]] = {
    "genres": _one_of("genres"),
    "moods": _one_of("moods"),
    "instruments": _one_of("instruments"),
    "themes": _one_of("themes"),
    "voice": lambda text, facts: facts.voice in VOICES.get(text, ()),
    "speed": lambda text, facts: facts.speed in SPEEDS.get(text, ()),
    "key": _equals("key"),
    "metre": _equals("metre"),
    "tempo_bpm": _tempo,
    "sections": _sections,
}
