"""A trained network as a separator: files, equality with the network's own call, stems."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from models import adapters, trained
from models.batching import Batcher
from models.protocols import Separator
from models.separator.adapter import TrainedSeparator, load_checkpoint
from models.separator.build import build, read
from models.separator.network import Network
from models.unet1d.model import share
from tests.support.separators import (
    SOURCES,
    arguments,
    network,
    write_checkpoint,
    write_folder,
)

Float32 = npt.NDArray[np.float32]
RATE = 8_000


def mix(seconds: float, channels: int = 2, seed: int = 3) -> Float32:
    generator = np.random.default_rng(seed)
    shape = (channels, round(seconds * RATE))
    return generator.normal(0, 0.1, shape).astype(np.float32)


def adapter(channels: int = 1, window_seconds: float | None = 0.5) -> TrainedSeparator:
    said = arguments(channels=channels, sample_rate_hz=RATE)
    _, declared = build(said)
    return TrainedSeparator(network(said), declared, read(said), "cpu", window_seconds)


def joined(parts: Any) -> Float32:
    return np.concatenate(list(parts), axis=-1)


def called(channels: int, samples: Float32) -> Float32:
    """The network's own call on a whole signal, a channel at a time if it is mono."""
    made = network(arguments(channels=channels, sample_rate_hz=RATE))
    given = torch.from_numpy(samples)
    with torch.inference_mode():
        if channels == 2:
            return share(given[None], made(given[None]))[0].numpy()
        each = [share(one[None, None], made(one[None, None]))[0, :, 0] for one in given]
        return torch.stack(each, 1).numpy()


@pytest.mark.parametrize("channels", [1, 2])
def test_what_fits_a_window_equals_the_networks_own_call(channels: int):
    samples = mix(0.45)
    found = joined(adapter(channels).separate([samples], SOURCES))
    np.testing.assert_allclose(found, called(channels, samples), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 3999, 4000, 4001, 11_000])
def test_stems_of_a_network_that_masks_add_up_to_the_input(channels: int, length: int):
    samples = mix(2.0)[:, :length]
    blocks = np.array_split(samples, 5, axis=1)
    found = joined(adapter(channels).separate(blocks, SOURCES))
    assert found.shape == (4, 2, length)
    assert np.abs(found.sum(0) - samples).max() < 1e-6
    assert length == 1 or found.std(axis=(1, 2)).min() > 0


def test_left_and_right_are_separated_each_by_itself():
    samples = mix(1.3)
    found = joined(adapter().separate([samples], SOURCES))
    for channel in range(2):
        alone = joined(adapter().separate([samples[channel : channel + 1]], SOURCES))
        assert alone.shape == (4, 1, samples.shape[1])
        np.testing.assert_array_equal(found[:, channel], alone[:, 0])
    same = np.repeat(samples[:1], 2, axis=0)
    twice = joined(adapter().separate([same], SOURCES))
    np.testing.assert_array_equal(twice[:, 0], twice[:, 1])
    np.testing.assert_array_equal(twice[:, 0], found[:, 0])


def test_a_stereo_network_takes_mono_too():
    samples = mix(0.7, channels=1)
    found = joined(adapter(2).separate([samples], SOURCES))
    assert found.shape == (4, 1, samples.shape[1])
    stereo = joined(adapter(2).separate([samples.repeat(2, axis=0)], SOURCES))
    np.testing.assert_allclose(found[:, 0], stereo.mean(1), atol=1e-6)


def test_stems_that_were_asked_for_in_their_order_and_the_mix_without_one():
    samples = mix(1.3)
    every = joined(adapter().separate([samples], SOURCES))
    some = joined(adapter().separate([samples], ["bass", "no_vocals", "vocals"]))
    np.testing.assert_array_equal(some[[0, 2]], every[[2, 0]])
    np.testing.assert_allclose(some[1] + some[2], samples, atol=1e-6)
    with pytest.raises(ValueError, match=r"no sources \['voice'\]; there are: vocals, drums"):
        list(adapter().separate([samples], ["voice"]))


def test_several_signals_are_separated_as_each_alone():
    mixes = [mix(seconds, seed=at) for at, seconds in enumerate((1.1, 0.2, 0.5))]
    parts: dict[int, list[Float32]] = {at: [] for at in range(3)}
    for at, block in adapter().separate_each(([each] for each in mixes), ["drums"]):
        parts[at].append(block)
    for at, each in enumerate(mixes):
        alone = joined(adapter().separate([each], ["drums"]))
        np.testing.assert_array_equal(joined(parts[at]), alone)


class Counting(nn.Module):
    """Gives the mixture back as its one source, and notes what it is given."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.shapes = most, []  # type: ignore[var-annotated]

    def forward(self, mixture: Tensor) -> Tensor:
        if len(mixture) > self.most:
            raise RuntimeError("CUDA out of memory")
        self.shapes.append(tuple(mixture.shape))
        return mixture[:, None]


def test_windows_of_several_files_share_a_batch_that_is_halved_where_memory_ends(monkeypatch):
    said = read(arguments(sources=["all"], channels=2, sample_rate_hz=RATE))
    counting = Counting(most=3)
    separator = TrainedSeparator(counting, Network(build=build), said, "cpu", 0.5)
    # As on a GPU, but for the device.
    batcher = Batcher(6)
    monkeypatch.setattr(separator, "_batcher", lambda size: batcher)
    monkeypatch.setattr(separator, "_sources", counting)
    mixes = [mix(0.5, seed=at) for at in range(7)] + [mix(0.95)]
    parts: dict[int, list[Float32]] = {at: [] for at in range(8)}
    for at, block in separator.separate_each([[each] for each in mixes], ["all"]):
        parts[at].append(block[0])
    for at, each in enumerate(mixes):
        np.testing.assert_allclose(joined(parts[at]), each, atol=1e-6)
    # Six at once were too many; what is left of the last file has another length.
    assert [shape[0] for shape in counting.shapes] == [3, 3, 3, 1]


class TooLargeForHalf(nn.Module):
    """Masks of a network whose numbers exceed 16 bits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, []  # type: ignore[var-annotated]

    def forward(self, mixture: Tensor) -> Tensor:
        self.calls.append(torch.is_autocast_enabled("cpu"))
        masks = self.network(mixture)
        return masks * torch.inf if self.calls[-1] else masks


@pytest.mark.parametrize("is_too_large", [False, True])
def test_what_a_gpu_computes_in_16_bits_still_adds_up(is_too_large: bool, monkeypatch):
    separator = adapter(2)
    samples = mix(1.3)
    expected = joined(separator.separate([samples], SOURCES))
    if is_too_large:
        separator._network = TooLargeForHalf(separator._network)
    # A GPU whose arithmetic is the processor's.
    separator._device = torch.device("cuda")
    monkeypatch.setattr("models.separator.adapter.to_device", lambda array, _: torch.tensor(array))
    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype: autocast("cpu", torch.bfloat16))
    found = joined(separator.separate([samples], SOURCES))
    assert np.abs(found.sum(0) - samples).max() < 1e-6
    difference = np.abs(found - expected).max()
    if is_too_large:
        assert set(separator._network.calls) == {True, False}
        assert difference < 1e-6
    else:
        assert 1e-6 < difference < 0.02


def test_a_window_is_as_long_as_what_the_network_was_trained_on_or_some_seconds_at_least():
    for segment, is_longer, seconds in ((2.0, True, 5.5), (15.0, True, 15), (2.0, False, 2)):
        said = read(arguments(sample_rate_hz=RATE, segment_seconds=segment))
        declared = Network(build=build, longer_windows=is_longer)
        found = TrainedSeparator(nn.Identity(), declared, said, "cpu")
        assert found._cut.window == seconds * RATE


def test_a_folder_and_a_checkpoint_of_the_same_weights_are_the_same_separator(tmp_path: Path):
    folder = write_folder(tmp_path / "run", arguments(sample_rate_hz=RATE))
    path = write_checkpoint(tmp_path / "step_000003.pt", arguments(sample_rate_hz=RATE))
    means = write_checkpoint(tmp_path / "b.pt", arguments(sample_rate_hz=RATE), 5, ema_seed=0)
    card = trained.card(folder)
    one = adapters.load(card, "cpu", folder)
    assert isinstance(one, Separator)
    assert (one.sources, one.sample_rate_hz, one.needs_level) == (SOURCES, RATE, False)
    samples = mix(0.3)
    expected = joined(one.separate([samples], SOURCES))
    np.testing.assert_allclose(expected, called(1, samples), atol=1e-6)
    for file in (path, means):  # running means go before the last weights
        found = load_checkpoint(card, "cpu", file)
        np.testing.assert_array_equal(joined(found.separate([samples], SOURCES)), expected)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hostile",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no checkpoint", r"x\.pt holds no checkpoint that can be loaded safely"),
        (pickle.dumps(Hostile()), r"x\.pt holds no checkpoint that can be loaded safely"),
        ({"model": Hostile()}, r"x\.pt holds no checkpoint that can be loaded safely"),
        ({"state": {}}, r"x\.pt is no checkpoint of a separator: it has no model"),
        ({"model": {"a": 1}}, r"it has no model"),
        ({"model": {}, "extra": {}}, r"does not say of what network it is"),
        ({"model": {}, "extra": {"arguments": {}}}, r"its arguments lack 'network'"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, content: Any, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as raised:
        load_checkpoint(trained.card(write_folder(tmp_path / "m")), "cpu", path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": "os"}, "its network cannot be 'os'"),
        ({"sources": ["vocals", "vocals"]}, "its sources cannot be"),
        ({"sources": ["../x"]}, "its sources cannot be"),
        ({"sources": "vocals"}, "its sources cannot be"),
        ({"channels": 6}, "its channels cannot be 6"),
        ({"sample_rate_hz": 0}, "its sample_rate_hz cannot be 0"),
        ({"segment_seconds": 1e9}, "its segment_seconds cannot be"),
        ({"network_arguments": [1]}, "its network_arguments cannot be"),
        ({"network_arguments": {"depth": 3}}, "no unet1d can be made of its arguments"),
        ({"network_arguments": {"widths": [8, 32]}}, "its weights are not those of its network"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
):
    path = write_checkpoint(tmp_path / "x.pt")
    content = torch.load(path, weights_only=True)
    content["extra"]["arguments"] |= changed
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(trained.card(write_folder(tmp_path / "m")), "cpu", path)
