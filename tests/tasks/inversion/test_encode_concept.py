"""Segments of recordings, and their codes, on a tiny EnCodec."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import EncodecModel

from blocks.storage import Storage
from models.tiny.write import write
from tasks.dataset.near_duplicates import acoustic_fingerprint
from tasks.embed.items import Item, ItemTools
from tasks.inversion.encode_concept import CODEC_NAME, STEP, EncodeConceptConfig
from tasks.step import Row, Tools, TrackError
from tasks.weights import Weights

RATE_HZ = 32_000
CONFIG = EncodeConceptConfig(segment_seconds=1.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("models")
    write(folder, CODEC_NAME)
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path: Path, weights: Weights) -> ItemTools:
    place = Storage(str(tmp_path))
    return ItemTools(source=place, outputs=place.below("segments"), weights=weights)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ))


def encoded(tools: Tools, signal: np.ndarray, **part: float) -> Row | TrackError:
    soundfile.write(Path(tools.source.address, "song.wav"), signal, RATE_HZ)
    [row] = STEP.run([Item("a" * 32, "song.wav", **part)], {"probe": [None]}, CONFIG, tools)
    return row


def test_each_segment_has_the_codes_that_the_library_gives_it_alone(
    tools: ItemTools, weights: Weights
):
    signal = np.concatenate([noise(1), np.zeros(RATE_HZ), noise(1.4, 1)])
    row = encoded(tools, signal)
    assert isinstance(row, dict)
    assert set(row) == set(STEP.columns.names)
    assert row["start_seconds"] == [0.0, 2.0]
    assert (row["silent_segments"], row["rest_seconds"], row["duration_seconds"]) == (1, 0.4, 3.4)
    model = EncodecModel.from_pretrained(weights.folder(CODEC_NAME), local_files_only=True).eval()
    heard, _ = soundfile.read(Path(tools.source.address, "song.wav"), dtype="float32")
    for start, codes, path in zip(
        row["start_seconds"], row["codes"], row["audio_paths"], strict=True
    ):
        segment = heard[round(start * RATE_HZ) :][:RATE_HZ]
        with torch.no_grad():
            expected = model.encode(torch.from_numpy(segment)[None, None]).audio_codes[0, 0].numpy()
        found = np.frombuffer(codes, "<u2").reshape(row["codebooks"], -1)
        assert np.array_equal(found, expected)
        stored, rate_hz = soundfile.read(Path(tools.outputs.address, path), dtype="float32")
        assert (rate_hz, stored.shape) == (RATE_HZ, (RATE_HZ,))
        assert np.abs(stored - segment).max() < 2 / 2**15
    words = acoustic_fingerprint(heard[None], RATE_HZ)
    assert np.array_equal(np.frombuffer(row["fingerprint"], "<u4"), words)


def test_what_follows_a_last_chord_is_silent(tools: ItemTools):
    row = encoded(tools, np.concatenate([noise(1), noise(0.6), np.zeros(round(0.9 * RATE_HZ))]))
    # 0.6 s of the second segment sound, nothing of the rest.
    assert isinstance(row, dict)
    assert (row["start_seconds"], row["silent_segments"]) == ([0.0, 1.0], 0)
    row = encoded(tools, np.concatenate([noise(1), noise(0.4), np.zeros(RATE_HZ)]))
    assert isinstance(row, dict)
    assert (row["start_seconds"], row["silent_segments"]) == ([0.0], 1)


@pytest.mark.parametrize(
    ("signal", "part", "reason", "said"),
    [
        (noise(0.7), {}, "too-short", "song.wav is 0.7 s long, and a segment 1 s: "),
        (np.zeros(3 * RATE_HZ), {}, "silent", "song.wav is silent in all of its segments."),
        (
            noise(3),
            {"start_seconds": 1.5, "end_seconds": 2.0},
            "too-short",
            "The part of song.wav from 1.5 s on is 0.5 s long",
        ),
    ],
)
def test_a_recording_of_which_nothing_is_left_says_why(
    tools: ItemTools, signal: np.ndarray, part: dict[str, float], reason: str, said: str
):
    error = encoded(tools, signal, **part)
    assert isinstance(error, TrackError)
    assert error.reason == reason
    assert error.message.startswith(said)


def test_of_a_part_nothing_else_is_encoded(tools: ItemTools):
    row = encoded(tools, noise(4), start_seconds=1.0, end_seconds=3.0)
    assert isinstance(row, dict)
    stored, _ = soundfile.read(Path(tools.outputs.address, row["audio_paths"][0]))
    assert np.abs(stored - noise(4)[RATE_HZ : 2 * RATE_HZ]).max() < 2 / 2**15
    assert len(row["codes"]) == 2
