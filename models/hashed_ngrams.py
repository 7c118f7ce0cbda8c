"""Texts as counts of their words and n-grams, hashed into a space of fixed size; no weights.

K. Weinberger, A. Dasgupta, J. Langford, A. Smola and J. Attenberg, "Feature hashing for
large scale multitask learning", ICML 2009: a bit of the hash gives each feature a sign, so
that features which fall together cancel on average. Texts are near if they share words, or
parts of words ("drums", "drumming"); that two words mean the same it cannot know.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

DIMENSIONS = 1024
"""Captions of music have some hundred features each, and some ten thousand words together."""

CHARACTERS = (3, 4, 5)
"""Lengths of the parts of words, whose ends count as characters."""

WORD_WEIGHT = 1.0
PAIR_WEIGHT = 0.7
PART_WEIGHT = 0.3
"""A word has some ten parts, which together should not outweigh it by much."""

_WORD = re.compile("[^\\W_]+(?:['\u2019#-][^\\W_]*)*")
"""Letters and digits, with what joins them: ``don't``, ``hip-hop``, ``f#``."""


class HashedNgrams:
    """Embeds texts without weights.

    Attributes
    ----------
    dimensions
        Of the space.
    """

    dimensions = DIMENSIONS

    def embed_text(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Float32]:
        """Embeddings of texts.

        Parameters
        ----------
        texts
            In words.
        batch_size
            Without effect.

        Yields
        ------
        ndarray, shape (dimensions,)
            Unit norm; zero for a text without letters and digits. The same on every machine.
        """
        return map(_embed, texts)


def _embed(text: str) -> Float32:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    counts: Counter[tuple[str, float]] = Counter()
    counts.update((f"w {word}", WORD_WEIGHT) for word in words)
    counts.update((f"p {first} {second}", PAIR_WEIGHT) for first, second in pairwise(words))
    counts.update((f"c {part}", PART_WEIGHT) for word in words for part in _parts(f"<{word}>"))
    vector = np.zeros(DIMENSIONS)
    for (feature, weight), count in counts.items():
        place, sign = _hashed(feature)
        # What a text says twice counts little more than what it says once.
        vector[place] += sign * weight * (1 + np.log(count))
    norm = np.linalg.norm(vector)
    return (vector / norm if norm else vector).astype(np.float32)


def _parts(word: str) -> Iterator[str]:
    for length in CHARACTERS:
        yield from (word[at : at + length] for at in range(len(word) - length + 1))


@lru_cache(maxsize=2**17)
def _hashed(feature: str) -> tuple[int, float]:
    """Place and sign of a feature."""
    number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
    return number % DIMENSIONS, 1.0 if number >> 63 else -1.0
