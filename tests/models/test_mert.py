import json
import shutil
import socket

import numpy as np
import pytest
import torch

from models import adapters, registry, trust
from models.mert import MertAdapter, load
from models.tiny.write import write
from tests.support.music_encoder import RATE_HZ, TOLERANCE, MusicEncoderContract, music

"""Of values around 1: the positional convolution is one of spectra."""

NAMES = ["mert-v1-95m", "mert-v1-330m"]


@pytest.fixture(scope="module", autouse=True)
def code_copies(tmp_path_factory):
    """transformers keeps its copies of models' code out of the user's home."""
    place = str(tmp_path_factory.mktemp("code"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
        patch.syspath_prepend(place)
        yield


@pytest.fixture
def _allowed(monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, ",".join(NAMES))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in NAMES:
        write(folder, name)
    return folder


@pytest.fixture(scope="module")
def loaded(models_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setenv(trust.VARIABLE, ",".join(NAMES))
        return {
            name: adapters.load(registry.card(name), "cpu", models_dir / name) for name in NAMES
        }


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def adapter(loaded, name):
    return loaded[name]


@pytest.fixture
def library(models_dir, name):
    """``model(**processor(audio), output_hidden_states=True)``, as MERT's card documents it."""
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    folder = models_dir / name
    model = AutoModel.from_pretrained(folder, trust_remote_code=True, local_files_only=True)
    processor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)

    def call(window):
        inputs = processor(window, sampling_rate=processor.sampling_rate, return_tensors="pt")
        with torch.no_grad():
            output = model(**inputs, output_hidden_states=True)
        # The last one as in transformers 4, for which MERT's code was written: 5 takes it
        # before the larger model's last norm.
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        return [state[0].numpy() for state in states]

    return call


def refuse(*_):
    raise AssertionError("the network is touched")


class TestContract(MusicEncoderContract):
    """What MuQ and MERT have in common."""


def test_it_says_what_the_published_models_promise(adapter):
    assert (adapter.sample_rate_hz, adapter.frame_rate_hz) == (24_000, 75.0)
    assert (adapter.dimensions, adapter.layers, adapter.min_samples) == (16, 3, 400)


def test_frames_per_window(adapter):
    assert [len(features) for features in adapter.embed([music(1.0), music(5.0)])] == [74, 374]


def test_normalised_windows_are_those_of_the_extractor(adapter, models_dir, name):
    from transformers import Wav2Vec2FeatureExtractor

    processor = Wav2Vec2FeatureExtractor.from_pretrained(models_dir / name)
    # As published: of the two models, only the smaller wants windows of one level.
    assert processor.do_normalize == (name == "mert-v1-95m")
    for window in (music(1.0), np.zeros(1000, np.float32)):
        expected = processor(window, sampling_rate=RATE_HZ, return_tensors="np").input_values[0]
        assert np.array_equal(adapter._prepare(window), expected)


def test_silence_is_finite(adapter):
    (features,) = adapter.embed([np.zeros(RATE_HZ, np.float32)])
    assert features.shape == (74, 16)
    assert np.isfinite(features).all()


def test_the_shortest_window(adapter, library):
    window = music(1.0)[:400]
    (features,) = adapter.embed([window])
    assert np.abs(features - library(window)[-1]).max() < TOLERANCE
    assert len(features) == 1
    with pytest.raises(ValueError, match="at least 400"):
        list(adapter.embed([window[:-1]]))


def test_an_unknown_layer_is_refused_at_once(adapter):
    with pytest.raises(ValueError, match="not among 0 to 3"):
        adapter.embed([], layer=4)


@pytest.mark.usefixtures("_allowed")
def test_the_precision_of_a_gpu_keeps_the_features(adapter, models_dir, name):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(models_dir / name, trust_remote_code=True)
    rough = MertAdapter(
        model, "cpu", sample_rate_hz=RATE_HZ, normalise=adapter._normalise, dtype=torch.bfloat16
    )
    exact_features = next(adapter.embed([music(2.0)]))
    features = next(rough.embed([music(2.0)]))
    assert features.dtype == np.float32
    assert np.abs(features - exact_features).max() > 0
    cosine = (features * exact_features).sum(1) / (
        np.linalg.norm(features, axis=1) * np.linalg.norm(exact_features, axis=1)
    )
    assert cosine.min() > 0.99


def test_code_that_hands_out_no_hidden_states(loaded, models_dir, tmp_path, monkeypatch):
    """The published code calls the encoder by itself, which hands out none in transformers 5."""
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    with open(folder / "modeling_MERT.py", "a") as file:
        file.write(
            """
    def forward(self, input_values, attention_mask=None, output_hidden_states=None):
        hidden = self.feature_projection(self.feature_extractor(input_values).transpose(1, 2))
        return self.encoder(hidden, output_hidden_states=output_hidden_states)
"""
        )
    monkeypatch.setenv(trust.VARIABLE, "mert-v1-95m")
    adapter = load(registry.card("mert-v1-95m"), "cpu", folder)
    assert adapter._model(torch.zeros(1, 1000), output_hidden_states=True).hidden_states is None
    window = music(1.0)
    for layer in (0, 2, None):
        features = next(adapter.embed([window], layer=layer))
        expected = next(loaded["mert-v1-95m"].embed([window], layer=layer))
        assert np.array_equal(features, expected)


@pytest.mark.parametrize("file", ["configuration_MERT.py", "modeling_MERT.py"])
def test_nothing_of_the_code_runs_unless_it_is_allowed(models_dir, tmp_path, monkeypatch, file):
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    trace = tmp_path / "it-ran"
    code = (folder / file).read_text()
    (folder / file).write_text(f"{code}\nopen({str(trace)!r}, 'w').close()\n")
    monkeypatch.setenv(trust.VARIABLE, "mert-v1-330m")
    with pytest.raises(trust.UntrustedCodeError, match="SONGMILL_TRUST_CODE=mert-v1-95m"):
        load(registry.card("mert-v1-95m"), "cpu", folder)
    assert not trace.exists()
    trust.allow(["mert-v1-95m"])
    load(registry.card("mert-v1-95m"), "cpu", folder)
    assert trace.exists()


@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize("place", ["owner/other--modeling_MERT.MERTModel", "other.MERTModel"])
def test_code_of_another_place_is_refused(models_dir, tmp_path, place):
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoModel"] = place
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="none of its files"):
        load(registry.card("mert-v1-95m"), "cpu", folder)


@pytest.mark.usefixtures("_allowed")
def test_a_missing_weight_is_not_left_random(models_dir, tmp_path):
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    del weights["encoder.layers.1.feed_forward.output_dense.weight"]
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"layers\.1\.feed_forward\.output_dense\.weight"):
        load(registry.card("mert-v1-95m"), "cpu", folder)


@pytest.mark.usefixtures("_allowed")
def test_weights_of_an_older_torch(loaded, models_dir, tmp_path):
    """The published file has the two parts of the normalised weight under older names."""
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    place = "encoder.pos_conv_embed.conv."
    for part, older in (("original0", "weight_g"), ("original1", "weight_v")):
        weights[place + older] = weights.pop(f"{place}parametrizations.weight.{part}")
    torch.save(weights, folder / "pytorch_model.bin")
    window = music(1.0)
    features = next(load(registry.card("mert-v1-95m"), "cpu", folder).embed([window]))
    assert np.array_equal(features, next(loaded["mert-v1-95m"].embed([window])))


class _Pickled:
    def __reduce__(self):
        return (print, ("a pickle ran",))


@pytest.mark.usefixtures("_allowed")
def test_a_pickle_among_the_weights_is_not_run(models_dir, tmp_path, capfd):
    folder = shutil.copytree(models_dir / "mert-v1-95m", tmp_path / "model")
    torch.save({"encoder.layer_norm.weight": _Pickled()}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load(registry.card("mert-v1-95m"), "cpu", folder)
    assert "a pickle ran" not in capfd.readouterr().out
