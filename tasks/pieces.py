"""Pieces of a text that is made of columns, which know what they rest on."""

from collections.abc import Sequence
from typing import NamedTuple


class Phrase(NamedTuple):
    """Words of a text, and the dataset's columns that they put into words."""

    text: str
    columns: tuple[str, ...]


class Piece(NamedTuple):
    """A part of a text, and the phrases in it that say something of the track.

    What stands between them (in, at, with, and, a, mood) says nothing by itself.
    """

    text: str = ""
    phrases: tuple[Phrase, ...] = ()


NOTHING = Piece()


def measured(text: str, *columns: str) -> Piece:
    """Return a piece that is one phrase; an empty one if there is no text."""
    return Piece(text, (Phrase(text, columns),)) if text else NOTHING


def listed(pieces: Sequence[Piece]) -> Piece:
    """`piano`, `piano and bass`, `piano, bass and drums`."""
    named = [piece for piece in pieces if piece.text]
    if len(named) < 2:
        return named[0] if named else NOTHING
    return joined(" and ", [joined(", ", named[:-1]), named[-1]])


def joined(joint: str, pieces: Sequence[Piece]) -> Piece:
    """Return one piece of those that are not empty, with a joint between each two."""
    there = [piece for piece in pieces if piece.text]
    if len(there) < 2:
        return there[0] if there else NOTHING
    text = joint.join([piece.text for piece in there])
    return Piece(text, tuple([phrase for piece in there for phrase in piece.phrases]))


def led(word: str, piece: Piece) -> Piece:
    """Return a piece with a word before it; an empty piece stays empty."""
    return Piece(f"{word} {piece.text}", piece.phrases) if piece.text else piece


def capitalised(piece: Piece) -> Piece:
    """Return a piece that begins with a capital."""
    return Piece(piece.text[:1].upper() + piece.text[1:], piece.phrases)
