"""An index of vectors: the nearest ones of a query, exactly for some, and fast for many.

``benchmarks/search.py`` measures it: of a million vectors of 512 dimensions a query takes some
three milliseconds on a core, and finds 0.99 and more of the ten that are nearest.
"""

import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

VERSION = 1
"""Raised whenever indexes that were stored are of no use any more."""

EXACT_MOST = 50_000
"""Vectors that are all compared with a query: 100 MB of 512 dimensions, some 10 ms."""

SAMPLES_PER_LIST = 40
"""Vectors per centre that k-means is given; faiss warns below 39."""

TRAINING_ROUNDS = 8

PROBED_SHARE = 16
"""Of so many lists one is searched: of a million vectors 64 of 1024."""

LEAST_PROBED = 32
"""Lists that are searched at least."""


def build(chunks: Callable[[], Iterable[Float32]], numbers: Int64) -> Any:
    """Make an index of vectors by cosine similarity.

    More vectors than ``EXACT_MOST`` lie in lists around centres, as half-precision floats, and
    a query searches the lists that are nearest to it.

    Parameters
    ----------
    chunks
        Yields the unit vectors in order, shape ``(n, D)`` each; called up to twice.
    numbers
        What each vector is known by.
    """
    import faiss

    count = len(numbers)
    index = None
    if count > EXACT_MOST:
        lists = 2 ** round(np.log2(np.sqrt(count)))
        sample = _sample(chunks(), count, lists * SAMPLES_PER_LIST)
        index = faiss.index_factory(
            sample.shape[1], f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter = TRAINING_ROUNDS
        index.train(sample)
        del sample
    start = 0
    for chunk in chunks():
        if index is None:
            index = faiss.IndexIDMap(faiss.IndexFlatIP(chunk.shape[1]))
        index.add_with_ids(chunk, numbers[start : start + len(chunk)])
        start += len(chunk)
    return index


def nearest(
    index: Any, query: Float32, count: int, among: Int64 | None = None
) -> list[tuple[int, float]]:
    """Return what is nearest to a query: numbers and similarities, the most similar first.

    Parameters
    ----------
    index
        As :func:`build` made it.
    query
        Unit vector, shape ``(D,)``.
    count
        How many are wanted; fewer are returned if there are fewer.
    among
        Numbers that may be found; all by default.
    """
    import faiss

    parameters: dict[str, Any] = {}
    if among is not None:
        parameters["sel"] = faiss.IDSelectorBatch(among)
    if isinstance(index, faiss.IndexIVF):
        # What is chosen lies anywhere: with few to choose from, all lists are searched.
        some = max(LEAST_PROBED, index.nlist // PROBED_SHARE)
        probed = some if among is None else index.nlist
        chosen = faiss.SearchParametersIVF(nprobe=probed, **parameters)
    else:
        chosen = faiss.SearchParameters(**parameters)
    similarities, numbers = index.search(query[None], count, params=chosen)
    return [
        (int(number), float(similarity))
        for number, similarity in zip(numbers[0], similarities[0], strict=True)
        if number >= 0
    ]


def save(index: Any, path: Path) -> None:
    """Store an index, whole or not at all.

    Raises
    ------
    OSError
        If there is no room, or no right to write.
    """
    import faiss

    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def load(path: Path) -> Any | None:
    """Return a stored index; None if there is none, or it is damaged."""
    import faiss

    if not path.is_file():
        return None
    try:
        return faiss.read_index(str(path))
    except RuntimeError:
        return None


def _sample(chunks: Iterable[Float32], count: int, wanted: int) -> Float32:
    """Return vectors from all over, as many as are wanted at most."""
    chosen = np.zeros(count, dtype=bool)
    chosen[np.random.default_rng(0).choice(count, min(wanted, count), replace=False)] = True
    parts, start = [], 0
    for chunk in chunks:
        parts.append(chunk[chosen[start : start + len(chunk)]])
        start += len(chunk)
    return np.concatenate(parts)
