"""Captions put together from facts: each phrase knows the columns that it comes from."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.captions.facts import Facts
from tasks.captions.parts import Parts, parts_of
from tasks.captions.templates import TEMPLATES, Template, canonical
from tasks.pieces import Phrase, Piece

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
    parts = parts_of(facts)
    if parts is None:
        return []
    if count == 1:
        first = canonical(parts, parts.nouns[0])
        return [Caption(first.text, STYLES[0], first.phrases)]
    captions: list[Caption] = []
    seen: set[str] = set()
    styles = _styles(parts, seed)
    while styles and len(captions) < count:
        for style, pieces in tuple(styles.items()):
            piece = next((each for each in pieces if _identity(each) not in seen), None)
            if piece is None:
                del styles[style]
            elif len(captions) < count:
                seen.add(_identity(piece))
                captions.append(Caption(piece.text, style, piece.phrases))
    return captions


def _styles(parts: Parts, seed: str) -> dict[str, Iterator[Piece]]:
    """Return what each style can say, beginning with the template that the seed chooses."""
    digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    nouns = parts.nouns
    styles = {"writing": _pieces(parts, TEMPLATES["writing"], nouns[0])}
    for place, style in enumerate(STYLES[1:]):
        templates = TEMPLATES[style]
        start = digest[place] % len(templates)
        noun = nouns[digest[4 + place] % len(nouns)]
        styles[style] = _pieces(parts, templates[start:] + templates[:start], noun)
    return styles


def _pieces(parts: Parts, templates: Sequence[Template], noun: str) -> Iterator[Piece]:
    for template in templates:
        piece = template(parts, noun)
        if piece.text:
            yield piece


def _identity(piece: Piece) -> str:
    """Return the text by which two captions are the same."""
    return piece.text.removesuffix(".").casefold()
