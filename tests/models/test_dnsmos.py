"""DNSMOS's adapter against the package's own call, on the same windows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models import adapters, dnsmos, packages
from models.dnsmos import RATE_HZ, WINDOW_SAMPLES, DnsmosAdapter, load
from models.onnx_file import read_arrays
from models.registry import card
from models.tiny import dnsmos as tiny
from models.tiny.onnx import encoded

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = card("dnsmos")
PACKAGE = packages.folder(CARD)
packaged = pytest.mark.skipif(PACKAGE is None, reason="the package speechmos is not installed")


def window(noise: float = 0.01) -> np.ndarray:
    """A voice-like sound that comes and goes, in noise."""
    time = np.arange(WINDOW_SAMPLES) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(180 * 2 ** (np.sin(2 * np.pi * 0.4 * time) / 4)) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 0.7 * time) > 0)
    random = np.random.default_rng(0).standard_normal(len(time))
    return (0.1 * voice + noise * random).astype(np.float32)


@packaged
def test_the_file_is_the_published_one():
    assert packages.problems(CARD, PACKAGE) == []


@packaged
def test_it_says_what_the_package_says():
    package = pytest.importorskip("speechmos.dnsmos")
    samples = window()
    said = package.run(samples, RATE_HZ)
    expected = [said["sig_mos"], said["bak_mos"], said["ovrl_mos"]]
    exact = DnsmosAdapter(read_arrays(PACKAGE / CARD.files[0].name), "cpu", torch.float32)
    [scores] = exact.scores([samples])
    assert scores == pytest.approx(expected, abs=1e-4)
    [scores] = adapters.load(CARD, "cpu", PACKAGE).scores([samples])
    assert scores == pytest.approx(expected, abs=0.1)


@packaged
def test_arrays_of_the_package_are_those_that_are_used():
    read = read_arrays(PACKAGE / CARD.files[0].name)
    for name, array in tiny.arrays().items():
        assert read[name].ndim == array.ndim, name
    # Of whole numbers of variable length, one of them below zero.
    assert read["shape_tensor"].tolist() == [-1, 900, 160]


def test_neither_strips_nor_windows_beside_it_change_a_window(monkeypatch: pytest.MonkeyPatch):
    adapter = DnsmosAdapter(tiny.arrays(), "cpu", torch.float32)
    windows = [window(noise) for noise in (0.01, 0.1)]
    first, second = adapter.scores(windows)
    assert not np.array_equal(first, second)
    [alone] = adapter.scores(windows[1:])
    assert np.array_equal(alone, second)
    for frames in (7, 1000):
        monkeypatch.setattr(dnsmos, "STRIP_FRAMES", frames)
        [cut] = adapter.scores(windows[1:])
        assert cut == pytest.approx(second, abs=1e-5)


def test_silence_has_scores():
    [scores] = DnsmosAdapter(tiny.arrays(), "cpu").scores([np.zeros(WINDOW_SAMPLES, np.float32)])
    assert np.isfinite(scores).all()


def damaged() -> dict[str, bytes]:
    arrays = tiny.arrays()
    weight, _ = dnsmos.dense_names("dense")
    return {
        "empty": b"",
        "cut": encoded(arrays)[:-1000],
        "other arrays": encoded({"a": np.zeros(3, np.float32)}),
        "a layer of another size": encoded(arrays | {weight: np.zeros((5, 8), "<f4")}),
    }


@pytest.mark.parametrize("content", damaged().values(), ids=damaged().keys())
def test_what_is_no_network_is_said(tmp_path: Path, content: bytes):
    (tmp_path / "sig_bak_ovr.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"sig_bak_ovr\.onnx holds no network of DNSMOS"):
        load(CARD, "cpu", tmp_path)
