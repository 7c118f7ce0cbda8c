"""Distances of sets of embeddings, against closed forms, scipy and the formulas written out."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import sqrtm

from tasks.dsp import embedding_distances
from tasks.dsp.embedding_distances import (
    KAD_EPSILON,
    Distance,
    frechet_distance,
    kernel_distance,
)

Array = npt.NDArray[np.float64]


def _of_moments(generator: np.random.Generator, n: int, mean: Array, root: Array) -> Array:
    """Samples whose mean is exactly `mean`, and whose covariance exactly ``root root'``."""
    samples = generator.normal(size=(n, len(mean)))
    samples -= samples.mean(axis=0)
    whitener = np.linalg.inv(np.linalg.cholesky(np.cov(samples.T)))
    return np.asarray(samples @ whitener.T @ root.T + mean, np.float64)


def _by_square_root(a: Array, b: Array) -> float:
    """FAD as it is defined, with the root of the product of the covariances."""
    s, t = np.cov(a.T), np.cov(b.T)
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(s + t - 2 * sqrtm(s @ t).real))


def _kad_written_out(x: Array, y: Array) -> float:
    """The definition, pair by pair, the bandwidth being of `y`."""

    def squared(a: Array, b: Array) -> float:
        return math.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True))

    def pairs(z: Array) -> list[float]:
        return [squared(z[i], z[j]) for i in range(len(z)) for j in range(i)]

    distances = sorted(math.sqrt(each) for each in pairs(y))
    bandwidth = distances[(len(distances) - 1) // 2]  # as torch.median

    def kernel(distance: float) -> float:
        return math.exp(-distance / (2 * bandwidth**2 + KAD_EPSILON))

    m, n = len(x), len(y)
    of_x = 2 * math.fsum(map(kernel, pairs(x))) / (m * (m - 1))
    of_y = 2 * math.fsum(map(kernel, pairs(y))) / (n * (n - 1))
    between = math.fsum(kernel(squared(a, b)) for a in x for b in y) / (m * n)
    return 100 * (of_x + of_y - 2 * between)


def test_fad_of_normal_distributions_is_the_closed_form() -> None:
    generator = np.random.default_rng(1)
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.5, 3.0])
    a = _of_moments(generator, 50, np.array([0.0, 1.0, 2.0]), np.diag(first))
    b = _of_moments(generator, 40, np.array([2.0, 1.0, 1.0]), np.diag(second))
    # Of covariances that commute: the squared distance of the standard deviations.
    expected = (4 + 1) + float(((first - second) ** 2).sum())
    found = frechet_distance(a, b)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert (found.n, found.n_reference) == (50, 40)


def test_fad_of_covariances_that_do_not_commute() -> None:
    generator = np.random.default_rng(2)
    roots = np.array([[[2.0, 0.0], [1.5, 0.5]], [[0.3, 0.0], [-0.7, 1.0]]])
    a, b = (_of_moments(generator, 30, np.zeros(2), root) for root in roots)
    s, t = (root @ root.T for root in roots)
    # Of two by two: the trace of a root is sqrt(trace + 2 sqrt(determinant)).
    trace = math.sqrt(np.trace(s @ t) + 2 * math.sqrt(np.linalg.det(s @ t)))
    expected = np.trace(s) + np.trace(t) - 2 * trace
    assert frechet_distance(a, b).value == pytest.approx(expected, rel=1e-9)


def test_fad_of_large_samples_is_scipys() -> None:
    generator = np.random.default_rng(3)
    mixing = generator.normal(size=(2, 48, 48)) / 7
    a = generator.normal(size=(3000, 48)) @ mixing[0]
    b = generator.normal(size=(2000, 48)) @ mixing[1] + 0.1
    expected = _by_square_root(a, b)
    assert expected > 1
    found = frechet_distance(a.astype(np.float32), b.astype(np.float32))
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(b, a).value == pytest.approx(expected, rel=1e-9)


def test_fad_of_ten_samples_of_512_dimensions() -> None:
    generator = np.random.default_rng(4)
    # All of them in six dimensions, where the covariances have roots, seen in 512.
    a, b = generator.normal(size=(10, 6)), generator.normal(size=(12, 6)) * 2 + 1
    turned = np.linalg.qr(generator.normal(size=(512, 6)))[0].T
    found = frechet_distance(a @ turned, b @ turned)
    assert found.value == pytest.approx(_by_square_root(a, b), rel=1e-6)
    # Of subspaces that are orthogonal, nothing is in common: the variances add up.
    c, d = np.zeros((2, 10, 512))
    c[:, :256], d[:, 256:] = generator.normal(size=(2, 10, 256))
    expected = sum(each.var(axis=0, ddof=1).sum() for each in (c, d))
    expected += ((c.mean(axis=0) - d.mean(axis=0)) ** 2).sum()
    assert frechet_distance(c, d).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(10, 512), (200, 16)])
def test_fad_of_a_set_and_itself_is_zero_and_never_below(shape: tuple[int, int]) -> None:
    same = np.random.default_rng(5).normal(size=shape) * 1000
    found = frechet_distance(same, same[::-1]).value
    assert 0 <= found < 1e-12 * np.square(same).sum()


@pytest.mark.parametrize("n", [6, 7, 23])
def test_kad_is_the_formula(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks of 5: pairs within and across them; 15, 21 and 253 distances of the reference.
    monkeypatch.setattr(embedding_distances, "BLOCK_ROWS", 5)
    generator = np.random.default_rng(6)
    x = generator.normal(size=(13, 4)) + 0.5
    y = generator.normal(size=(n, 4)) * 1.5
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(_kad_written_out(x, y), rel=1e-5)
    assert found.value != pytest.approx(_kad_written_out(y, x), rel=1e-2)
    assert (found.n, found.n_reference) == (13, n)


def test_kad_of_an_even_number_of_distances_takes_the_lower_middle() -> None:
    # Distances 1, 1, 2, 3, 3, 4 of (0, 1, 3, 4) sorted: 1, 1, 2, 3, 3, 4; the third is 2.
    y = np.array([[0.0], [1.0], [3.0], [4.0]])
    x = np.array([[0.0], [10.0]])
    assert kernel_distance(x, y).value == pytest.approx(_kad_written_out(x, y), rel=1e-6)


def test_kad_of_a_set_and_itself_is_as_far_below_zero_as_the_diagonal_says() -> None:
    same = np.random.default_rng(7).normal(size=(20, 8))
    whole = kernel_distance(same, same).value
    squared = ((same[:, None] - same[None]) ** 2).sum(axis=2)
    middle = np.sort(squared[np.triu_indices(20, 1)])[(190 - 1) // 2]
    mean = np.exp(-squared / (2 * middle))[np.triu_indices(20, 1)].mean()
    assert whole == pytest.approx(-200 * (1 - mean) / 20, rel=1e-5)


def test_kad_of_sets_far_apart_counts_only_pairs_within() -> None:
    near = np.random.default_rng(8).normal(size=(2, 30, 8))
    far = kernel_distance(near[0] + 1e3, near[1]).value
    alone = 100 * sum(_kad_pairs(each, near[1]) for each in near)
    assert far == pytest.approx(alone, rel=1e-5)


def _kad_pairs(x: Array, y: Array) -> float:
    squared = [
        ((each[:, None] - each[None]) ** 2).sum(axis=2)[np.triu_indices(30, 1)] for each in (x, y)
    ]
    middle = np.sort(squared[1])[(435 - 1) // 2]
    return float(np.exp(-squared[0] / (2 * middle)).mean())


def test_kad_of_one_kind_is_zero_on_average() -> None:
    generator = np.random.default_rng(9)
    values = [kernel_distance(*generator.normal(size=(2, 15, 6))).value for _ in range(200)]
    error = float(np.std(values)) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)


def test_kad_of_a_reference_that_is_one_sound_over_and_over() -> None:
    y = np.ones((4, 3))
    assert kernel_distance(y[:2], y).value == 0
    assert kernel_distance(y[:2] + 1, y).value == pytest.approx(200)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_what_cannot_be_compared_is_said(distance: Callable[..., Distance]) -> None:
    good = np.random.default_rng(10).normal(size=(5, 4))
    bad = good.copy()
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"2 embeddings or more .* the sounds have the shape"):
        distance(good[:1], good)
    with pytest.raises(ValueError, match="1 of 5 embeddings of the reference are not finite"):
        distance(good, bad)
    with pytest.raises(ValueError, match="of 3 and of 4 numbers"):
        distance(good[:, :3], good)
