import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import encodec
from models.registry import card
from models.tiny import encodec as tiny

NAMES = ("encodec-24khz", "encodec-32khz", "encodec-48khz")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    for name, folder in folders.items():
        tiny.write(card(name), folder)
    return folders


@pytest.fixture(scope="module")
def pairs(folders):
    """Each adapter with the library's own model of the same weights."""
    from transformers import EncodecModel

    return {
        name: (
            encodec.load(card(name), "cpu", folder),
            EncodecModel.from_pretrained(folder, local_files_only=True).eval(),
        )
        for name, folder in folders.items()
    }


def sound(adapter, seconds, seed=0):
    """Tones, different in each channel and every quarter second, with noise."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * adapter.sample_rate_hz)
    time = np.arange(samples) / adapter.sample_rate_hz
    signal = 0.02 * rng.standard_normal((adapter.channels, samples))
    for start in range(0, samples, adapter.sample_rate_hz // 4):
        part = slice(start, start + adapter.sample_rate_hz // 4)
        for pitch_hz in rng.uniform(80, 6000, 4):
            phases = rng.uniform(0, 6, (adapter.channels, 1))
            waves = np.sin(2 * np.pi * pitch_hz * time[part] + phases)
            signal[:, part] += rng.uniform(0, 0.1) * waves
    return signal.astype(np.float32)


def by_library(model, signal, bandwidth_kbps):
    """Codes, scales and audio by ``EncodecModel.encode`` and ``decode`` of one signal."""
    with torch.no_grad():
        output = model.encode(torch.from_numpy(signal)[None], bandwidth=bandwidth_kbps)
        audio = model.decode(
            output.audio_codes,
            output.audio_scales,
            torch.ones(1, *signal.shape),
            last_frame_pad_length=output.last_frame_pad_length,
        ).audio_values
    chunks = [chunk[0].numpy() for chunk in output.audio_codes]
    if output.last_frame_pad_length:
        chunks[-1] = chunks[-1][:, : -output.last_frame_pad_length]
    scales = [float(scale) for scale in output.audio_scales if scale is not None]
    return np.concatenate(chunks, axis=1), scales, audio[0].numpy()


def is_same(encoded, other):
    return (
        np.array_equal(encoded.codes, other.codes)
        and (encoded.scales is None or np.array_equal(encoded.scales, other.scales))
        and encoded.samples == other.samples
    )


@pytest.mark.parametrize("name", NAMES)
# A few samples; less than a chunk; whole frames; a second; ends in the middle of a frame;
# 48 kHz: the second chunk lies within the first; several chunks.
@pytest.mark.parametrize("seconds", [0.0005, 0.3, 0.8, 1.0, 1.003, 2.7])
def test_equals_the_library(pairs, name, seconds):
    adapter, model = pairs[name]
    signal = sound(adapter, seconds)
    for bandwidth_kbps in (adapter.bandwidths_kbps[0], adapter.bandwidths_kbps[-1]):
        (encoded,) = adapter.encode([signal], bandwidth_kbps=bandwidth_kbps)
        codes, scales, audio = by_library(model, signal, bandwidth_kbps)
        assert encoded.codes.dtype == np.uint16
        assert encoded.codes.shape[0] == adapter.codebooks(bandwidth_kbps)
        assert np.array_equal(encoded.codes, codes)
        assert (encoded.scales is None) == (scales == [])
        assert encoded.scales is None or encoded.scales.tolist() == scales
        decoded = adapter.decode(encoded)
        assert decoded.dtype == np.float32
        assert decoded.shape == signal.shape
        assert np.abs(decoded - audio).max() < 3e-5 * max(np.abs(audio).max(), 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_models_are(pairs, name):
    adapter, _ = pairs[name]
    rate_khz, channels, frames, size, codebooks = {
        "encodec-24khz": (24, 1, 75, 1024, {1.5: 2, 3: 4, 6: 8, 12: 16, 24: 32}),
        "encodec-32khz": (32, 1, 50, 2048, {2.2: 4}),
        "encodec-48khz": (48, 2, 150, 1024, {3: 2, 6: 4, 12: 8, 24: 16}),
    }[name]
    assert adapter.sample_rate_hz == 1000 * rate_khz == card(name).sample_rate_hz
    assert (adapter.channels, adapter.frame_rate_hz) == (channels, frames)
    assert adapter.codebook_size == size
    assert {value: adapter.codebooks(value) for value in adapter.bandwidths_kbps} == codebooks
    assert adapter.codebooks() == min(codebooks.values())


@pytest.mark.parametrize("name", NAMES)
def test_codes_tell_sounds_apart(pairs, name):
    adapter, _ = pairs[name]
    one, other = adapter.encode([sound(adapter, 2.0, seed) for seed in (1, 2)])
    assert np.mean(one.codes == other.codes) < 0.2
    assert all(len(np.unique(codes)) > 30 for codes in one.codes)
    assert one.codes.max() < adapter.codebook_size


@pytest.mark.parametrize("name", NAMES)
def test_a_result_does_not_depend_on_the_batch(pairs, name, monkeypatch):
    adapter, _ = pairs[name]
    signals = [sound(adapter, seconds, 3) for seconds in (1.0, 0.3, 1.0, 2.2, 0.3, 1.0)]
    alone = [next(adapter.encode([signal])) for signal in signals]
    together = list(adapter.encode(iter(signals), batch_size=4))
    assert all(is_same(*pair) for pair in zip(alone, together, strict=True))
    # As on a GPU: several at once, those of one length together.
    monkeypatch.setitem(encodec.ITEMS_PER_CALL, "cpu", 4)
    sizes = []
    infer = encodec.EncodecAdapter._codes
    monkeypatch.setattr(
        encodec.EncodecAdapter,
        "_codes",
        lambda self, chunks, bandwidth: sizes.append(len(chunks)) or infer(self, chunks, bandwidth),
    )
    batched = list(adapter.encode(iter(signals)))
    assert max(sizes) > 1
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(alone, batched, strict=True))


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("tile_frames", [16, 37])
def test_tiles_leave_no_seams(pairs, name, tile_frames, monkeypatch):
    adapter, _ = pairs[name]
    signal = sound(adapter, 2.003)
    (whole,) = adapter.encode([signal])
    audio = adapter.decode(whole)
    assert adapter._tiles.frames > whole.codes.shape[1]
    monkeypatch.setattr(adapter, "_tiles", replace(adapter._tiles, frames=tile_frames))
    (tiled,) = adapter.encode([signal])
    # A convolution of two or three channels may round otherwise in another length.
    assert np.array_equal(tiled.codes, whole.codes)
    assert np.abs(adapter.decode(tiled) - audio).max() < 3e-5 * np.abs(audio).max()


def test_a_last_chunk_but_one_that_is_short(pairs):
    """``EncodecModel.encode`` raises an error for such a length: it stacks the chunks."""
    adapter, model = pairs["encodec-48khz"]
    signal = sound(adapter, (2 * 47_520 + 100) / 48_000)
    assert signal.shape[1] == 2 * 47_520 + 100
    (encoded,) = adapter.encode([signal], bandwidth_kbps=6.0)
    starts = (0, 47_520, 95_040)
    parts = [by_library(model, signal[:, start : start + 48_000], 6.0) for start in starts]
    assert encoded.codes.shape == (4, 150 + 149 + 1)
    assert np.array_equal(encoded.codes[:, -1:], parts[2][0])
    assert adapter.decode(encoded).shape == signal.shape


def test_silence_and_a_loud_signal(pairs):
    for adapter, _ in pairs.values():
        silent = np.zeros((adapter.channels, adapter.sample_rate_hz // 2), np.float32)
        for signal in (silent, 30 * sound(adapter, 0.5)):
            (encoded,) = adapter.encode([signal])
            assert np.isfinite(adapter.decode(encoded)).all()


def test_what_cannot_be_encoded_or_decoded(pairs):
    adapter, _ = pairs["encodec-24khz"]
    with pytest.raises(ValueError, match=r"no bandwidth of 2.2 kbps; there are 1.5, 3, 6, 12, 24"):
        adapter.encode([], bandwidth_kbps=2.2)
    for shape in ((2, 100), (1, 0), (100,)):
        with pytest.raises(ValueError, match="expected \\(1, samples\\)"):
            list(adapter.encode([np.zeros(shape, np.float32)]))
    (encoded,) = adapter.encode([sound(adapter, 0.5)])
    with pytest.raises(ValueError, match="38 frames, but 9600 samples are 30 frames"):
        adapter.decode(replace(encoded, samples=9600))


def test_signals_are_taken_as_they_are_needed(pairs):
    adapter, _ = pairs["encodec-24khz"]
    taken = []

    def signals():
        for index in range(9):
            taken.append(index)
            yield sound(adapter, 0.1, index)

    assert next(adapter.encode(signals())).samples == 2400
    assert taken == [0]


def test_loads_without_a_network(folders, monkeypatch):
    def refuse(*args):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name, folder in folders.items():
        adapter = encodec.load(card(name), "cpu", folder)
        assert next(adapter.encode([sound(adapter, 0.1)])).codes.size > 0


def test_weights_as_older_versions_of_torch_name_them(folders, pairs, tmp_path):
    """The published files say ``weight_g`` and ``weight_v``."""
    adapter, _ = pairs["encodec-24khz"]
    tiny.write(card("encodec-24khz"), tmp_path)
    names = {"parametrizations.weight.original0": "weight_g"}
    names["parametrizations.weight.original1"] = "weight_v"
    state = load_file(tmp_path / "model.safetensors")
    for new, old in names.items():
        state = {name.replace(new, old): value for name, value in state.items()}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = encodec.load(card("encodec-24khz"), "cpu", tmp_path)
    signal = sound(adapter, 0.5)
    assert is_same(next(again.encode([signal])), next(adapter.encode([signal])))


def test_missing_weights_are_not_drawn_at_random(tmp_path):
    tiny.write(card("encodec-24khz"), tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["quantizer.layers.0.codebook.embed"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"encodec-24khz lacks weights: .*embed"):
        encodec.load(card("encodec-24khz"), "cpu", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes_every_time(folders, name, tmp_path):
    torch.manual_seed(99)
    tiny.write(card(name), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in card(name).files}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folders[name] / path.name).read_bytes()


@pytest.mark.parametrize("name", NAMES[:2])
def test_latents_are_what_the_librarys_encoder_gives(pairs, name):
    adapter, model = pairs[name]
    signals = [sound(adapter, seconds, 4) for seconds in (1.003, 0.3)]
    for signal, latents in zip(signals, adapter.latents(iter(signals)), strict=True):
        with torch.no_grad():
            expected = model.encoder(torch.from_numpy(signal)[None])[0].T.numpy()
        assert latents.shape == (-(-signal.shape[1] // model.config.hop_length), adapter.dimensions)
        assert np.abs(latents - expected).max() < 1e-4 * np.abs(expected).max()


def test_latents_of_chunks_follow_each_other(pairs):
    adapter, model = pairs["encodec-48khz"]
    (latents,) = adapter.latents([sound(adapter, 1.5)])
    chunks = (48_000, round(1.5 * 48_000) - round(0.99 * 48_000))
    assert len(latents) == sum(-(-samples // model.config.hop_length) for samples in chunks)
