"""Networks that separate: shapes, masks, and what adds up to the mixture."""

import pytest
import torch

from models.separator.networks import network
from models.tfunet.network import TFUNet
from models.unet1d.model import UNet1D, apply_masks, share

LENGTHS = (1, 255, 4_096, 30_001)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_masks_of_the_reference():
    mixture = noise(2, 1, 30_001)
    masks = UNet1D(n_sources=4)(mixture)
    assert masks.shape == (2, 4, 30_001)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert apply_masks(mixture, masks).shape == (2, 4, 1, 30_001)


def test_masks_are_multiplied_and_the_longer_is_cut():
    mixture = torch.tensor([[[2.0, -4.0, 8.0]]])
    masks = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])
    expected = torch.tensor([[[[1.0, -1.0]], [[0.0, -4.0]]]])
    assert torch.equal(apply_masks(mixture, masks), expected)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_length_and_both_numbers_of_channels(channels: int, length: int):
    mixture = noise(1, channels, length)
    masks = UNet1D(3, channels, widths=(4, 8, 16)).eval()(mixture)
    assert apply_masks(mixture, masks).shape == (1, 3, channels, length)
    sources = TFUNet(3, channels, bands=8, widths=(4, 8)).eval()(mixture)
    assert sources.shape == (1, 3, channels, length)


@pytest.mark.parametrize("name", ["unet1d", "tfunet"])
def test_stems_of_a_network_that_masks_add_up_to_the_mixture(name: str):
    declared = network(name)
    assert declared.is_masking
    module = declared.build(4, 2, 44_100).eval()
    mixture = noise(2, 2, 30_001)
    with torch.no_grad():
        stems = declared.stems(mixture, module(mixture))
    assert torch.allclose(stems.sum(1), mixture, atol=1e-5)
    assert stems[:, 0].abs().sum() > 0


def test_where_no_mask_claims_anything_all_stems_have_alike():
    mixture = noise(1, 1, 100)
    shared = share(mixture, torch.zeros(1, 4, 100))
    assert torch.allclose(shared, mixture[:, None] / 4)


def test_a_sample_is_masked_by_what_is_around_it_alone():
    """Far from a change, the masks of a trained size are as they were: windows can be cut."""
    module = TFUNet(2, 1, bands=8, widths=(4, 8)).eval()
    mixture = noise(1, 1, 8 * 44_100)
    changed = mixture.clone()
    changed[..., -44_100:] = 0
    with torch.no_grad():
        one, other = module(mixture), module(changed)
    assert torch.allclose(one[..., : 4 * 44_100], other[..., : 4 * 44_100], atol=1e-6)
    assert not torch.allclose(one[..., -22_050:], other[..., -22_050:], atol=1e-3)


def test_gradients_reach_every_parameter():
    for module in (UNet1D(4, widths=(8, 16, 32)), TFUNet(4, 1, bands=8, widths=(4, 8))):
        mixture = noise(2, 1, 20_000)
        output = module(mixture)
        sources = apply_masks(mixture, output) if isinstance(module, UNet1D) else output
        (sources - noise(*sources.shape)).abs().mean().backward()
        unreached = [
            name
            for name, each in module.named_parameters()
            if each.grad is None or not each.grad.abs().sum() > 0
        ]
        assert not unreached
