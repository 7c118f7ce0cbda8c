"""Search over a million vectors of 512 dimensions: time of a query, and what it finds.

``python -m benchmarks.search`` makes vectors as encoders of music do: of clusters of very
different sizes, on a curved surface of some thirty dimensions in the space, with noise. A
query is near one of them, as a text is near what it describes. They are made chunk by chunk,
each from its number, so that memory is the index's.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Figure, report
from tasks.projection import index

Float32 = npt.NDArray[np.float32]

DIMENSIONS = 512
INNER_DIMENSIONS = 32
HIDDEN_DIMENSIONS = 256
CLUSTERS = 2000
CHUNK_ROWS = 20_000
NEAREST = 10
QUERY_NOISE = 0.5
"""Length of what is added to a vector of unit length: their cosine is some 0.9."""

MOST_MS = 20.0
LEAST_RECALL = 0.95
MOST_GB = 6.0


class Vectors:
    """Vectors that are made anew each time they are asked for."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.count = count
        self._centres = rng.standard_normal((CLUSTERS, INNER_DIMENSIONS), np.float32)
        sizes = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
        self._sizes = sizes / sizes.sum()
        shape = (INNER_DIMENSIONS, HIDDEN_DIMENSIONS)
        self._bend = rng.standard_normal(shape, np.float32) / INNER_DIMENSIONS**0.5
        shape = (HIDDEN_DIMENSIONS, DIMENSIONS)
        self._spread = rng.standard_normal(shape, np.float32) / HIDDEN_DIMENSIONS**0.5

    def chunks(self) -> Iterator[Float32]:
        """Yield all of them, some at a time."""
        for at in range(0, self.count, CHUNK_ROWS):
            yield self._chunk(at // CHUNK_ROWS, min(CHUNK_ROWS, self.count - at))

    def queries(self, count: int) -> Float32:
        """Return vectors that are near some of them."""
        near = self._chunk(0, CHUNK_ROWS)[:count]
        noise = np.random.default_rng(1).standard_normal(near.shape, np.float32)
        return unit(near + QUERY_NOISE * noise / DIMENSIONS**0.5)

    def _chunk(self, number: int, rows: int) -> Float32:
        rng = np.random.default_rng([2, number])
        inner = self._centres[rng.choice(CLUSTERS, rows, p=self._sizes)]
        inner = inner + 0.5 * rng.standard_normal(inner.shape, np.float32)
        smooth = np.tanh(inner @ self._bend) @ self._spread
        return unit(smooth + 0.05 * rng.standard_normal(smooth.shape, np.float32))


def unit(vectors: Float32) -> Float32:
    scaled: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def exact(vectors: Vectors, queries: Float32) -> npt.NDArray[np.int64]:
    """Numbers of what is nearest to each query, all being compared."""
    best = np.empty((len(queries), 0), np.float32)
    numbers = np.empty((len(queries), 0), np.int64)
    start = 0
    for chunk in vectors.chunks():
        best = np.concatenate([best, queries @ chunk.T], axis=1)
        here = np.broadcast_to(np.arange(start, start + len(chunk)), (len(queries), len(chunk)))
        numbers = np.concatenate([numbers, here], axis=1)
        kept = np.argpartition(-best, NEAREST, axis=1)[:, :NEAREST]
        best = np.take_along_axis(best, kept, axis=1)
        numbers = np.take_along_axis(numbers, kept, axis=1)
        start += len(chunk)
    return numbers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    vectors = Vectors(options.vectors)
    queries = vectors.queries(options.queries)
    start = time.perf_counter()
    built = index.build(vectors.chunks, np.arange(options.vectors))
    build_seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.faiss")
        index.save(built, path)
        size = path.stat().st_size
        del built
        start = time.perf_counter()
        stored = index.load(path)
        load_seconds = time.perf_counter() - start
    index.nearest(stored, queries[0], NEAREST)
    times, found = [], []
    for query in queries:
        start = time.perf_counter()
        found.append({number for number, _ in index.nearest(stored, query, NEAREST)})
        times.append(1000 * (time.perf_counter() - start))
    hits = sum(
        len(numbers & set(wanted.tolist()))
        for numbers, wanted in zip(found, exact(vectors, queries), strict=True)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return report(
        [
            Figure("vectors", options.vectors),
            Figure("build", build_seconds, "s"),
            Figure("size of the index", size / 2**30, "GiB"),
            Figure("loading it", load_seconds, "s"),
            Figure("query, median", float(np.median(times)), "ms", at_most=MOST_MS),
            Figure("query, 99th percentile", float(np.percentile(times, 99)), "ms"),
            Figure("recall@10", hits / (NEAREST * len(queries)), "", at_least=LEAST_RECALL),
            Figure("peak memory", peak, "GiB", at_most=MOST_GB),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
