"""What a rewritten caption states and the facts do not: it is refused for that."""

import re
from collections.abc import Iterator

from tasks.captions import stated
from tasks.captions.facts import Facts
from tasks.captions.sayable import FAST_BPM, SLOW_BPM, VOICES

MAX_TEMPO_DEVIATION = 0.02
# Words of lists of genres that sentences use for other things as well.
_VAGUE = frozenset({"instrumental", "minimal", "root", "world", "club"})
# Other names of the same thing, word by word.
_SAME = {
    "synth": "synthesizer",
    "synthesiser": "synthesizer",
    "sax": "saxophone",
    "key": "keyboard",
    "rnb": "r&b",
    "hiphop": "hip-hop",
    "&": "and",
    "n": "and",
}
# Words of a term that add nothing to it.
_FILLERS = frozenset({"kit", "set", "section", "music", "song", "track", "beat", "and"})
# What a general name is supported by.
_MEMBERS = {
    "percussion": "drum conga bongo tabla timpani cajon djembe tambourine shaker taiko cymbal",
    "string": "violin viola cello",
    "brass": "trumpet trombone tuba horn cornet flugelhorn",
    "woodwind": "flute clarinet oboe bassoon saxophone piccolo",
    "keyboard": "piano organ synthesizer harpsichord rhodes",
}
_WORD = re.compile(r"r&b|[^\W_]+|&")


def contradictions(text: str, facts: Facts) -> list[str]:
    """Find what a text states that the facts contradict or do not support.

    Tempo (2 % off at most), key (enharmonic names are equal), metre, voice, speed, genres,
    instruments, and numbers of any kind. A general name (guitar) is supported by a particular
    one (electric guitar), not the other way.

    Parameters
    ----------
    text
        A caption that somebody else wrote of these facts.
    facts
        What is known.

    Returns
    -------
    list
        One sentence each; empty if there is nothing against the text.
    """
    return [
        *_tempos(text, facts),
        *_keys(text, facts),
        *_metres(text, facts),
        *_voices(text, facts),
        *_terms(text, facts),
        *_numbers(text, facts),
    ]


def _tempos(text: str, facts: Facts) -> Iterator[str]:
    known = facts.tempo_bpm
    found = stated.tempos(text)
    for tempo_bpm in found:
        if known is None:
            yield f"it states {tempo_bpm:g} BPM, and no tempo is known"
        elif abs(tempo_bpm - known) > MAX_TEMPO_DEVIATION * known:
            yield f"it states {tempo_bpm:g} BPM, and the tempo is {known:g} BPM"
    if not found and stated.speaks_of_tempo(text):
        yield "it states a tempo that cannot be read as a number"


def _keys(text: str, facts: Facts) -> Iterator[str]:
    known = next(iter(stated.keys(f"in {facts.key}")), None) if facts.key else None
    for key in stated.keys(text):
        if known is None:
            yield f"it states {key.text!r}, and no key is known"
        elif (key.tonic is not None and key.tonic != known.tonic) or (
            key.mode is not None and key.mode != known.mode
        ):
            yield f"it states {key.text!r}, and the key is {facts.key}"


def _metres(text: str, facts: Facts) -> Iterator[str]:
    for metre in stated.metres(text):
        if metre != facts.metre and not any(metre in value for value in _values(facts)):
            yield f"it states {metre}, and the metre is {facts.metre or 'not known'}"


def _voices(text: str, facts: Facts) -> Iterator[str]:
    named = {word for value in _values(facts) for word in _words(value)}
    supported = {
        "female": facts.voice in ("female", "mixed") or "female" in named,
        "male": facts.voice in ("male", "mixed") or "male" in named,
        "child": facts.voice == "child" or bool({"child", "children", "kid"} & named),
        "vocal": facts.voice in VOICES
        or bool({"voice", "vocal", "singing", "singer", "choir", "cappella", "rap"} & named),
        "instrumental": facts.voice == "instrumental"
        or "instrumental" in named
        or bool({"inst", "solo"} & set(facts.sections)),
    }
    for voice in sorted(stated.voices(text)):
        if not supported[voice]:
            said = "no voice" if voice == "instrumental" else f"a {voice} voice"
            yield f"it speaks of {said}, and the voice is {facts.voice or 'not known'}"


def _terms(text: str, facts: Facts) -> Iterator[str]:
    known = [_words(value) for value in _values(facts)]
    # "Smooth jazz" of the mood smooth and the genre jazz; of what is vague, voices judge.
    adjectives = _VAGUE.union(*map(_words, facts.moods))
    for term, tag in stated.terms(text):
        words = _words(term) - adjectives
        if not words or any(words <= value for value in known):
            continue
        if tag.kind == "speed" and not _is_speed(tag.value, facts):
            yield f"it says {term!r}, which neither the speed nor the tempo supports"
        elif tag.kind in ("genre", "instrument") and not _is_general(words, known):
            yield f"it names {term!r}, which is no {tag.kind} of the track"


def _numbers(text: str, facts: Facts) -> Iterator[str]:
    rest = stated.without_tempos(text).casefold()
    # The longest first: "20th century classical" before "classical".
    for value in sorted((*_values(facts), *stated.metres(text)), key=len, reverse=True):
        rest = rest.replace(value.casefold(), " ")
    for number in re.findall(r"\w*\d\w*", rest):
        yield f"it has {number!r}, which no column has"


def _values(facts: Facts) -> tuple[str, ...]:
    values = (*facts.genres, *facts.moods, *facts.instruments, *facts.themes)
    return tuple(stripped for value in values if (stripped := " ".join(value.split())))


def _words(value: str) -> frozenset[str]:
    """Return the words of a name by which it is compared: singular, without fillers."""
    found = _WORD.findall(value.casefold().replace("bass guitar", "bass"))
    singular = [_singular(word) for word in found]
    return frozenset(_SAME.get(word, word) for word in singular) - _FILLERS


def _singular(word: str) -> str:
    is_plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if is_plural else word


def _is_general(words: frozenset[str], known: list[frozenset[str]]) -> bool:
    """Whether a name stands for one that is known: percussion for drums."""
    return any(
        not value.isdisjoint(_MEMBERS.get(word, "").split()) for word in words for value in known
    )


def _is_speed(speed: str, facts: Facts) -> bool:
    """Whether speed or tempo support a speed."""
    tempo_bpm = facts.tempo_bpm
    if facts.speed is not None:
        return speed == facts.speed
    if tempo_bpm is None:
        return False
    return (speed != "slow" or tempo_bpm < FAST_BPM) and (speed != "fast" or tempo_bpm >= SLOW_BPM)
