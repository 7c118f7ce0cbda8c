"""Medians of many short lists at once, by a sorting network over vectorised tiles.

A sorting network compares the same pairs whatever the values are, so one
comparison serves a whole tile of neighbouring frequency bins with two vector
instructions, without a branch. The result is bit-exact: it is one of the
inputs (K is odd).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

Frames = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

# A tile of 31 x 64 float32 (8 KiB) stays in the first-level cache.
_TILE_BINS = 64


def median_of_frames(frames: Frames, neighbours: Indices) -> Frames:
    """Return for every row of `neighbours` the median of those frames, bin by bin.

    Parameters
    ----------
    frames
        Magnitudes, shape ``(frames, bins)``, C-contiguous, without NaN.
    neighbours
        Indices of frames, shape ``(rows, K)``, K odd.

    Returns
    -------
    Medians, shape ``(rows, bins)``: ``np.median(frames[neighbours], axis=1)``.

    Raises
    ------
    ValueError
        If K is even: the median would not be one of the inputs.
    """
    count = neighbours.shape[1]
    if count % 2 == 0:
        raise ValueError(f"a median network needs an odd number of neighbours, got {count}")
    return _median_tiles(frames, neighbours, median_network(count))


@lru_cache(maxsize=8)
def median_network(count: int) -> Indices:
    """Return comparators ``(low, high)`` that bring the median of `count` values to the middle.

    Batcher's odd-even merge sort (1968) over the next power of two, without
    the comparators that touch the padding or that the middle does not depend on.
    """
    size = 1 << max(count - 1, 0).bit_length()
    comparators: list[tuple[int, int]] = []
    span = 1
    while span < size:
        step = span
        while step >= 1:
            for start in range(step % span, size - step, 2 * step):
                for low in range(start, min(start + step, size - step)):
                    if low // (2 * span) == (low + step) // (2 * span):
                        comparators.append((low, low + step))
            step //= 2
        span *= 2
    # The padding is +infinity at the top: a comparator that reaches it never swaps.
    comparators = [pair for pair in comparators if pair[1] < count]
    needed = {count // 2}
    kept = []
    for low, high in reversed(comparators):
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return np.array(kept[::-1], dtype=np.int32).reshape(-1, 2)


@njit(cache=True, nogil=True)
def _median_tiles(frames: Frames, neighbours: Indices, network: Indices) -> Frames:
    rows, count = neighbours.shape
    bins = frames.shape[1]
    medians = np.empty((rows, bins), np.float32)
    # The same bins of all frames next to each other: neighbours are anywhere in time,
    # and rows of whole spectra would each lie in another memory page.
    column = np.zeros((frames.shape[0], _TILE_BINS), np.float32)
    tile = np.empty((count, _TILE_BINS), np.float32)
    for first in range(0, bins, _TILE_BINS):
        width = min(_TILE_BINS, bins - first)
        column[:, :width] = frames[:, first : first + width]
        for row in range(rows):
            for index in range(count):
                tile[index] = column[neighbours[row, index]]
            for comparator in range(network.shape[0]):
                low = tile[network[comparator, 0]]
                high = tile[network[comparator, 1]]
                for bin_ in range(_TILE_BINS):
                    a = low[bin_]
                    b = high[bin_]
                    low[bin_] = a if a < b else b
                    high[bin_] = b if a < b else a
            medians[row, first : first + width] = tile[count // 2, :width]
    return medians
