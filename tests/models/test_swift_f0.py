"""swift-f0's adapter against the package's own model, run by ONNX Runtime as the package does."""

from pathlib import Path

import numpy as np
import pytest

from models import adapters, packages
from models.onnx_file import read_arrays
from models.registry import card
from models.swift_f0 import HOP_SAMPLES, SwiftF0Adapter, load
from models.tiny import onnx
from models.tiny import swift_f0 as tiny
from models.tiny.write import write

pytestmark = pytest.mark.usefixtures("one_thread")

RATE_HZ = 16_000
CARD = card("swift-f0")
PACKAGE = packages.folder(CARD)
packaged = pytest.mark.skipif(PACKAGE is None, reason="the package swift-f0 is not installed")


@pytest.fixture(scope="module")
def adapter() -> SwiftF0Adapter:
    found: SwiftF0Adapter = adapters.load(CARD, "cpu", PACKAGE)
    return found


def sung(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (np.sin(2 * np.pi * 1.5 * time) / 3)) / RATE_HZ
    noise = 0.001 * np.random.default_rng(0).standard_normal(len(time))
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * (time > seconds / 3)
    return (0.05 * voice + noise).astype(np.float32)


def package_says(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch and confidence by the calls of its ``SwiftF0._run``, over its whole range."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(PACKAGE / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    bounds = {"fmin": np.asarray(46.875, np.float32), "fmax": np.asarray(2093.75, np.float32)}
    f0_hz, confidence = session.run(["pitch", "confidence"], {"audio": samples[None], **bounds})
    return f0_hz[0], confidence[0]


@packaged
def test_the_file_is_the_published_one():
    assert packages.problems(CARD, PACKAGE) == []


@packaged
@pytest.mark.parametrize(
    "samples",
    [sung(1.5), np.zeros(4000, np.float32), np.pad(sung(0.1), 3000), sung(0.05)[:1]],
    ids=["sung", "silence", "a short note", "one sample"],
)
def test_it_says_what_the_package_says(adapter: SwiftF0Adapter, samples: np.ndarray):
    f0_hz, confidence = adapter.track([samples], HOP_SAMPLES)
    # The package has no frame at the end.
    expected_f0_hz, expected = package_says(np.pad(samples, (0, HOP_SAMPLES)))
    assert confidence.shape == f0_hz.shape == (1 + len(samples) // HOP_SAMPLES,)
    expected_f0_hz, expected = expected_f0_hz[: len(f0_hz)], expected[: len(f0_hz)]
    assert np.abs(confidence - expected).max() < 2e-5
    assert np.abs(1200 * np.log2(f0_hz / expected_f0_hz)).max() < 0.01


@packaged
def test_a_gain_is_a_factor_of_the_samples(adapter: SwiftF0Adapter):
    samples = sung(0.3)
    f0_hz, confidence = adapter.track([samples], 160, gain=0.25)
    expected_f0_hz, expected = adapter.track([samples * np.float32(0.25)], 160)
    assert np.array_equal(f0_hz, expected_f0_hz)
    assert np.array_equal(confidence, expected)


@packaged
@pytest.mark.parametrize(("hop", "every"), [(128, 2), (32, 8)])
def test_a_hop_that_goes_into_that_of_the_package_adds_frames_between(
    adapter: SwiftF0Adapter, hop: int, every: int
):
    samples = sung(0.6)
    f0_hz, confidence = adapter.track([samples], hop)
    expected_f0_hz, expected = adapter.track([samples], HOP_SAMPLES)
    # At the end, those of the finer hop see frames that the others have not.
    n = len(expected) - 8
    assert np.abs(confidence[::every][:n] - expected[:n]).max() < 1e-5
    assert np.abs(np.log2(f0_hz[::every][:n] / expected_f0_hz[:n])).max() < 1e-5


@packaged
def test_at_a_wider_hop_frames_see_as_far_as_at_that_of_the_package(adapter: SwiftF0Adapter):
    samples = sung(0.6)
    f0_hz, confidence = adapter.track([samples], 3 * HOP_SAMPLES)
    expected_f0_hz, expected = (each[::3] for each in adapter.track([samples], HOP_SAMPLES))
    n = len(expected) - 3
    assert np.abs(confidence[:n] - expected[:n]).max() < 1e-5
    assert np.abs(np.log2(f0_hz[:n] / expected_f0_hz[:n])).max() < 1e-5


@packaged
@pytest.mark.parametrize("hop", [160, 256, 320, 333, 800])
def test_frames_lie_at_multiples_of_any_hop(adapter: SwiftF0Adapter, hop: int):
    samples = sung(1.5)
    f0_hz, confidence = adapter.track([samples], hop)
    time = np.arange(len(f0_hz)) * hop / RATE_HZ
    assert len(time) == 1 + len(samples) // hop
    inside = (time > 0.6) & (time < 1.4)
    expected = 220 * 2 ** (np.sin(2 * np.pi * 1.5 * time) / 3)
    assert np.abs(1200 * np.log2(f0_hz / expected))[inside].max() < 30
    assert (confidence[inside] > 0.9).all()
    assert (confidence[(time > 0.1) & (time < 0.4)] < 0.5).all()


@packaged
def test_how_a_recording_is_cut_does_not_matter(adapter: SwiftF0Adapter, monkeypatch):
    samples = sung(1.2)
    expected_f0_hz, expected = adapter.track([samples], 160)
    monkeypatch.setattr(adapter, "_frames_per_call", 17)
    f0_hz, confidence = adapter.track([samples], 160)
    assert np.abs(confidence - expected).max() < 1e-5
    assert np.abs(np.log2(f0_hz / expected_f0_hz)).max() < 1e-5


def test_arrays_are_read_as_they_were_written(tmp_path: Path):
    path = tmp_path / "model.onnx"
    written = tiny.arrays()
    path.write_bytes(onnx.encoded(written))
    read = read_arrays(path)
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


@packaged
def test_arrays_of_the_package_are_those_that_are_used():
    read = read_arrays(PACKAGE / "model.onnx")
    for name, array in tiny.arrays().items():
        assert read[name].dtype == array.dtype
        if name not in ("v123", "v124", "v241", "v242", "v342", "v343"):
            assert read[name].shape == array.shape, name
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    assert np.abs(read["v161"] - hann).max() < 1e-6


def damaged() -> dict[str, bytes]:
    arrays = tiny.arrays()
    whole = onnx.encoded(arrays)
    return {
        "empty": b"",
        "text": b"<!DOCTYPE html>",
        "cut": whole[:-1000],
        "other arrays": onnx.encoded({"a": np.zeros(3, np.float32)}),
        "a layer of another size": onnx.encoded(arrays | {"v413": np.zeros((4, 5, 3, 3), "<f4")}),
        "places beyond the bands": onnx.encoded(arrays | {"v123": arrays["v123"] * 1000}),
    }


@pytest.mark.parametrize("content", damaged().values(), ids=damaged().keys())
def test_what_is_no_network_is_said(tmp_path: Path, content: bytes):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx holds no network of swift-f0"):
        load(CARD, "cpu", tmp_path)


def test_a_tiny_model_is_loaded_as_the_published_one(tmp_path: Path):
    folder = write(tmp_path, "swift-f0")
    f0_hz, confidence = load(CARD, "cpu", folder).track([sung(0.2)], 160)
    assert len(f0_hz) == len(confidence) == 21
    assert ((f0_hz > 46) & (f0_hz < 2100)).all()
