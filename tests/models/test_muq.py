import socket

import numpy as np
import pytest
import torch

from models import registry
from models.muq import MuqAdapter
from models.tiny.music_encoders import PUBLISHED, muq_config
from models.tiny.write import write

RATE_HZ = 24_000
TOLERANCE = 2e-5
"""Of values around 1: batch normalisation within the convolutions, another attention."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models"), "muq-large-msd")


@pytest.fixture(scope="module")
def adapter(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        return registry.load("muq-large-msd", "cpu", folder)


@pytest.fixture(scope="module")
def library(folder):
    """``MuQ(wavs, output_hidden_states=True)`` as the package documents it.

    With transformers 5 it needs an encoder that hands out its hidden states as that of
    transformers 4 did: what enters each block and, last, what the final norm returns.
    """
    from muq import MuQ

    model = MuQ.from_pretrained(str(folder), local_files_only=True).eval()
    encoder = model.model.conformer
    encoder.config._attn_implementation = "eager"

    def conformer(hidden, output_hidden_states):
        assert output_hidden_states
        positions = encoder.embed_positions(hidden)
        states = [hidden]
        for block in encoder.layers:
            states.append(block(states[-1], relative_position_embeddings=positions))
        states[-1] = encoder.layer_norm(states[-1])
        return {"last_hidden_state": states[-1], "hidden_states": tuple(states)}

    encoder.forward = conformer

    def call(window):
        with torch.no_grad():
            output = model(torch.from_numpy(window)[None], output_hidden_states=True)
        return [state[0].numpy() for state in output.hidden_states]

    return call


def refuse(*_):
    raise AssertionError("the network is touched")


def music(seconds, seed=0):
    """Chords that change every half second, with some noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = rng.choice([220.0, 277.2, 329.6, 440.0], size=(3, int(2 * seconds) + 1))
    phase = 2 * np.pi * np.cumsum(pitch_hz[:, (2 * time).astype(int)], axis=1) / RATE_HZ
    signal = 0.1 * np.sin(phase).sum(axis=0) + 0.01 * rng.standard_normal(len(time))
    return signal.astype(np.float32)


def test_it_says_what_the_published_model_promises(adapter):
    assert (adapter.sample_rate_hz, adapter.frame_rate_hz) == (24_000, 25.0)
    assert (adapter.dimensions, adapter.layers) == (16, 3)


@pytest.mark.parametrize("layer", [0, 1, 2, 3, None])
def test_equals_the_library(adapter, library, layer):
    for seconds in (3.0, 1.234):
        window = music(seconds)
        (features,) = adapter.embed([window], layer=layer)
        expected = library(window)[-1 if layer is None else layer]
        assert features.shape == expected.shape
        assert features.dtype == np.float32
        assert np.abs(features - expected).max() < TOLERANCE
        assert features.std() > 0.1


def test_frames_of_whole_windows(adapter):
    assert [len(features) for features in adapter.embed([music(2.0), music(4.0)])] == [50, 100]


def test_different_music_has_different_features(adapter):
    one, other = adapter.embed([music(2.0, seed=1), music(2.0, seed=2)])
    assert np.abs(one - other).max() > 0.05


def test_a_window_depends_on_nothing_else_in_the_batch(adapter):
    window = music(2.0)
    alone = next(adapter.embed([window], batch_size=1))
    among = list(adapter.embed([music(2.0, 1), music(0.7), window, music(2.0, 2)], batch_size=4))
    assert np.array_equal(alone, among[2])


def test_windows_of_several_lengths_in_one_call_equal_the_library(adapter, library):
    # What a GPU does with a batch, on the processor.
    windows = [music(2.0), music(0.7, 1), music(2.0, 2), music(0.7, 3), music(0.3, 4)]
    for features, window in zip(adapter._infer(windows, 3), windows, strict=True):
        assert np.abs(features - library(window)[-1]).max() < TOLERANCE


def test_silence_is_finite(adapter):
    (features,) = adapter.embed([np.zeros(RATE_HZ, np.float32)])
    assert features.shape == (25, 16)
    assert np.isfinite(features).all()


def test_the_shortest_window(adapter, library):
    window = music(1.0)[: adapter.min_samples]
    (features,) = adapter.embed([window])
    assert np.abs(features - library(window)[-1]).max() < TOLERANCE
    assert len(features) == 1
    with pytest.raises(ValueError, match="at least 1025"):
        list(adapter.embed([window[:-1]]))
    with pytest.raises(RuntimeError):
        library(window[:-1])


@pytest.mark.parametrize("layer", [-1, 4])
def test_an_unknown_layer_is_refused_at_once(adapter, layer):
    with pytest.raises(ValueError, match="not among 0 to 3"):
        adapter.embed([], layer=layer)


def test_no_windows(adapter):
    assert list(adapter.embed([])) == []


def test_windows_are_taken_as_they_are_needed(adapter):
    taken = []

    def windows():
        for seed in range(3):
            taken.append(seed)
            yield music(0.5, seed)

    next(adapter.embed(windows()))
    assert taken == [0]


def test_the_precision_of_a_gpu_keeps_the_features(adapter, folder):
    from muq import MuQ

    model = MuQ.from_pretrained(str(folder), local_files_only=True)
    rough = MuqAdapter(model, "cpu", dtype=torch.bfloat16)
    exact_features = next(adapter.embed([music(2.0)]))
    features = next(rough.embed([music(2.0)]))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert 0 < np.abs(features - exact_features).max() < 0.1
    cosine = (features * exact_features).sum(1) / (
        np.linalg.norm(features, axis=1) * np.linalg.norm(exact_features, axis=1)
    )
    assert cosine.min() > 0.998


def test_a_missing_weight_is_not_left_random(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.conformer.layers.1.ffn1.output_dense.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(RuntimeError, match=r"layers\.1\.ffn1\.output_dense\.weight"):
        registry.load("muq-large-msd", "cpu", tmp_path)


def test_the_published_dimensions_have_the_published_size(monkeypatch):
    from muq import MuQ

    # Mel filters cannot be made without data, and are no part of the file.
    monkeypatch.setattr("muq.muq.models.muq_model.MelSTFT", lambda **_: None)
    card = registry.card("muq-large-msd")
    with torch.device("meta"):
        model = MuQ(muq_config(PUBLISHED[card.name]))
    size_bytes = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    published = {file.name: file.size_bytes for file in card.files}["model.safetensors"]
    # All but the header, which lists 700 names.
    assert 0 < published - size_bytes < 65_536
