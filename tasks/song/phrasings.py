"""Prompts in several phrasings, put together from pieces that know what they rest on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tasks.song.traits import Traits


class Phrase(NamedTuple):
    """Words of a prompt, and the dataset's columns that they put into words."""

    text: str
    columns: tuple[str, ...]


class Piece(NamedTuple):
    """A part of a prompt: its text, and the phrases in it that say something of the track.

    The rest of the text is :data:`JOINTS`.
    """

    text: str = ""
    phrases: tuple[Phrase, ...] = ()


JOINTS = frozenset({"a", "an", "and", "at", "in", "mood", "with"})
"""Words that say nothing by themselves, which alone stand between the phrases of a prompt."""


def measured(text: str, *columns: str) -> Piece:
    """Return a piece that is one phrase; an empty one if there is no text."""
    return Piece(text, (Phrase(text, columns),)) if text else Piece()


def listed(pieces: Sequence[Piece]) -> Piece:
    """`piano`, `piano and bass`, `piano, bass and drums`."""
    named = [piece for piece in pieces if piece.text]
    return _joined(" and ", [_joined(", ", named[:-1]), *named[-1:]])


def _tagged(traits: "Traits") -> Piece:
    """`Gentle indie-rock intro, 96 BPM, A major, soft, with vocals`."""
    return _sentence(
        [traits.character, traits.genre, traits.section],
        [traits.bpm, traits.key, traits.level, traits.brightness, *_colour(traits), traits.vocals],
    )


def _flowing(traits: "Traits") -> Piece:
    """Return `A gentle, mid-tempo indie-rock intro in A major at 96 BPM, warm, with vocals`."""
    name = _words([_joined(", ", [traits.character, traits.tempo]), traits.genre, traits.section])
    # "an IDM intro": an abbreviation is spelt out, and these letters begin with a vowel.
    vowels = "AEFHILMNORSX" if name.text[:2].isupper() else "aeiou"
    article = Piece("an" if name.text[:1] in vowels else "a")
    return _sentence(
        [article, name, _led("in", traits.key), _led("at", traits.bpm)],
        [traits.brightness, traits.level, *_colour(traits), traits.vocals],
    )


def _tempo_first(traits: "Traits") -> Piece:
    """`Mid-tempo indie-rock intro at 96 BPM in A major, gentle and warm, with vocals`."""
    return _sentence(
        [
            *(traits.tempo, traits.genre, traits.section),
            *(_led("at", traits.bpm), _led("in", traits.key)),
        ],
        [
            _joined(" and ", [traits.character, traits.brightness]),
            *(traits.level, *_colour(traits), traits.vocals),
        ],
    )


def _genre_first(traits: "Traits") -> Piece:
    """`Indie-rock, gentle intro with vocals: A major, 96 BPM, soft and warm`."""
    sound = _joined(" and ", [traits.level, traits.brightness])
    head = _joined(", ", [traits.genre, _words([traits.character, traits.section])])
    details = _joined(", ", [traits.key, traits.bpm, sound, *_colour(traits)])
    before = " " if traits.vocals.text.startswith("with") else ", "
    return _capitalised(_joined(": ", [_joined(before, [head, traits.vocals]), details]))


PHRASINGS = (_tagged, _flowing, _tempo_first, _genre_first)


def _sentence(head: Sequence[Piece], details: Sequence[Piece]) -> Piece:
    return _capitalised(_joined(", ", [_words(head), *details]))


def _words(pieces: Sequence[Piece]) -> Piece:
    return _joined(" ", pieces)


def _joined(joint: str, pieces: Sequence[Piece]) -> Piece:
    """Return one piece of those that are not empty."""
    there = [piece for piece in pieces if piece.text]
    phrases = tuple(phrase for piece in there for phrase in piece.phrases)
    return Piece(joint.join(piece.text for piece in there), phrases)


def _led(word: str, piece: Piece) -> Piece:
    return piece._replace(text=f"{word} {piece.text}") if piece.text else piece


def _capitalised(piece: Piece) -> Piece:
    return piece._replace(text=piece.text[:1].upper() + piece.text[1:])


def _colour(traits: "Traits") -> tuple[Piece, Piece]:
    mood = traits.mood
    return (
        mood._replace(text=f"{mood.text} mood") if mood.text else mood,
        _led("with", traits.instruments),
    )
