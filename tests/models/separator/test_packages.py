"""Networks of packages: their own call on the same weights, and shapes of any length."""

import pytest
import torch

from models.separator.networks import network

RATE = 44_100


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """As in the workers."""


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["bs-roformer", "moises-light"])
def test_a_network_equals_the_packages_own_call(name: str, channels: int):
    # Here, since every process of the tests reads this file, and they take one and a half seconds.
    import bs_roformer
    import moises_light

    declared = network(name)
    torch.manual_seed(0)
    ours = declared.build(3, channels, RATE, **declared.sizes["small"]).eval()
    small = declared.sizes["small"]
    if name == "bs-roformer":
        theirs = bs_roformer.BSRoformer(stereo=channels == 2, num_stems=3, **small)
    else:
        theirs = moises_light.MoisesLight(["a", "b", "c"], channels, **small)
    theirs.load_state_dict(ours.state_dict())
    mixture = torch.randn(2, channels, 512 * 20)
    with torch.inference_mode():
        expected = theirs.eval()(mixture)
        found = declared.stems(mixture, ours(mixture))
    assert found.shape == (2, 3, channels, 512 * 20)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["bs-roformer", "moises-light"])
def test_any_length_of_any_number_of_sources_goes_in(name: str):
    declared = network(name)
    for sources in (1, 2):
        made = declared.build(sources, 1, RATE, **declared.sizes["small"]).eval()
        for length in (1, 1000, 6001):
            mixture = torch.randn(1, 1, length)
            with torch.inference_mode():
                found = declared.stems(mixture, made(mixture))
            assert found.shape == (1, sources, 1, length)
            assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["bs-roformer", "moises-light"])
def test_a_step_is_trained_in_32_bits_and_by_autocast(name: str):
    declared = network(name)
    made = declared.build(2, 2, RATE, **declared.sizes["small"])
    mixture = torch.randn(1, 2, 8192)
    for is_half in (False, True):
        made.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            estimates = declared.estimates(mixture, made(mixture))
        estimates.float().square().mean().backward()
        gradients = [parameter.grad for parameter in made.parameters() if parameter.requires_grad]
        heard = [gradient for gradient in gradients if gradient is not None]
        assert len(heard) > len(gradients) / 2
        assert all(torch.isfinite(gradient).all() for gradient in heard)
    assert not declared.longer_windows
