"""Losses, against torchmetrics, scipy and what is known without either."""

import numpy as np
import pytest
import scipy.signal
import torch

from tasks.separator import losses

GENERATOR = torch.Generator().manual_seed(3)


def sources(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR)


TRUE = sources(2, 3, 1, 4000)
FOUND = 0.4 * TRUE + 0.2 * sources(2, 3, 1, 4000)


def test_l1_is_the_mean_distance_of_samples():
    assert losses.l1(TRUE + 0.25, TRUE).item() == pytest.approx(0.25)
    assert losses.l1(FOUND, TRUE).item() == pytest.approx((FOUND - TRUE).abs().mean().item())


def test_ratios_are_those_of_torchmetrics():
    from torchmetrics.functional.audio import (
        scale_invariant_signal_distortion_ratio,
        signal_noise_ratio,
    )

    ours = losses.scale_invariant_ratio_db(FOUND, TRUE)
    torch.testing.assert_close(
        ours, scale_invariant_signal_distortion_ratio(FOUND, TRUE)[..., 0], atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        losses.ratio_db(FOUND, TRUE), signal_noise_ratio(FOUND, TRUE)[..., 0], atol=1e-3, rtol=0
    )
    assert losses.si_sdr(FOUND, TRUE).item() == pytest.approx(-ours.mean().item(), abs=1e-4)
    # Both channels of a stereo source are one signal, as if one came after the other.
    stereo_true, stereo_found = TRUE.reshape(2, 3, 2, 2000), FOUND.reshape(2, 3, 2, 2000)
    torch.testing.assert_close(losses.scale_invariant_ratio_db(stereo_found, stereo_true), ours)


def test_silent_targets_count_in_no_ratio_and_break_no_gradient():
    true = TRUE.clone()
    true[0, 1] = 0
    found = FOUND.clone().requires_grad_()
    value = losses.si_sdr(found, true)
    each = -losses.scale_invariant_ratio_db(FOUND, TRUE).flatten()
    assert value.item() == pytest.approx(each[[0, 2, 3, 4, 5]].mean().item(), abs=1e-3)
    value.backward()
    assert torch.isfinite(found.grad).all()
    assert not found.grad[0, 1].any()
    assert losses.si_sdr(FOUND, torch.zeros_like(TRUE)).item() == 0


def test_spectral_distance_is_that_of_scipys_spectra():
    expected = []
    for window, hop in losses.RESOLUTIONS:
        magnitudes = [
            np.hypot(np.abs(_spectra(signal, window, hop)), losses.MAGNITUDE_FLOOR)
            for signal in (FOUND, TRUE)
        ]
        found, true = magnitudes
        apart, whole = (np.sqrt((each**2).sum((-3, -2, -1))) for each in (found - true, true))
        logarithms = np.abs(np.log(found) - np.log(true)).mean()
        expected.append((apart / (apart + whole)).mean() + logarithms)
    assert losses.mrstft(FOUND, TRUE).item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert losses.mrstft(TRUE, TRUE).item() == pytest.approx(0, abs=1e-5)
    both = losses.l1_and_mrstft(FOUND, TRUE).item()
    assert both == pytest.approx(np.mean(expected) + losses.l1(FOUND, TRUE).item(), rel=1e-4)


def _spectra(signal: torch.Tensor, window: int, hop: int) -> np.ndarray:
    padding = [(0, 0)] * 3 + [(window // 2, window // 2)]
    padded = np.pad(signal.double().numpy(), padding, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, -1)[..., ::hop, :]
    return np.fft.rfft(frames * scipy.signal.get_window("hann", window)).swapaxes(-1, -2)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_leads_to_the_target_and_stands_silence(name: losses.Name):
    true = 0.1 * sources(1, 2, 1, 3000)
    true[:, 1] = 0
    found = (0.1 * sources(1, 2, 1, 3000)).requires_grad_()
    optimizer = torch.optim.Adam([found], lr=3e-3)
    before = losses.LOSSES[name](found, true).item()
    for _ in range(60):
        optimizer.zero_grad()
        losses.LOSSES[name](found, true).backward()
        assert torch.isfinite(found.grad).all()
        optimizer.step()
    assert losses.LOSSES[name](found, true).item() < before - 0.05 * abs(before)
