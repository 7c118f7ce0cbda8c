"""Pieces that captions of a track are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.captions.facts import Facts
from tasks.captions.sayable import SECTIONS, sayable
from tasks.grammar import article
from tasks.pieces import NOTHING, Piece, joined, led, listed, measured

# Longer lists are cut: a sentence holds only so many.
MAX_GENRES = 2
MAX_MOODS = 3
MAX_INSTRUMENTS = 5
MAX_THEMES = 2

NOUNS = ("track", "piece", "recording")
SPEED_WORDS = {"slow": "slow", "medium": "mid-tempo", "fast": "fast"}
VOICE_WORDS = {
    "female": "female voice",
    "male": "male voice",
    "child": "child's voice",
    "mixed": "female and male voices",
    "vocal": "vocals",
    "instrumental": "instrumental",
}
_NOTHING_KNOWN = Facts()


@dataclass(slots=True)
class Parts:
    """Pieces of all captions of a track; empty ones for what is not known.

    Attributes
    ----------
    speed, moods, instrumental, genres, instruments, key, tempo, metre, voice, themes, sections
        One phrase each.
    adjectives
        `slow, calm and dark`.
    genre
        `Rock and Jazz`.
    ensemble
        `guitar, bass and drums`.
    measures
        `in F# minor at 113 BPM in 3/4`.
    voice_named
        `a female voice`.
    theme
        `a film theme`, `film and party themes`, `a theme of parties`.
    company
        `a female voice and a film theme`.
    structure
        `an intro, verses and a chorus`.
    nouns
        Those that can follow the genre.
    """

    speed: Piece
    moods: Sequence[Piece]
    instrumental: Piece
    genres: Sequence[Piece]
    instruments: Sequence[Piece]
    key: Piece
    tempo: Piece
    metre: Piece
    voice: Piece
    themes: Sequence[Piece]
    sections: Sequence[Piece]
    adjectives: Piece
    genre: Piece
    ensemble: Piece
    measures: Piece
    voice_named: Piece
    theme: Piece
    company: Piece
    structure: Piece
    nouns: Sequence[str]

    def name(self, noun: str, adjectives: Piece = NOTHING) -> Piece:
        """Return `calm instrumental Rock and Jazz track`."""
        return joined(" ", [adjectives, self.instrumental, self.genre, Piece(noun)])


# Many tracks of a corpus have the same few tags.
@lru_cache(maxsize=16_384)
def parts_of(facts: Facts) -> Parts | None:
    """Return the pieces of what may be said of the facts; None if that is nothing."""
    facts = sayable(facts)
    if facts == _NOTHING_KNOWN:
        return None
    speed = _phrase(SPEED_WORDS[facts.speed], "speed") if facts.speed else NOTHING
    moods, mood = _phrases(facts.moods[:MAX_MOODS], "moods")
    genres, genre = _phrases(facts.genres[:MAX_GENRES], "genres")
    instruments, ensemble = _phrases(facts.instruments[:MAX_INSTRUMENTS], "instruments")
    key = _phrase(facts.key, "key") if facts.key else NOTHING
    tempo = measured(f"{facts.tempo_bpm:.0f} BPM", "tempo_bpm") if facts.tempo_bpm else NOTHING
    metre = _phrase(facts.metre, "metre") if facts.metre else NOTHING
    measures = joined(" ", [led("in", key), led("at", tempo), led("in", metre)])
    said = _phrase(VOICE_WORDS[facts.voice], "voice") if facts.voice else NOTHING
    instrumental, voice = (said, NOTHING) if facts.voice == "instrumental" else (NOTHING, said)
    voice_named = led("a", voice) if voice.text.endswith("voice") else voice
    themes, together = _phrases(facts.themes[:MAX_THEMES], "themes")
    theme = _theme(themes, together) if themes else NOTHING
    sections, structure = _sections(facts.sections)
    return Parts(
        speed=speed,
        moods=moods,
        instrumental=instrumental,
        genres=genres,
        instruments=instruments,
        key=key,
        tempo=tempo,
        metre=metre,
        voice=voice,
        themes=themes,
        sections=sections,
        adjectives=listed([speed, *moods]) if facts.speed else mood,
        genre=genre,
        ensemble=ensemble,
        measures=measures,
        voice_named=voice_named,
        theme=theme,
        company=listed([voice_named, theme]),
        structure=structure,
        nouns=nouns_after(genres[-1].text) if genres else NOUNS,
    )


def with_article(piece: Piece) -> Piece:
    """Return a piece with `a` or `an` before it."""
    return led(article(piece.text), piece)


@lru_cache(maxsize=65_536)
def nouns_after(genre: str) -> Sequence[str]:
    """Return nouns that can follow a genre: no `Soundtrack track`, no `Piano Pieces piece`."""
    small = genre.casefold()
    return tuple(noun for noun in NOUNS if not small.endswith((noun, f"{noun}s")))


@lru_cache(maxsize=65_536)
def _phrase(text: str, column: str) -> Piece:
    return measured(text, column)


@lru_cache(maxsize=65_536)
def _phrases(values: Sequence[str], column: str) -> tuple[Sequence[Piece], Piece]:
    """Return a phrase of each value of a column, and the list of them."""
    pieces = tuple(_phrase(value, column) for value in values)
    return pieces, listed(pieces)


def _theme(themes: Sequence[Piece], together: Piece) -> Piece:
    if len(themes) > 1 and not any(map(_is_plural, themes)):
        return joined(" ", [together, Piece("themes")])
    return listed([_one_theme(theme) for theme in themes])


def _one_theme(theme: Piece) -> Piece:
    """Return `a film theme`, `a love theme` of what is called so, and `a theme of parties`."""
    if _is_plural(theme):
        return led("a theme of", theme)
    is_named = theme.text.casefold().endswith("theme")
    return with_article(theme if is_named else joined(" ", [theme, Piece("theme")]))


def _is_plural(theme: Piece) -> bool:
    return theme.text.endswith("s") and not theme.text.endswith("ss")


@lru_cache(maxsize=65_536)
def _sections(names: Sequence[str]) -> tuple[Sequence[Piece], Piece]:
    """Return each section once, as a plural where it returns, and the list of them."""
    plurals = {name: SECTIONS[name] for name in dict.fromkeys(names) if names.count(name) > 1}
    pieces = [_phrase(plurals.get(name, name), "sections") for name in dict.fromkeys(names)]
    named = [
        piece if name in plurals else with_article(piece)
        for name, piece in zip(dict.fromkeys(names), pieces, strict=True)
    ]
    return pieces, listed(named)
