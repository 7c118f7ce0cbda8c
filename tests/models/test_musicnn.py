"""musicnn's networks against the package's own, run by TensorFlow, and against plain numpy.

``musicnn_reference.npz`` holds what ``musicnn.extractor`` of the package gave for
:func:`sounds`, by TensorFlow 2.21 with ``TF_USE_LEGACY_KERAS=1`` and librosa 0.11: ``package`` as
it is, for the quiet signal, and ``quiet`` and ``loud`` with its ``batch_data`` changed not to round
energies to 16 bits.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from models import musicnn, packages
from models.musicnn import FFT_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, MusicnnAdapter, load
from models.musicnn_network import BANDS, FRAMES, TaggerNetwork
from models.registry import card
from models.tiny.musicnn import entries, random_arrays, table
from models.tiny.write import write
from tasks.dsp.filterbanks import mel_filterbank

pytestmark = pytest.mark.usefixtures("one_thread")

RATE_HZ = 16_000
NAMES = ("mtt", "msd")
REFERENCE = np.load(Path(__file__).with_name("musicnn_reference.npz"))
packaged = pytest.mark.skipif(
    packages.folder(card("musicnn-mtt")) is None, reason="the package musicnn is not installed"
)


def sounds(peak: float, seconds: float = 9.5) -> np.ndarray:
    """A broken chord of decaying notes over a beat of noise, louder to the end."""
    random = np.random.default_rng(5)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    signal = 0.0005 * random.standard_normal(len(time))
    for index, start in enumerate(np.arange(0, seconds, 0.25)):
        since = time - start
        envelope = np.where(since >= 0, np.exp(-4 * np.maximum(since, 0)), 0)
        hz = (196.0, 247.0, 294.0, 392.0)[index % 4]
        signal += envelope * sum(np.sin(2 * np.pi * hz * k * since) / k for k in (1, 2, 3, 5))
        if index % 2:
            signal += 0.7 * envelope**8 * random.standard_normal(len(time))
    signal *= 0.3 + 0.7 * time / seconds
    return (peak * signal / np.abs(signal).max()).astype(np.float32)


def windows(signal: np.ndarray) -> np.ndarray:
    """Those of the package, one after the other, with zeros around the signal."""
    padded = np.pad(signal, HOP_SAMPLES)
    starts = range(0, len(padded) - WINDOW_SAMPLES + 1, FRAMES * HOP_SAMPLES)
    return np.stack([padded[start : start + WINDOW_SAMPLES] for start in starts])


def published(name: str) -> MusicnnAdapter:
    found = card(f"musicnn-{name}")
    return load(found, "cpu", packages.folder(found))


@packaged
@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_the_published_ones(name: str):
    found = card(f"musicnn-{name}")
    assert packages.problems(found, packages.folder(found)) == []


@packaged
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_package(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(musicnn, "native_precision", lambda device: torch.float32)
    adapter = published(name)
    quiet = adapter.scores(adapter.bands(windows(sounds(0.05))[:1]))
    loud = adapter.scores(adapter.bands(windows(sounds(0.9))[2:]))
    np.testing.assert_allclose(quiet, REFERENCE[f"{name}_quiet"][:1], atol=3e-5)
    np.testing.assert_allclose(loud, REFERENCE[f"{name}_loud"][2:], atol=3e-5)
    # With energies of 16 bits, which is as near as it comes.
    np.testing.assert_allclose(quiet, REFERENCE[f"{name}_package"][:1], atol=3e-4)
    assert np.abs(quiet - loud).max() > 0.05, "something to compare"


@packaged
def test_scores_in_bfloat16_are_near(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(musicnn, "native_precision", lambda device: torch.bfloat16)
    adapter = published("msd")
    found = adapter.scores(adapter.bands(windows(sounds(0.05))[:1]))
    np.testing.assert_allclose(found, REFERENCE["msd_quiet"][:1], atol=0.01)


def test_bands_are_those_of_librosa(tmp_path: Path):
    """Whose filters :mod:`tasks.dsp.filterbanks` makes, by a test of its own."""
    signal = sounds(0.9, 3.2)
    adapter = load(card("musicnn-mtt"), "cpu", write(tmp_path, "musicnn-mtt"))
    [found] = adapter.bands(windows(signal))
    frames = sliding_window_view(np.pad(signal.astype(np.float64), HOP_SAMPLES), FFT_SAMPLES)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)
    spectra = np.abs(np.fft.rfft(frames[: FRAMES * HOP_SAMPLES : HOP_SAMPLES] * hann)) ** 2
    energies = spectra @ mel_filterbank(RATE_HZ, FFT_SAMPLES, BANDS)
    np.testing.assert_allclose(found, np.log10(10_000 * energies + 1), atol=3e-5)


def test_the_network_is_what_its_layers_say():
    """Layer by layer, with no norm joined to another layer; some norms have negative factors."""
    arrays = random_arrays(5)
    random = np.random.default_rng(1)
    bands = random.uniform(0, 4, (1, FRAMES, BANDS)).astype(np.float32)
    network = TaggerNetwork(arrays, torch.device("cpu"), torch.float32)
    found = network(torch.from_numpy(bands)).numpy()[0]

    def norm(values: np.ndarray, number: int) -> np.ndarray:
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        gamma, beta, mean, variance = (
            arrays[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta

    def layer(values: np.ndarray, number: int, before: int, after: int) -> np.ndarray:
        name = f"conv2d_{number}" if number else "conv2d"
        kernel = arrays[f"{name}/kernel"][:, :, 0]
        padded = np.pad(values, ((before, after), (0, 0)))
        places = sliding_window_view(padded, kernel.shape[:2])
        products = np.einsum("tfij,ijn->tfn", places, kernel) + arrays[f"{name}/bias"]
        return norm(np.maximum(products, 0), number + 1)

    heard = norm(bands[0], 0)
    pads = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    front = np.concatenate([layer(heard, at, *pad).max(1) for at, pad in enumerate(pads)], axis=1)
    first = layer(front, 5, 3, 3)[:, 0]
    second = layer(first, 6, 3, 3)[:, 0] + first
    third = layer(second, 7, 3, 3)[:, 0] + second
    features = np.concatenate([front, first, second, third], axis=1)
    pooled = np.stack([features.max(0), features.mean(0)], axis=1).reshape(-1)
    hidden = norm(pooled, 9) @ arrays["dense/kernel"] + arrays["dense/bias"]
    logits = norm(np.maximum(hidden, 0), 10) @ arrays["dense_1/kernel"] + arrays["dense_1/bias"]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert arrays["batch_normalization_1/gamma"].min() < 0 < np.ptp(found)


def test_a_window_is_heard_alike_whatever_is_heard_with_it(tmp_path: Path):
    adapter = load(card("musicnn-msd"), "cpu", write(tmp_path, "musicnn-msd"))
    bands = adapter.bands(windows(sounds(0.3)))
    together = adapter.scores(bands)
    alone = np.concatenate([adapter.scores(each[None]) for each in bands])
    assert together.shape == (3, 50)
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("change", ["another number of tags", "a layer of another size", "cut"])
def test_what_is_no_network_is_said(tmp_path: Path, change: str):
    folder = write(tmp_path, "musicnn-mtt")
    data = folder / ".data-00000-of-00001"
    arrays = random_arrays(49 if change == "another number of tags" else 50)
    if change == "a layer of another size":
        arrays["conv2d_5/kernel"] = arrays["conv2d_5/kernel"][:, :-1]
    tiny_index(folder, arrays)
    if change == "cut":
        data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(ValueError, match="hold no network of musicnn"):
        load(card("musicnn-mtt"), "cpu", folder)


def tiny_index(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    (folder / ".index").write_bytes(table(entries(arrays)))
    data = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    (folder / ".data-00000-of-00001").write_bytes(data)
