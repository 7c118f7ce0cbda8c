"""Captions put together from facts: each phrase knows the columns that it comes from."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tasks.captions.facts import Facts
from tasks.captions.parts import Parts, parts_of
from tasks.captions.templates import TEMPLATES
from tasks.pieces import Phrase

STYLES = tuple(TEMPLATES)


@dataclass(frozen=True, slots=True)
class Caption:
    """A description of a track.

    Attributes
    ----------
    text
        What it says.
    style
        ``writing``, ``summary``, ``paraphrase`` or ``attributes``.
    sources
        Its phrases in their order, each with the columns it comes from; what stands between
        them says nothing by itself.
    """

    text: str
    style: str
    sources: tuple[Phrase, ...]


def compose(facts: Facts, seed: str, count: int = 4) -> list[Caption]:
    """Describe a track in several ways.

    Parameters
    ----------
    facts
        What is known of it.
    seed
        Chooses among the templates of each style: the id of the row, say.
    count
        Most captions.

    Returns
    -------
    list
        Distinct captions, the styles in turn, the first by the canonical template. Fewer than
        `count` where the facts do not yield so many, none at all where nothing is known.
    """
    book = _book(facts)
    if book is None:
        return []
    found: list[Caption] = []
    seen: set[str] = set()
    styles = book.styles(seed) if count > 1 else {"writing": book.captions("writing")}
    while styles and len(found) < count:
        for style, captions in tuple(styles.items()):
            made = next((each for each in captions if each.identity not in seen), None)
            if made is None:
                del styles[style]
            elif len(found) < count:
                seen.add(made.identity)
                found.append(made.caption)
    return found


class _Made(NamedTuple):
    """A caption, and the text by which two captions are the same."""

    caption: Caption
    identity: str


class _Book:
    """All captions of some facts, each made when it is first asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._made: dict[tuple[str, int, str], _Made | None] = {}

    def styles(self, seed: str) -> dict[str, Iterator[_Made]]:
        """Return what each style can say, beginning with the template that the seed chooses."""
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        styles = {"writing": self.captions("writing")}
        for place, style in enumerate(STYLES[1:]):
            styles[style] = self.captions(style, digest[place], digest[4 + place])
        return styles

    def captions(self, style: str, start: int = 0, noun: int = 0) -> Iterator[_Made]:
        """Yield the captions of a style by all templates, one of them first, with one noun."""
        number, nouns = len(TEMPLATES[style]), self._parts.nouns
        for place in range(number):
            key = (style, (start + place) % number, nouns[noun % len(nouns)])
            if key not in self._made:
                self._made[key] = self._make(*key)
            made = self._made[key]
            if made is not None:
                yield made

    def _make(self, style: str, template: int, noun: str) -> _Made | None:
        piece = TEMPLATES[style][template](self._parts, noun)
        if not piece.text:
            return None
        caption = Caption(piece.text, style, piece.phrases)
        return _Made(caption, piece.text.removesuffix(".").casefold())


# Corpora say the same of many tracks.
@lru_cache(maxsize=16_384)
def _book(facts: Facts) -> _Book | None:
    parts = parts_of(facts)
    return None if parts is None else _Book(parts)
