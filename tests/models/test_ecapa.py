import pickle
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from models import ecapa
from models.registry import card
from models.tiny import ecapa as tiny

RATE = 16_000
CARD = card("ecapa-voxceleb")
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ecapa")
    tiny.write(CARD, folder)
    return folder


@pytest.fixture(scope="module")
def adapter(folder):
    return ecapa.load(CARD, "cpu", folder)


@pytest.fixture(scope="module")
def library(folder, tmp_path_factory):
    """The library's embedding of one signal, brought to unit norm."""
    from speechbrain.inference.classifiers import EncoderClassifier

    ecapa.forget_redirects()
    classifier = EncoderClassifier.from_hparams(
        source=str(folder),
        savedir=str(tmp_path_factory.mktemp("links")),
        overrides={"pretrained_path": str(folder)},
    )

    def embed(signal):
        with torch.no_grad():
            embedding = classifier.encode_batch(torch.from_numpy(signal))[0, 0]
        return torch.nn.functional.normalize(embedding, dim=0).numpy()

    return embed


def tones(samples, seed=0):
    """Tones that come and go over a little noise, others for each seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    signal = 0.002 * rng.standard_normal(samples)
    for _ in range(4):
        level = np.clip(np.sin(2 * np.pi * rng.uniform(0.5, 3) * time + rng.uniform(0, 6)), 0, 1)
        signal += 0.1 * level * np.sin(2 * np.pi * rng.uniform(80, 6000) * time)
    return signal.astype(np.float32)


SIGNALS = {
    "a window": tones(3 * RATE),
    "noise": (0.2 * np.random.default_rng(1).standard_normal(3 * RATE)).astype(np.float32),
    "silence": np.zeros(3 * RATE, np.float32),
    # Bands 80 dB below the loudest are raised.
    "a click": np.eye(1, 3 * RATE, RATE, dtype=np.float32)[0],
    "shortest": tones(ecapa.MIN_SAMPLES),
    "no whole frames": tones(12_345),
    "long": tones(20 * RATE + 7),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_equals_the_library(adapter, library, name):
    (embedding,) = adapter.embed([SIGNALS[name]])
    assert embedding.shape == (192,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    assert np.abs(embedding - library(SIGNALS[name])).max() < TOLERANCE


def test_embeddings_tell_sounds_apart(adapter):
    embeddings = np.stack(list(adapter.embed(tones(3 * RATE, seed) for seed in range(5))))
    similarity = embeddings @ embeddings.T
    assert similarity[~np.eye(5, dtype=bool)].max() < 0.999


def test_an_embedding_does_not_depend_on_the_batch(adapter, monkeypatch):
    signals = [*SIGNALS.values(), tones(3 * RATE, 5), tones(12_345, 6)]
    alone = [next(adapter.embed([signal])) for signal in signals]
    together = list(adapter.embed(iter(signals), batch_size=4))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))
    # As on a GPU: several at once, those of one length together, none padded.
    monkeypatch.setitem(ecapa.WINDOWS_PER_CALL, "cpu", 4)
    shapes = []
    infer = adapter._infer
    monkeypatch.setattr(adapter, "_infer", lambda x: shapes.append(x.shape) or infer(x))
    batched = list(adapter.embed(signals))
    assert (4, 3 * RATE) in shapes
    assert sum(items for items, _ in shapes) == len(signals)
    assert np.abs(np.stack(alone) - np.stack(batched)).max() < TOLERANCE


def test_windows_are_taken_as_they_are_needed(adapter):
    taken = []

    def signals():
        for seed in range(9):
            taken.append(seed)
            yield tones(RATE, seed)

    next(adapter.embed(signals()))
    assert taken == [0]


def test_too_short_a_signal(adapter):
    with pytest.raises(ValueError, match="639 samples are too few: at least 640"):
        list(adapter.embed([np.zeros(639, np.float32)]))


def test_loads_without_a_network(folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    adapter = ecapa.load(CARD, "cpu", folder)
    assert np.isfinite(next(adapter.embed([SIGNALS["a window"]]))).all()


def test_loading_never_makes_a_classifier(folder):
    code = (
        "import sys; from pathlib import Path; from models import ecapa, registry; "
        "ecapa.load(registry.card('ecapa-voxceleb'), 'cpu', Path(sys.argv[1])); "
        "sys.exit('speechbrain.inference' in sys.modules or 'librosa' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=False, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def altered(folder, tmp_path, old, new):
    """A copy of the folder with other words in its description."""
    text = (folder / "hyperparams.yaml").read_text()
    assert old in text
    (tmp_path / "hyperparams.yaml").write_text(text.replace(old, new))
    (tmp_path / "embedding_model.ckpt").write_bytes((folder / "embedding_model.ckpt").read_bytes())
    return tmp_path


def test_only_two_of_the_files_are_read(folder, tmp_path, adapter):
    again = ecapa.load(CARD, "cpu", altered(folder, tmp_path, "n_mels: 80", "n_mels: 80"))
    pair = (next(each.embed([SIGNALS["long"]])) for each in (again, adapter))
    assert np.array_equal(*pair)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lobes.features.Fbank", "lobes.features.MFCC", "compute_features is no Fbank"),
        ("!new:speechbrain.lobes.models", "!new:os.system", "embedding_model is no ECAPA_TDNN"),
        ("!new:speechbrain.lobes.models", "!!python/object/new:a", "cannot be read safely"),
        ("norm_type: sentence", "norm_type: global", "does not take off the mean"),
        ("dilations: [1, 2", "dilations: [!apply:os.getpid [], 2", "dilations is no number"),
        ("lin_neurons: 192", "activation: !name:os.abort", "activation is no number"),
        ("lin_neurons: 192", "global_context: False", "without global context"),
        ("lin_neurons: 192", "lin_neurons: 191", "hold no ECAPA-TDNN"),
        ("lin_neurons: 192", "neurons: 192", "hold no ECAPA-TDNN"),
    ],
)
def test_a_description_of_anything_else_is_refused(folder, tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        ecapa.load(CARD, "cpu", altered(folder, tmp_path, old, new))


def test_a_description_is_not_executed(folder, tmp_path, adapter):
    """What ``load_hyperpyyaml`` would call is left alone."""
    trap = tmp_path / "trap"
    altered(folder, tmp_path, "n_mels: 80", f"n_mels: 80\ntrap: !apply:os.mkdir [{trap}]")
    ecapa.load(CARD, "cpu", tmp_path)
    assert not trap.exists()


def test_pickled_objects_are_refused(folder, tmp_path):
    altered(folder, tmp_path, "n_mels: 80", "n_mels: 80")
    torch.save({"weight": pickle.PickleBuffer}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(ValueError, match="hold no ECAPA-TDNN"):
        ecapa.load(CARD, "cpu", tmp_path)


def test_the_same_bytes_every_time(folder, tmp_path):
    torch.manual_seed(99)
    tiny.write(CARD, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in CARD.files}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_modules_can_be_looked_at_after_loading(adapter):
    for module in [*sys.modules.values()]:
        getattr(module, "__file__", None)


def test_modules_can_be_looked_at_after_writing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from models import registry; "
        "from models.tiny import ecapa; "
        "ecapa.write(registry.card('ecapa-voxceleb'), Path(sys.argv[1])); "
        "[getattr(module, '__file__', None) for module in [*sys.modules.values()]]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
