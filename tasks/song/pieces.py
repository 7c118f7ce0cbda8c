"""Pieces of a prompt, which know what they rest on."""

from collections.abc import Sequence
from typing import NamedTuple


class Phrase(NamedTuple):
    """Words of a prompt, and the dataset's columns that they put into words."""

    text: str
    columns: tuple[str, ...]


class Piece(NamedTuple):
    """A part of a prompt: its text, and the phrases in it that say something of the track.

    What stands between them (in, at, with, and, a, mood) says nothing by itself.
    """

    text: str = ""
    phrases: tuple[Phrase, ...] = ()


def measured(text: str, *columns: str) -> Piece:
    """Return a piece that is one phrase; an empty one if there is no text."""
    return Piece(text, (Phrase(text, columns),)) if text else Piece()


def listed(pieces: Sequence[Piece]) -> Piece:
    """`piano`, `piano and bass`, `piano, bass and drums`."""
    named = [piece for piece in pieces if piece.text]
    return joined(" and ", [joined(", ", named[:-1]), *named[-1:]])


def joined(joint: str, pieces: Sequence[Piece]) -> Piece:
    """Return one piece of those that are not empty, with a joint between each two."""
    there = [piece for piece in pieces if piece.text]
    phrases = tuple(phrase for piece in there for phrase in piece.phrases)
    return Piece(joint.join(piece.text for piece in there), phrases)
