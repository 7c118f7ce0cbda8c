"""How far sounds are from a reference, by embeddings of both: Fréchet and kernel audio distance.

Both compare two sets, and say nothing of a single sound. The Fréchet distance takes each set for a
normal distribution and is biased upwards, the more so the fewer samples there are; the kernel
distance has no bias, and so may be a little below 0 where both sets are of one kind. A distance is
worth what its numbers of samples are, so it carries them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Float64 = npt.NDArray[np.float64]

KAD_SCALE = 100
"""Factor of the kernel distance: ``SCALE_FACTOR`` of kadtk."""

KAD_EPSILON = 1e-8
"""Added to twice the squared bandwidth: ``eps`` of kadtk."""

BLOCK_ROWS = 1024
"""Rows and columns of distances that are held at once: 8 MiB."""

_HALF_BITS = np.uint32(16)
_LOWER_HALF = np.uint32(0xFFFF)


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance, and of how many samples it is.

    Attributes
    ----------
    value
        The distance; 0 for equal distributions.
    n
        Embeddings that were compared with the reference.
    n_reference
        Embeddings of the reference.
    """

    value: float
    n: int
    n_reference: int


def frechet_distance(embeddings: Embeddings, reference: Embeddings) -> Distance:
    """Return the Fréchet audio distance (FAD) of Kilgour et al., Interspeech 2019.

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`` with the means m and the covariances S,
    which are divided by n - 1. The root of the product is what fails for few samples: S is
    singular, and a root found by iteration is complex or not there. Here no root is taken. With the
    centred samples over ``sqrt(n - 1)`` as the rows of A and B, ``S_a = A' A``, and eigenvalues of
    ``S_a S_b`` other than 0 are those of ``(A B')(A B')'``: the trace of the root is the sum of the
    singular values of ``A B' = U s V'``. So the term of the covariances is the residual of an
    orthogonal Procrustes problem, ``|A - U V' B|^2`` (P. Schönemann, 1966): a sum of squares, real
    and not negative for any samples, and no difference of large numbers for sets that are alike.
    A and B are replaced by the triangles of their QR decompositions, which leaves d rows at most.

    Parameters
    ----------
    embeddings, reference
        Shape ``(n, d)`` each, two rows or more.

    Returns
    -------
    Distance
        In squared units of the embeddings; symmetric.

    Raises
    ------
    ValueError
        If one set has fewer than two embeddings, their sizes differ, or one is not finite.
    """
    a, b = _checked(embeddings, reference)
    first, second = _factor(a), _factor(b)
    rows = max(len(first), len(second))
    # Rows of zeros change no covariance, and make U V' square and so orthogonal.
    first, second = (np.pad(each, ((0, rows - len(each)), (0, 0))) for each in (first, second))
    left, _, right = np.linalg.svd(first @ second.T)
    residual = first - left @ (right @ second)
    shift = a.mean(axis=0) - b.mean(axis=0)
    return Distance(float(shift @ shift + np.vdot(residual, residual)), len(a), len(b))


def kernel_distance(embeddings: Embeddings, reference: Embeddings) -> Distance:
    """Return the kernel audio distance (KAD) of Chung et al., arXiv:2502.15602, 2025.

    The unbiased estimate of the squared maximum mean discrepancy (A. Gretton et al., "A kernel
    two-sample test", 2012, eq. 3) under the kernel ``exp(-|x - y|^2 / (2 s^2 + eps))``, times
    KAD_SCALE: the mean over pairs of the one set, plus that of the other, minus twice the mean
    between them. Nothing is clamped: an unbiased estimate of 0 is below 0 half of the time.

    The bandwidth s is the median distance between two embeddings of the reference; of an even
    number of distances, the lower of the middle two. All of it is `calc_kernel_audio_distance` of
    kadtk 1.1, whose second argument is the reference here. The command of kadtk hands it the
    reference first, and so takes the bandwidth of the other set, against its own README.

    Parameters
    ----------
    embeddings, reference
        Shape ``(n, d)`` each, two rows or more.

    Returns
    -------
    Distance
        Between about 0 and 2 KAD_SCALE; not symmetric, as the bandwidth is of the reference.

    Raises
    ------
    ValueError
        If one set has fewer than two embeddings, their sizes differ, or one is not finite.
    """
    a, b = _checked(embeddings, reference)
    # Distances do not depend on the origin, and lose the less digits the nearer it is.
    origin = b.mean(axis=0)
    a, b = a - origin, b - origin
    gamma = 1 / (2 * _median_squared_distance(b) + KAD_EPSILON)

    def mean_over_pairs(x: Float64) -> float:
        total = sum(float(np.exp(-gamma * block).sum()) for block in _squared_between_rows(x))
        return total / (len(x) * (len(x) - 1) / 2)

    between = sum(float(np.exp(-gamma * block).sum()) for block in _squared_to(a, b))
    value = mean_over_pairs(a) + mean_over_pairs(b) - 2 * between / (len(a) * len(b))
    return Distance(KAD_SCALE * value, len(a), len(b))


def _checked(embeddings: Embeddings, reference: Embeddings) -> tuple[Float64, Float64]:
    """Return both as numbers of 64 bits.

    Raises
    ------
    ValueError
        If they cannot be compared.
    """
    for name, each in (("the sounds", embeddings), ("the reference", reference)):
        if each.ndim != 2 or len(each) < 2:
            raise ValueError(
                f"a distance needs 2 embeddings or more on each side: {name} have the shape "
                f"{each.shape}"
            )
        if not np.isfinite(each).all():
            bad = int((~np.isfinite(each)).any(axis=1).sum())
            raise ValueError(
                f"{bad} of {len(each)} embeddings of {name} are not finite: leave these sounds out"
            )
    if embeddings.shape[1] != reference.shape[1]:
        raise ValueError(
            f"embeddings of {embeddings.shape[1]} and of {reference.shape[1]} numbers are of "
            "different models: embed the sounds and the reference by one"
        )
    return embeddings.astype(np.float64), reference.astype(np.float64)


def _factor(x: Float64) -> Float64:
    """Return a matrix of min(n, d) rows whose Gram matrix is the covariance of samples."""
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64)


def _squared_to(x: Float64, y: Float64) -> Iterator[Float64]:
    """Yield squared distances of rows of the one and of the other, in blocks."""
    x_norms, y_norms = (np.einsum("ij,ij->i", each, each) for each in (x, y))
    for top in range(0, len(x), BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        for left in range(0, len(y), BLOCK_ROWS):
            columns = slice(left, left + BLOCK_ROWS)
            block = x_norms[rows, None] + y_norms[columns] - 2 * (x[rows] @ y[columns].T)
            # Rounding leaves -1e-16 of equal rows.
            yield np.maximum(block, 0, out=block)


def _squared_between_rows(x: Float64) -> Iterator[Float64]:
    """Yield the squared distances of all pairs of rows, once each, in blocks."""
    for top in range(0, len(x), BLOCK_ROWS):
        rows = x[top : top + BLOCK_ROWS]
        (within,) = _squared_to(rows, rows)
        yield within[np.triu_indices(len(rows), 1)]
        yield from _squared_to(rows, x[top + BLOCK_ROWS :])


def _median_squared_distance(x: Float64) -> float:
    """Return the squared median distance of pairs of rows, as a number of 32 bits.

    The bits of non-negative floats are in the order of their values. So their upper halves are
    counted first, then the lower ones of those whose upper half is the median's: exact, in two
    passes over the blocks, and no more than a block is ever held.
    """
    rank = (len(x) * (len(x) - 1) // 2 - 1) // 2
    upper, rank = _counted_to(rank, (bits >> _HALF_BITS for bits in _bits(x)))
    lower, _ = _counted_to(
        rank,
        (bits[bits >> _HALF_BITS == upper] & _LOWER_HALF for bits in _bits(x)),
    )
    return float(np.uint32(upper << 16 | lower).view(np.float32))


def _bits(x: Float64) -> Iterator[npt.NDArray[np.uint32]]:
    for block in _squared_between_rows(x):
        yield block.ravel().astype(np.float32).view(np.uint32)


def _counted_to(rank: int, blocks: Iterator[npt.NDArray[np.uint32]]) -> tuple[int, int]:
    """Return the value at a rank, and its rank among the equal ones."""
    counts = np.zeros(2**16, np.int64)
    for block in blocks:
        counts += np.bincount(block, minlength=len(counts))
    ends = counts.cumsum()
    value = int(np.searchsorted(ends, rank, side="right"))
    return value, int(rank - (ends[value] - counts[value]))
