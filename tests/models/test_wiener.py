import numpy as np
import pytest
import torch

from models.wiener import REGULARISATION, SCALE, multichannel_wiener

pytestmark = pytest.mark.usefixtures("one_thread")


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def by_matrices(mix: np.ndarray, estimates: list[np.ndarray]) -> list[np.ndarray]:
    """The filter as the paper writes it: a matrix per frame and bin, shape (2, frames, bins)."""
    unit = max(1.0, np.abs(mix).max() / SCALE)
    powers = [(np.abs(each) ** 2).mean(0) for each in estimates]
    places = [
        np.einsum("itf,jtf->fij", each, each.conj()) / power.sum(0)[:, None, None]
        for each, power in zip(estimates, powers, strict=True)
    ]
    parts = [power[..., None, None] * place for power, place in zip(powers, places, strict=True)]
    inverse = np.linalg.inv(sum(parts) + REGULARISATION * unit**2 * np.eye(2))
    return [np.einsum("tfij,tfjk,ktf->itf", part, inverse, mix) for part in parts]


@pytest.mark.parametrize("level", [1.0, 1000.0])
def test_the_filter_is_that_of_the_paper(level: float):
    rng = np.random.default_rng(4)
    mix = level * noise(rng, 2, 40, 9)
    share = rng.uniform(0.05, 0.95, (1, 40, 9))
    estimates = [share * mix, (1 - share) * mix]
    found = multichannel_wiener(
        torch.from_numpy(mix)[None], [torch.from_numpy(each)[None] for each in estimates]
    )
    for ours, theirs in zip(found, by_matrices(mix, estimates), strict=True):
        assert np.abs(ours[0].numpy() - theirs).max() < 1e-7 * level
    assert np.abs(sum(found)[0].numpy() - mix).max() < 0.2 * level


def test_what_stands_elsewhere_is_told_apart_where_levels_are_not():
    """Two sources of one level per frame and bin: masks of a half each leave both in both."""
    rng = np.random.default_rng(1)
    left, right = noise(rng, 400, 5), noise(rng, 400, 5)
    sources = [np.stack([left, 0.1 * left]), np.stack([0.1 * right, right])]
    mix = sources[0] + sources[1]
    hints = [0.7 * each + 0.3 * other for each, other in (sources, sources[::-1])]
    found = multichannel_wiener(
        torch.from_numpy(mix)[None], [torch.from_numpy(each)[None] for each in hints]
    )
    for ours, hint, truth in zip(found, hints, sources, strict=True):
        before = np.linalg.norm(hint - truth)
        assert np.linalg.norm(ours[0].numpy() - truth) < 0.6 * before


def test_silence_is_silence():
    nothing = torch.zeros(1, 2, 4, 3, dtype=torch.complex64)
    for source in multichannel_wiener(nothing, [nothing, nothing]):
        assert not source.isnan().any()
        assert not source.any()
