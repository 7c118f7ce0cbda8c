import json
import platform
import shutil
import socket
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch

from models import adapters, registry
from models.batching import Batcher
from models.clap import MIN_POWER, ClapAdapter, load
from models.registry import card
from models.tiny.write import write
from models.weights import problems

NAME = "clap-music"
RATE = 48_000
WINDOW = 10 * RATE
TOLERANCE = 1e-6
"""Of a component of a unit vector: rounding in single precision."""

TEXTS = [
    "Gentle indie-rock intro, 96 BPM, A major, soft, with vocals",
    "loud",
    "a loud chorus in A minor with vocals",
    "größer, 音楽",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models"), NAME)


@pytest.fixture(scope="module")
def adapter(folder):
    return load(card(NAME), "cpu", folder)


@pytest.fixture(scope="module")
def library(folder):
    """The library's own model and processor, one item at a time."""
    from transformers import ClapModel, ClapProcessor

    model = ClapModel.from_pretrained(folder).eval()
    processor = ClapProcessor.from_pretrained(folder)

    def audio(window):
        inputs = processor(audio=window, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return model.get_audio_features(**inputs).pooler_output[0].numpy()

    def text(words):
        inputs = processor(text=[words], truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return model.get_text_features(**inputs).pooler_output[0].numpy()

    audio.extractor, text.tokenizer = processor.feature_extractor, processor.tokenizer
    return audio, text


def music(samples, seed=0):
    """Chords over a little noise, another for each seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tones = sum(np.sin(2 * np.pi * rng.uniform(80, 4000) * time) for _ in range(4))
    return (0.1 * tones + 0.001 * rng.standard_normal(samples)).astype(np.float32)


SIGNALS = {
    "whole": music(WINDOW),
    "noise": (0.2 * np.random.default_rng(1).standard_normal(WINDOW)).astype(np.float32),
    "silence": np.zeros(WINDOW, np.float32),
    "one short": music(WINDOW - 1),
    "half": music(WINDOW // 2),
    "not a divisor": music(3 * RATE + 17),
    "very short": music(700),
    "one sample": np.full(1, 0.3, np.float32),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_sound_equals_the_library(adapter, library, name):
    signal = SIGNALS[name]
    (embedding,) = adapter.embed_audio([signal])
    assert embedding.shape == (512,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    assert np.abs(embedding - library[0](signal)).max() < TOLERANCE


@pytest.mark.parametrize("words", [*TEXTS, "soft verse " * 600])
def test_text_equals_the_library(adapter, library, words):
    (embedding,) = adapter.embed_text([words])
    assert embedding.shape == (512,)
    assert embedding.dtype == np.float32
    assert np.abs(embedding - library[1](words)).max() < TOLERANCE


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("field", [{}, {"hop_length": 500, "frequency_max": 9000}])
def test_bands_equal_the_librarys_front_end(adapter, padding, field):
    from transformers import ClapFeatureExtractor

    settings = {"truncation": "rand_trunc", "frequency_min": 50, **field}
    extractor = ClapFeatureExtractor(padding=padding, **settings)
    front_end = type(adapter._log_mel)(extractor, torch.device("cpu"))
    loud_tone = (0.9 * np.sin(2 * np.pi * 440 * np.arange(WINDOW) / RATE)).astype(np.float32)
    for signal in (*SIGNALS.values(), loud_tone):
        bands = front_end(torch.from_numpy(front_end.filled(signal))[None])
        expected = extractor(signal, sampling_rate=RATE, return_tensors="pt")["input_features"][0]
        assert bands.shape == expected.shape
        assert (bands - expected).abs().max() < 1e-3  # decibels
    assert expected.min() >= 10 * np.log10(MIN_POWER)


def test_an_item_does_not_depend_on_its_neighbours(adapter):
    signals = [music(WINDOW, 1), music(RATE, 2), music(WINDOW, 3)]
    together = list(adapter.embed_audio(signals, batch_size=2))
    for signal, embedding in zip(signals, together, strict=True):
        assert np.array_equal(next(adapter.embed_audio(iter([signal]))), embedding)
    together = list(adapter.embed_text(TEXTS, batch_size=2))
    for words, embedding in zip(TEXTS, together, strict=True):
        assert np.array_equal(next(adapter.embed_text([words])), embedding)


def test_batches_as_on_a_gpu_give_the_same(adapter, monkeypatch):
    signals = [music(WINDOW, 1), music(RATE, 2), music(WINDOW, 3)]
    expected = [*adapter.embed_audio(signals), *adapter.embed_text(TEXTS)]
    sizes = []

    def in_batches(size):
        sizes.append(size)
        return Batcher(size, ahead=True)

    monkeypatch.setattr(adapter, "_batcher", in_batches)
    # Texts of different lengths: what is shorter is padded, and the padding masked.
    found = [*adapter.embed_audio(signals, batch_size=2), *adapter.embed_text(TEXTS)]
    assert np.abs(np.stack(found) - np.stack(expected)).max() < TOLERANCE
    assert sizes == [2, 128]


def test_embeddings_tell_inputs_apart(adapter):
    for embeddings in (
        adapter.embed_audio(music(WINDOW, seed) for seed in range(3)),
        adapter.embed_text(TEXTS[:3]),
    ):
        unit = np.stack(list(embeddings))
        assert np.isfinite(unit).all()
        assert (unit @ unit.T - np.eye(3)).max() < 0.995


def test_what_is_heard_at_once_is_read_from_the_folder(adapter, library):
    assert adapter.rate_hz == card(NAME).sample_rate_hz == RATE
    assert adapter.window_samples == WINDOW
    assert adapter.dimensions == 512
    assert adapter.max_tokens == library[1].tokenizer.model_max_length == 512


@pytest.mark.parametrize("samples", [0, WINDOW + 1])
def test_windows_of_other_lengths_are_refused(adapter, samples):
    with pytest.raises(ValueError, match=f"a window of {samples} samples"):
        list(adapter.embed_audio([np.zeros(samples, np.float32)]))


def test_nothing_gives_nothing(adapter):
    assert list(adapter.embed_audio([])) == []
    assert list(adapter.embed_text([])) == []


def test_without_packed_weights_it_is_the_same(adapter, folder, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    plain = load(card(NAME), "cpu", folder)
    assert any(type(module) is torch.nn.Linear for module in plain._network.modules())
    for ours, theirs in (
        (adapter.embed_audio([SIGNALS["whole"]]), plain.embed_audio([SIGNALS["whole"]])),
        (adapter.embed_text(TEXTS[:1]), plain.embed_text(TEXTS[:1])),
    ):
        assert np.abs(next(ours) - next(theirs)).max() < TOLERANCE


def test_it_loads_without_a_network(folder, monkeypatch, capfd):
    def refuse(*arguments):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    adapters.forget()
    adapter = adapters.load(registry.card(NAME), "cpu", folder)
    assert isinstance(adapter, ClapAdapter)
    assert next(adapter.embed_text(["loud"])).shape == (512,)
    assert capfd.readouterr() == ("", "")


def test_missing_weights_are_not_made_up(folder, tmp_path):
    shutil.copytree(folder, tmp_path / NAME)
    path = tmp_path / NAME / "pytorch_model.bin"
    weights = torch.load(path, weights_only=True)
    # Buffers hold constants, which files of other versions of the library leave out.
    del weights["text_model.embeddings.position_ids"]
    torch.save(weights, path)
    load(card(NAME), "cpu", tmp_path / NAME)
    del weights["audio_projection.linear1.weight"]
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r"clap-music lacks weights: audio_projection\.linear1"):
        load(card(NAME), "cpu", tmp_path / NAME)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_does_not_run(folder, tmp_path):
    shutil.copytree(folder, tmp_path / NAME)
    torch.save({"x": Malicious(tmp_path / "ran")}, tmp_path / NAME / "pytorch_model.bin")
    with pytest.raises(UnpicklingError, match="Weights only"):
        load(card(NAME), "cpu", tmp_path / NAME)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("preprocessor_config.json", lambda content: content.update(truncation="fusion")),
        ("config.json", lambda content: content["audio_config"].update(enable_fusion=True)),
    ],
)
def test_fusion_is_refused(folder, tmp_path, file, change):
    shutil.copytree(folder, tmp_path / NAME)
    content = json.loads((folder / file).read_text())
    change(content)
    (tmp_path / NAME / file).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="fuses crops of long sounds"):
        load(card(NAME), "cpu", tmp_path / NAME)


def test_tiny_models_are_whole_reproducible_and_not_the_same(folder, tmp_path):
    again, other = write(tmp_path, NAME), write(tmp_path, "clap-music-and-speech")
    assert problems(again, card(NAME)) == []
    for file in folder.iterdir():
        if not file.name.startswith("."):
            assert file.read_bytes() == (again / file.name).read_bytes(), file.name
    weights = "pytorch_model.bin"
    assert (other / weights).read_bytes() != (again / weights).read_bytes()
