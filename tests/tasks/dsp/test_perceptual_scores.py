import librosa
import numpy as np
import pytest
import torch
import torchaudio
from torch_log_wmse import LogWMSE

from tasks.dsp import perceptual_scores
from tasks.dsp.perceptual_scores import bleed_and_fullness, log_wmse

RATE_HZ = 44_100


def song(seed: int = 1, samples: int = 30_001) -> tuple[np.ndarray, np.ndarray]:
    """Two sources in stereo, of which one has no highs, and what was separated of them."""
    rng = np.random.default_rng(seed)
    true = 0.1 * rng.standard_normal((2, 2, samples))
    true[0, :, 1:] += true[0, :, :-1]
    return true, 0.9 * true + 0.1 * true.sum(axis=0)


def published(reference: np.ndarray, estimate: np.ndarray) -> tuple[float, float]:
    """Bleedless and fullness by the libraries that their definition is made of."""
    bands = torch.from_numpy(librosa.filters.mel(sr=RATE_HZ, n_fft=4096, n_mels=512))
    to_db = torchaudio.transforms.AmplitudeToDB("magnitude", 80)
    levels = [
        to_db(
            bands
            @ torch.stft(
                torch.from_numpy(each).float(),
                4096,
                1024,
                window=torch.hann_window(4096),
                pad_mode="constant",
                return_complex=True,
            ).abs()
        )
        for each in (reference, estimate)
    ]
    difference = (levels[1] - levels[0]).double()
    above, below = difference[difference > 0], -difference[difference < 0]
    means = [float(part.mean()) if len(part) else 0.0 for part in (above, below)]
    return 100 / (1 + means[0]), 100 / (1 + means[1])


@pytest.mark.parametrize("case", ["like", "unlike", "late", "silent", "perfect"])
def test_bleedless_and_fullness_have_their_published_values(
    case: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(perceptual_scores, "CHUNK_FRAMES", 11)
    true, found = song()
    # The loudest comes last: what is cut off below it is known at the end only.
    true[0, :, -2_000:] *= 30
    # Softer than that by more than 80 dB.
    true[0, :, :8_000] *= 1e-6
    estimate = {
        "like": found[0],
        "unlike": found[1],
        "late": np.roll(found[0], 20_000, axis=1),
        "silent": np.zeros_like(true[0]),
        "perfect": true[0],
    }[case]
    ours = bleed_and_fullness(true[0], estimate, RATE_HZ)
    assert ours == pytest.approx(published(true[0], estimate), rel=1e-3)


def test_what_is_too_much_bleeds_and_what_is_missing_is_not_full():
    true, _ = song()
    bleedless, fullness = bleed_and_fullness(true[0], 2 * true[0], RATE_HZ)
    assert bleedless == pytest.approx(100 / (1 + 20 * np.log10(2)), rel=1e-3)
    assert fullness == 100
    assert bleed_and_fullness(true[0], true[0] / 2, RATE_HZ)[0] == 100


@pytest.mark.parametrize("rate_hz", [44_100, 16_000])
def test_log_wmse_is_that_of_its_package(rate_hz: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(perceptual_scores, "FILTER_FFT", 8_192)
    true, found = song()
    true[1], found[1, :, 20_000:] = 0, 0
    mixture = true.sum(axis=0)
    theirs = LogWMSE(sample_rate=rate_hz).per_stem(
        torch.from_numpy(mixture)[None],
        torch.from_numpy(found.transpose(1, 0, 2))[None],
        torch.from_numpy(true.transpose(1, 0, 2))[None],
    )
    ours = log_wmse(true, found, mixture, rate_hz)
    np.testing.assert_allclose(ours, theirs[0].mean(dim=0).numpy(), atol=1e-5)


def test_log_wmse_of_silence_that_was_left_silent_is_the_best_there_is():
    true, _ = song()
    true[1] = 0
    assert log_wmse(true, true, true[0], RATE_HZ) == pytest.approx([4 * np.log(1e8)] * 2)
