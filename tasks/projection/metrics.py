"""How well vectors find each other: recall, median rank and mean average precision."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

CUTS = (1, 5, 10)
"""Ranks at which recall is counted."""

DEPTH = 10
"""Rank up to which average precision counts."""

QUERIES_PER_CALL = 256


def target_ranks(queries: Float32, gallery: Float32, targets: Sequence[Int64]) -> list[Int64]:
    """Rank all targets of each query in the gallery, by cosine similarity.

    What is no target and as similar as one comes before it: vectors that are all the same
    find nothing.

    Parameters
    ----------
    queries, gallery
        Shapes ``(q, D)`` and ``(n, D)``.
    targets
        Places in the gallery of what each query is to find, at least one.

    Returns
    -------
    list of arrays
        Ranks from 1, rising.
    """
    asking, asked = _unit(queries), _unit(gallery)
    ranks = []
    for start in range(0, len(asking), QUERIES_PER_CALL):
        similarities = asking[start : start + QUERIES_PER_CALL] @ asked.T
        for row, wanted in zip(similarities, targets[start:], strict=False):
            of_targets = np.sort(row[wanted])[::-1]
            others = np.sort(np.delete(row, wanted))
            ahead = len(others) - np.searchsorted(others, of_targets, side="left")
            ranks.append(ahead + np.arange(1, len(wanted) + 1))
    return ranks


def summary(ranks: Sequence[Int64]) -> dict[str, float]:
    """Recall at some ranks, median rank and mAP of queries.

    Recall counts the queries that have a target at or before a rank; the median is that of
    the first target's rank; average precision is of the first ten ranks, so that a query
    with more targets can still reach one.

    Parameters
    ----------
    ranks
        Of :func:`target_ranks`.
    """
    first = np.array([each[0] for each in ranks])
    found = {f"recall_at_{cut}": float(np.mean(first <= cut)) for cut in CUTS}
    precision = [_average_precision(each) for each in ranks]
    return {
        **found,
        "median_rank": float(np.median(first)),
        f"map_at_{DEPTH}": float(np.mean(precision)),
    }


def chance(gallery: int, targets: Sequence[int]) -> dict[str, float]:
    """Return what :func:`summary` is expected to be if the order is drawn by lot.

    With one target, recall at k is k / `gallery`.

    Parameters
    ----------
    gallery
        Number of vectors to choose from.
    targets
        How many targets each query has.
    """
    shares = {count: targets.count(count) / len(targets) for count in sorted(set(targets))}
    hits = sum(share * _chance_hits(gallery, count) for count, share in shares.items())
    assert isinstance(hits, np.ndarray)
    precision = sum(share * _chance_precision(gallery, count) for count, share in shares.items())
    return {
        **{f"recall_at_{cut}": float(hits[min(cut, gallery)]) for cut in CUTS},
        # Half of the queries, whatever the sum of the shares was rounded to.
        "median_rank": float(np.argmax(hits >= 0.5 - 1e-12)),
        f"map_at_{DEPTH}": float(precision),
    }


def both_ways(audio: Float32, text: Float32, owner: Int64, text_id: Int64) -> dict[str, float]:
    """Measure retrieval of items by captions and of captions by items, beside chance.

    A caption's targets are its item and those that have the same caption word for word;
    an item's are its captions and those of others that equal one of them.

    Parameters
    ----------
    audio
        Vectors of items, shape ``(n, D)``.
    text
        Vectors of captions, shape ``(m, D)``.
    owner
        Item of each caption.
    text_id
        Of each caption; equal texts have the same.

    Returns
    -------
    dict
        ``text_to_audio/recall_at_1``, ``text_to_audio/chance/recall_at_1`` and so on, the
        same of ``audio_to_text``, their mean without prefix, and ``items`` and ``captions``.
    """
    items_of, texts_of = relations(owner, text_id)
    owners = [items_of[text] for text in text_id.tolist()]
    captions_of = _captions_by_item(texts_of, text_id)
    ways = {
        "text_to_audio": (text, audio, owners),
        "audio_to_text": (audio, text, [captions_of[item] for item in range(len(audio))]),
    }
    found: dict[str, float] = {"items": float(len(audio)), "captions": float(len(text))}
    means: dict[str, list[float]] = {}
    for way, (queries, gallery, targets) in ways.items():
        reached = summary(target_ranks(queries, gallery, targets))
        expected = chance(len(gallery), [len(each) for each in targets])
        found |= prefixed(way, reached) | prefixed(f"{way}/chance", expected)
        for name, value in (*reached.items(), *prefixed("chance", expected).items()):
            means.setdefault(name, []).append(value)
    return found | {name: float(np.mean(values)) for name, values in means.items()}


def relations(owner: Int64, text_id: Int64) -> tuple[dict[int, Int64], dict[int, set[int]]]:
    """Return the items that have each text, and the texts that each item has."""
    items_of: dict[int, set[int]] = {}
    texts_of: dict[int, set[int]] = {}
    for item, text in zip(owner.tolist(), text_id.tolist(), strict=True):
        items_of.setdefault(text, set()).add(item)
        texts_of.setdefault(item, set()).add(text)
    return {text: np.array(sorted(items)) for text, items in items_of.items()}, texts_of


def prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return values under names that begin with ``prefix/``."""
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _captions_by_item(texts_of: Mapping[int, set[int]], text_id: Int64) -> dict[int, Int64]:
    places: dict[int, list[int]] = {}
    for place, text in enumerate(text_id.tolist()):
        places.setdefault(text, []).append(place)
    return {
        item: np.array(sorted(place for text in texts for place in places[text]))
        for item, texts in texts_of.items()
    }


def _unit(vectors: Float32) -> npt.NDArray[np.floating]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


def _average_precision(ranks: Int64) -> float:
    reached = ranks[ranks <= DEPTH]
    precision = np.arange(1, len(reached) + 1) / reached
    return float(precision.sum() / min(len(ranks), DEPTH))


def _chance_hits(gallery: int, targets: int) -> npt.NDArray[np.float64]:
    """Probability that one of the targets is among the first k, for each k from 0."""
    left = gallery - np.arange(gallery, dtype=np.float64)
    misses = np.cumprod(np.maximum(0.0, 1 - targets / left))
    return 1 - np.concatenate([[1.0], misses])


def _chance_precision(gallery: int, targets: int) -> float:
    """Return the expected average precision of the first ranks."""
    # At each rank: that a target is there, times the precision given that: itself, and the
    # targets expected among the ranks before.
    total = 0.0
    for rank in range(1, min(DEPTH, gallery) + 1):
        others = (rank - 1) * (targets - 1) / (gallery - 1) if gallery > 1 else 0.0
        total += targets / gallery * (1 + others) / rank
    return total / min(targets, DEPTH)
