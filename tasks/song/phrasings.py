"""Prompts in several phrasings, put together from the traits of a segment."""

from collections.abc import Sequence

from tasks.grammar import article
from tasks.pieces import Piece, capitalised, joined, led
from tasks.song.traits import Traits


def _tagged(traits: Traits) -> Piece:
    """`Gentle indie-rock intro, 96 BPM, A major, soft, with vocals`."""
    return _sentence(
        [traits.character, traits.genre, traits.section],
        [traits.bpm, traits.key, traits.level, traits.brightness, *_colour(traits), traits.vocals],
    )


def _flowing(traits: Traits) -> Piece:
    """Return `A gentle, mid-tempo indie-rock intro in A major at 96 BPM, warm, with vocals`."""
    name = _words([joined(", ", [traits.character, traits.tempo]), traits.genre, traits.section])
    return _sentence(
        [Piece(article(name.text)), name, led("in", traits.key), led("at", traits.bpm)],
        [traits.brightness, traits.level, *_colour(traits), traits.vocals],
    )


def _tempo_first(traits: Traits) -> Piece:
    """`Mid-tempo indie-rock intro at 96 BPM in A major, gentle and warm, with vocals`."""
    return _sentence(
        [
            *(traits.tempo, traits.genre, traits.section),
            *(led("at", traits.bpm), led("in", traits.key)),
        ],
        [
            joined(" and ", [traits.character, traits.brightness]),
            *(traits.level, *_colour(traits), traits.vocals),
        ],
    )


def _genre_first(traits: Traits) -> Piece:
    """`Indie-rock, gentle intro with vocals: A major, 96 BPM, soft and warm`."""
    sound = joined(" and ", [traits.level, traits.brightness])
    head = joined(", ", [traits.genre, _words([traits.character, traits.section])])
    details = joined(", ", [traits.key, traits.bpm, sound, *_colour(traits)])
    before = " " if traits.vocals.text.startswith("with") else ", "
    return capitalised(joined(": ", [joined(before, [head, traits.vocals]), details]))


PHRASINGS = (_tagged, _flowing, _tempo_first, _genre_first)


def _sentence(head: Sequence[Piece], details: Sequence[Piece]) -> Piece:
    return capitalised(joined(", ", [_words(head), *details]))


def _words(pieces: Sequence[Piece]) -> Piece:
    return joined(" ", pieces)


def _colour(traits: Traits) -> tuple[Piece, Piece]:
    mood = traits.mood
    return (
        mood._replace(text=f"{mood.text} mood") if mood.text else mood,
        led("with", traits.instruments),
    )
