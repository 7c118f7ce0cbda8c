import socket

import numpy as np
import pytest
import torch

from models import adapters, registry
from models.muq import MuqAdapter
from models.tiny.music_encoders import PUBLISHED, muq_config
from models.tiny.write import write
from tests.support.music_encoder import RATE_HZ, TOLERANCE, MusicEncoderContract, music

"""Of values around 1: batch normalisation within the convolutions, another attention."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models"), "muq-large-msd")


@pytest.fixture(scope="module")
def adapter(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        return adapters.load(registry.card("muq-large-msd"), "cpu", folder)


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


class TestContract(MusicEncoderContract):
    """What MuQ and MERT have in common."""


def test_it_says_what_the_published_model_promises(adapter):
    assert (adapter.sample_rate_hz, adapter.frame_rate_hz) == (24_000, 25.0)
    assert (adapter.dimensions, adapter.layers) == (16, 3)


def test_frames_of_whole_windows(adapter):
    assert [len(features) for features in adapter.embed([music(2.0), music(4.0)])] == [50, 100]


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
        adapters.load(registry.card("muq-large-msd"), "cpu", tmp_path)


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
