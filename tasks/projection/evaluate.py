"""What a projection is held to: retrieval on held-out items, per corpus, and beside CLAP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.projection.metrics import both_ways, prefixed
from tasks.projection.pairs import LEAST_ITEMS, Pairs

CLAP = "clap"
"""Name of the encoder that has audio and texts in one space from the start."""

EXAMPLES = 8
NEIGHBOURS = 5


@dataclass(frozen=True)
class Neighbour:
    """An item that was found: its number in the file, similarity, and whether it was wanted."""

    number: int
    similarity: float
    is_target: bool


@dataclass(frozen=True)
class Example:
    """A caption, the item it is of, and the items that are nearest to it."""

    caption: str
    number: int
    neighbours: tuple[Neighbour, ...]


def evaluate(projected: Pairs, clap: Pairs | None) -> dict[str, float]:
    """Measure retrieval on a split: overall, in each corpus, and beside CLAP.

    Within a corpus only its own items are searched, as published figures of single corpora are.

    Parameters
    ----------
    projected
        Items and captions of the split; their vectors are of the common space.
    clap
        The same by CLAP, of the items that have its embeddings.
    """
    found = both_ways(projected.audio, projected.text, projected.owner, projected.text_id)
    corpora = np.array(projected.corpus, dtype=object)
    for corpus in sorted(set(projected.corpus)):
        part = projected.of(corpora == corpus)
        if len(part) >= LEAST_ITEMS:
            found |= prefixed(f"corpus/{corpus}", measured(part))
    if clap is not None:
        same = projected.of(np.isin(projected.number, clap.number))
        other = clap.of(np.isin(clap.number, same.number))
        if len(same) >= LEAST_ITEMS:
            found |= prefixed("beside_clap/projection", measured(same))
            found |= prefixed("beside_clap/clap", measured(other))
    return found


def measured(pairs: Pairs) -> dict[str, float]:
    """Measure retrieval both ways among vectors of one space."""
    return both_ways(pairs.audio, pairs.text, pairs.owner, pairs.text_id)


def project(
    pairs: Pairs,
    audio: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    text: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
) -> Pairs:
    """Return the same items and captions with their vectors in the common space."""
    return replace(pairs, audio=audio(pairs.audio), text=text(pairs.text))


def examples(projected: Pairs) -> list[Example]:
    """Return some captions, evenly chosen, with the items that are nearest to them."""
    count = min(EXAMPLES, len(projected.caption))
    chosen = np.linspace(0, len(projected.caption) - 1, count).round().astype(int)
    return [_example(projected, int(at)) for at in chosen]


def _example(projected: Pairs, at: int) -> Example:
    similarities = projected.audio @ projected.text[at]
    nearest = np.argsort(-similarities, kind="stable")[:NEIGHBOURS]
    wanted = set(projected.owner[projected.text_id == projected.text_id[at]].tolist())
    return Example(
        projected.caption[at],
        int(projected.number[projected.owner[at]]),
        tuple(
            Neighbour(
                int(projected.number[place]), float(similarities[place]), int(place) in wanted
            )
            for place in nearest
        ),
    )


def rows(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return the values whose names begin with ``prefix/``, without it."""
    head = f"{prefix}/"
    return {
        name.removeprefix(head): value for name, value in metrics.items() if name.startswith(head)
    }
