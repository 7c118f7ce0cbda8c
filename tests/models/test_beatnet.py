"""BeatNet: features, network and stream, against the code that its weights are published with."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from models import beatnet_features, packages
from models.beatnet import BeatNetAdapter, load, read_network
from models.beatnet_features import BLOCK_FRAMES, HOP_SAMPLES, RATE_HZ, WINDOW_SAMPLES
from models.beatnet_network import BeatNetwork, from_published
from models.registry import card
from models.tiny.beatnet import PUBLISHED_WIDTH, WIDTH
from models.tiny.write import write

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = card("beatnet")
REFERENCE = Path(__file__).parent / "beatnet_reference.npz"
"""Of :func:`signal`: every twelfth row of BeatNet 1.1.3's ``LOG_SPECT`` over madmom-infer 0.2.0 in
madmom's place, and the activations of its ``BDA`` with each of the three published weights."""

PLACE = packages.folder(CARD)
packaged = pytest.mark.skipif(PLACE is None, reason="the package BeatNet is not installed")


def signal(seconds: float = 5.0) -> np.ndarray:
    """Chords on every second of clicks at 120 bpm, in a little noise."""
    random = np.random.RandomState(0)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    mix = 0.002 * random.standard_normal(len(time))
    for beat in range(int(2 * seconds)):
        start = beat * RATE_HZ // 2
        click = random.standard_normal(1000) * np.exp(-np.arange(1000) / 150)
        mix[start : start + 1000] += (0.5 if beat % 4 == 0 else 0.25) * click
        root = 110 * 2 ** ((beat // 4) * 5 / 12)
        for harmonic in (1, 2, 3, 5):
            part = time[start : start + RATE_HZ // 2]
            mix[start : start + RATE_HZ // 2] += 0.1 * np.sin(2 * np.pi * root * harmonic * part)
    return mix.astype(np.float32)


def heard(adapter: BeatNetAdapter, mix: np.ndarray, blocks: int = 1) -> tuple[np.ndarray, ...]:
    found = list(adapter.hear(np.array_split(mix, blocks)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


@pytest.fixture(scope="module")
def tiny() -> BeatNetAdapter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        states = [BeatNetwork(WIDTH).state_dict() for _ in range(2)]
    return BeatNetAdapter([from_published(state) for state in states])


def test_features_are_those_that_the_weights_were_trained_on():
    found = np.concatenate(list(beatnet_features.frames([signal()])))
    assert found.shape == (250, 272)
    assert np.abs(found[::12] - np.load(REFERENCE)["features"]).max() < 1e-5


@packaged
@pytest.mark.parametrize("index", range(3))
def test_activations_are_those_of_the_package(index: int):
    adapter = BeatNetAdapter([read_network(PLACE / CARD.files[index].name)])
    activations, _ = heard(adapter, signal())
    assert np.abs(activations - np.load(REFERENCE)["activations"][index]).max() < 1e-5


@packaged
def test_the_adapter_gives_the_mean_of_the_published_networks():
    assert packages.problems(CARD, PLACE) == []
    activations, levels = heard(load(CARD, "cpu", PLACE), signal())
    means = np.load(REFERENCE)["activations"].mean(axis=0)
    assert np.abs(activations - means).max() < 1e-5
    assert levels.shape == (250, 136)


def test_the_centres_of_the_bands_are_those_of_tones(tiny):
    for band in (20, 60, 110):
        tone = np.sin(2 * np.pi * tiny.band_hz[band] * np.arange(RATE_HZ) / RATE_HZ)
        _, levels = heard(tiny, tone.astype(np.float32))
        assert np.argmax(levels[25]) == band


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (1, 1), (441, 1), (442, 2), (WINDOW_SAMPLES, 4)]
    + [(BLOCK_FRAMES * HOP_SAMPLES + extra, BLOCK_FRAMES + 1) for extra in (1, 400)],
)
def test_a_frame_begins_with_every_hop(tiny, samples: int, frames: int):
    found = list(tiny.hear([signal(20)[:samples]]))
    assert sum(len(each.activations) for each in found) == frames
    assert sum(len(each.levels) for each in found) == frames


def test_a_track_is_heard_the_same_however_it_is_cut(tiny):
    mix = signal(24)
    whole = heard(tiny, mix)
    assert len(whole[0]) > 2 * BLOCK_FRAMES
    for blocks in (3, 50):
        for part, same in zip(whole, heard(tiny, mix, blocks), strict=True):
            assert np.array_equal(part, same)


def test_the_network_remembers_what_came_before(tiny):
    mix = signal(12)
    activations, _ = heard(tiny, mix)
    alone, _ = heard(tiny, mix[BLOCK_FRAMES * HOP_SAMPLES :])
    after = activations[BLOCK_FRAMES:]
    assert np.abs(after - alone)[2:20].max() > 1e-4
    frames = np.concatenate(list(beatnet_features.frames([mix])))
    with torch.inference_mode():
        at_once = sum(network(torch.from_numpy(frames), None)[0] for network in tiny._networks)
    assert np.abs(at_once.numpy()[:, :2] / 2 - activations).max() < 1e-6


def test_a_track_is_read_as_it_is_heard(tiny):
    taken = 0

    def blocks():
        nonlocal taken
        for _ in range(60):
            taken += 1
            yield np.zeros(RATE_HZ, np.float32)

    next(tiny.hear(blocks()))
    assert taken < 14, "no more than a block of frames is read before it is heard"


class Shell:
    def __reduce__(self):
        return (print, ("run",))


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys):
    path = tmp_path / "evil.pt"
    torch.save({"linear0.bias": Shell()}, path)
    with pytest.raises(ValueError, match=r"evil\.pt holds no network of BeatNet"):
        read_network(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"text", pickle.dumps([1]), torch.zeros(3), {"linear0.bias": torch.zeros(3)}],
    ids=["empty", "text", "pickle", "tensor", "other arrays"],
)
def test_what_is_no_network_is_said(tmp_path: Path, content):
    path = tmp_path / "x.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"x\.pt holds no network of BeatNet"):
        read_network(path)


def test_a_tiny_model_goes_before_the_package(tmp_path: Path):
    folder = write(tmp_path, "beatnet")
    network = read_network(folder / CARD.files[0].name)
    assert network.lstm.hidden_size == WIDTH < PUBLISHED_WIDTH
    assert len(load(CARD, "cpu", folder)._networks) == 3
