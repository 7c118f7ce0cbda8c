from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from demucs.apply import apply_model
from demucs.hdemucs import HDemucs
from demucs.states import load_model
from pydantic import ValidationError

from blocks.storage import Storage
from models.protocols import SEPARATION
from models.registry import card
from models.tiny.demucs import TINY, make_network, package
from models.tiny.write import write as write_model
from models.weights import sha256
from tasks.song import probe
from tasks.song.separate import (
    STEP,
    RmsEnvelope,
    SeparateConfig,
    vocals_path,
)
from tasks.step import Tools, Track
from tasks.weights import ModelError, Weights

RATE = 44_100


@pytest.fixture
def tools(tmp_path):
    return Tools(Storage(str(tmp_path / "source")), Storage(str(tmp_path / "artifacts")))


def write(tools, name, samples, rate_hz=RATE):
    with tools.source.writing(name) as path:
        soundfile.write(path, samples.T, rate_hz)
    return Track(track_id=f"id-{name}", path=name)


def centre_and_left(seconds):
    """A 1 kHz tone in the centre with pauses, and 600 Hz on the left."""
    time = np.arange(round(seconds * RATE)) / RATE
    pauses = np.sin(2 * np.pi * time / 2) > -0.5
    centre = 0.2 * pauses * np.sin(2 * np.pi * 1000 * time)
    left = 0.1 * np.sin(2 * np.pi * 600 * time)
    return np.stack([centre + left, centre]).astype(np.float32)


def run(tools, *tracks, rate_hz=RATE, **config):
    config = SeparateConfig(sample_rate_hz=rate_hz, **config)
    return STEP.run(tracks, {"probe": [None] * len(tracks)}, config, tools)


def test_vocals_are_stored_and_described(tools, tmp_path):
    track = write(tools, "song.wav", centre_and_left(2.05))
    (row,) = run(tools, track)
    pa.Table.from_pylist([row], schema=STEP.columns)
    assert set(row) == set(STEP.columns.names)
    stored, rate_hz = soundfile.read(tmp_path / "artifacts" / row["vocals_path"], dtype="float32")
    assert rate_hz == RATE
    assert stored.shape == (round(2.05 * RATE), 2)
    # The centre came through, the left did not.
    spectrum = np.abs(np.fft.rfft(stored[:RATE].mean(axis=1)))
    assert spectrum[1000] > 30 * spectrum[600]
    # 2.05 s make 20 blocks of 0.1 s and half a block.
    assert row["envelope_hop_seconds"] == pytest.approx(0.1)
    assert len(row["vocal_rms"]) == len(row["mix_rms"]) == 21
    mono = stored.mean(axis=1)
    assert row["vocal_rms"][3] == pytest.approx(
        np.sqrt(np.mean(mono[13_230:17_640] ** 2)), rel=1e-3
    )
    assert row["mix_rms"][3] == pytest.approx(np.sqrt(0.2**2 / 2 + 0.05**2 / 2), rel=0.01)


def test_the_name_follows_track_and_config_only(tools):
    track = Track(track_id="0123", path="a.wav")
    moved = Track(track_id="0123", path="b/c.mp3")
    config = SeparateConfig()
    other = SeparateConfig(sample_rate_hz=22_050)
    assert vocals_path(track, config) == vocals_path(moved, config)
    assert vocals_path(track, config) != vocals_path(track, other)
    assert vocals_path(track, config).startswith("0123-")


def test_a_row_does_not_depend_on_the_batch(tools, tmp_path):
    first = write(tools, "a.wav", centre_and_left(3.0))
    second = write(tools, "b.wav", centre_and_left(0.3)[:1])
    (alone,) = run(tools, first)
    audio = (tmp_path / "artifacts" / alone["vocals_path"]).read_bytes()
    _, together = run(tools, second, first)
    assert np.array_equal(alone.pop("vocal_rms"), together.pop("vocal_rms"))
    assert np.array_equal(alone.pop("mix_rms"), together.pop("mix_rms"))
    assert alone == together
    assert (tmp_path / "artifacts" / alone["vocals_path"]).read_bytes() == audio


def test_silence_and_the_shortest_file_have_rows(tools, tmp_path):
    silent = write(tools, "silent.wav", np.zeros((2, RATE), np.float32))
    short = write(tools, "short.wav", np.full((1, 2205), 0.1, np.float32), rate_hz=RATE)
    for row, seconds in zip(run(tools, silent, short), (1.0, 0.05), strict=True):
        info = soundfile.info(tmp_path / "artifacts" / row["vocals_path"])
        assert info.duration == pytest.approx(seconds)
        assert np.isfinite(row["vocal_rms"]).all()


def test_another_rate_is_kept(tools, tmp_path):
    track = write(tools, "song.wav", centre_and_left(1.0))
    (row,) = run(tools, track, rate_hz=22_050)
    info = soundfile.info(tmp_path / "artifacts" / row["vocals_path"])
    assert (info.samplerate, info.frames, info.channels) == (22_050, 22_050, 2)


@pytest.mark.parametrize("cuts", [(), (1, 9, 10, 11, 24), (10, 20)])
def test_envelope_of_known_levels_however_the_signal_is_cut(cuts):
    stereo = np.concatenate(
        [np.full((2, 10), 0.5), np.zeros((2, 10)), np.full((2, 5), 1.0)], axis=1
    )
    stereo[:, 10:20] = [[1.0], [-1.0]]  # The sum is silent.
    envelope = RmsEnvelope(10)
    pieces = np.split(stereo.astype(np.float32), cuts, axis=1)
    passed = list(envelope.measuring(pieces))
    assert envelope.values().tolist() == [0.5, 0.0, 1.0]
    np.testing.assert_array_equal(np.concatenate(passed, axis=1), stereo)


def test_a_track_of_several_blocks_is_stored_whole(tools, tmp_path, monkeypatch):
    # Blocks too short for repetition: the position decides alone.
    monkeypatch.setattr("tasks.dsp.separation.BLOCK_SECONDS", 2.0)
    samples = centre_and_left(20.03)
    (row,) = run(tools, write(tools, "long.wav", samples))
    stored, _ = soundfile.read(tmp_path / "artifacts" / row["vocals_path"])
    assert len(stored) == samples.shape[1]
    assert len(row["vocal_rms"]) == len(row["mix_rms"]) == 201
    # The tone in the centre is there from the first block to the last, in level and phase.
    time = np.arange(len(stored)) / RATE
    sounding = 0.2 * (np.sin(2 * np.pi * time / 2) > -0.5) * np.sin(2 * np.pi * 1000 * time)
    for first in range(0, 20 * RATE, RATE // 2):
        part = slice(first, first + RATE // 2)
        expected = np.dot(sounding[part], sounding[part])
        if expected > 100:
            assert np.dot(stored[part].mean(axis=1), sounding[part]) > 0.9 * expected


def test_an_unreadable_track_stores_nothing(tools, tmp_path):
    (error,) = run(tools, Track(track_id="id", path="gone.wav"))
    assert error.reason == "missing"
    short = write(tools, "short.wav", centre_and_left(0.02))
    (error,) = run(tools, short)
    assert error.reason == "too-short"
    assert not tools.outputs.files()


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "htdemucs")
    return folder


@pytest.fixture
def network_tools(tools, models_dir):
    return replace(tools, weights=Weights(str(models_dir)))


def test_a_network_separates_as_the_library_does(network_tools, tmp_path, models_dir):
    mix = centre_and_left(3.1)
    track = write(network_tools, "song.wav", mix)
    (row,) = run(network_tools, track, separator="htdemucs")
    pa.Table.from_pylist([row], schema=STEP.columns)
    assert row["method"] == "htdemucs"
    stored, rate_hz = soundfile.read(tmp_path / "artifacts" / row["vocals_path"], dtype="float32")
    assert (rate_hz, stored.shape) == (RATE, (mix.shape[1], 2))
    assert len(row["vocal_rms"]) == len(row["mix_rms"]) == 31

    (file,) = card("htdemucs").files
    model = load_model(models_dir / "htdemucs" / file.name)
    samples = torch.from_numpy(soundfile.read(tmp_path / "source" / "song.wav")[0].T).float()
    reference = samples.mean(0)
    mean, std = reference.mean(), reference.std() + 1e-8
    separated = apply_model(model, ((samples - mean) / std)[None], shifts=0, overlap=0.25)
    expected = (separated * std + mean)[0, model.sources.index("vocals")].T.numpy()
    assert np.abs(stored - expected).max() < 2 / 2**15  # steps of 16 bits


def test_a_network_takes_mono_silence_and_other_rates_alone_or_together(network_tools, tmp_path):
    tracks = [
        write(network_tools, "mono.wav", centre_and_left(2.2)[:1]),
        write(network_tools, "silent.wav", np.zeros((2, RATE), np.float32)),
        write(network_tools, "slow.wav", centre_and_left(1.0)[:, ::2], rate_hz=22_050),
        Track(track_id="id", path="gone.wav"),
    ]
    *together, error = run(network_tools, *tracks, separator="htdemucs")
    assert error.reason == "missing"
    for row, seconds in zip(together, (2.2, 1.0, 1.0), strict=True):
        path = tmp_path / "artifacts" / row["vocals_path"]
        audio = path.read_bytes()
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (RATE, 2)
        assert info.duration == pytest.approx(seconds, abs=1e-3)
        (alone,) = run(network_tools, tracks[together.index(row)], separator="htdemucs")
        assert path.read_bytes() == audio
        assert np.array_equal(alone["vocal_rms"], row["vocal_rms"])
        assert np.isfinite(row["vocal_rms"]).all()
    assert not np.any(together[1]["vocal_rms"])


def test_an_unreadable_track_stores_nothing_by_a_network_either(network_tools):
    track = write(network_tools, "short.wav", centre_and_left(0.02))
    (error,) = run(network_tools, track, separator="htdemucs")
    assert error.reason == "too-short"
    assert not network_tools.outputs.files()


def test_the_name_follows_the_weights(network_tools, tmp_path):
    track = write(network_tools, "song.wav", centre_and_left(0.3))
    (row,) = run(network_tools, track, separator="htdemucs")
    config = SeparateConfig(separator="htdemucs")
    assert row["vocals_path"] == vocals_path(
        track, config, (network_tools.weights.revision("htdemucs"),)
    )
    assert row["vocals_path"] != vocals_path(track, config, (card("htdemucs").revision,))


def own_network(path, sources, **arguments):
    """File of a network of the user's own."""
    torch.save(package(make_network(HDemucs, sources, 1, TINY[HDemucs] | arguments)), path)
    return path


def with_own(tools, address):
    weights, name = tools.weights.with_own(str(address), SEPARATION)
    return replace(tools, weights=weights), name


def test_a_checkpoint_of_the_user_separates(tools, tmp_path):
    path = own_network(tmp_path / "mine.th", ("accompaniment", "vocals"))
    own_tools, name = with_own(tools, path)
    assert name == f"checkpoint-{sha256(path)[:8]}"
    track = write(tools, "song.wav", centre_and_left(1.1))
    (row,) = run(own_tools, track, separator=name)
    assert row["method"] == name
    assert soundfile.info(tmp_path / "artifacts" / row["vocals_path"]).frames == round(1.1 * RATE)
    card = own_tools.weights.card(name)
    assert (card.task, card.licence, card.source) == ("separation", "unknown", "own")

    # The same file elsewhere is the same separator: its rows and vocals are found again.
    path.rename(tmp_path / "moved.th")
    moved_tools, moved = with_own(tools, tmp_path / "moved.th")
    assert moved == name
    (again,) = run(moved_tools, track, separator=name)
    assert again["vocals_path"] == row["vocals_path"]
    with pytest.raises(ModelError, match="not on this machine"):
        run(own_tools, track, separator=name)
    own_network(tmp_path / "moved.th", ("drums", "vocals"))
    with pytest.raises(ModelError, match="has changed since the run began"):
        run(moved_tools, track, separator=name)


@pytest.mark.parametrize(
    ("sources", "arguments", "message"),
    [
        (("drums", "bass"), {}, "knows no vocals, only: drums, bass"),
        (("drums", "vocals"), {"samplerate": 22_050}, "separates at 22050 Hz, not at 44100 Hz"),
        (("drums", "vocals"), {"audio_channels": 1}, "for 1 channels"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tools, tmp_path, sources, arguments, message):
    path = tmp_path / "mine.th"
    network = HDemucs(list(sources), channels=4, dconv_comp=2, **arguments)
    torch.save(package(network), path)
    track = write(tools, "song.wav", centre_and_left(0.5))
    tools, name = with_own(tools, path)
    with pytest.raises(ModelError, match=message):
        run(tools, track, separator=name)
    assert not tools.outputs.files()


def test_a_file_that_is_no_checkpoint_is_refused(tools, tmp_path):
    (tmp_path / "mine.th").write_bytes(b"no network")
    track = write(tools, "song.wav", centre_and_left(0.5))
    tools, name = with_own(tools, tmp_path / "mine.th")
    with pytest.raises(ModelError, match=r"mine\.th holds no network of Demucs"):
        run(tools, track, separator=name)


@pytest.mark.parametrize(
    "config",
    [
        {"separator": "checkpoint"},
        {"separator": "runs/unet1d-0123abcd"},
        {"separator": "htdemucs", "checkpoint_sha256": "0" * 64},
        {"separator": "htdemucs", "sample_rate_hz": 22_050},
        {"separator": "demucs"},
        {"separator": "whisper-tiny"},
    ],
)
def test_contradictions_are_refused(config):
    with pytest.raises(ValidationError):
        SeparateConfig(**config)


def test_networks_belong_on_a_gpu():
    own = SeparateConfig(separator="unet1d-0123abcd")
    trained = SeparateConfig(separator="mdx_extra")
    assert STEP.resource(SeparateConfig()) == "CPU"
    assert STEP.resource(trained) == STEP.resource(own) == "GPU"
    assert STEP.models(SeparateConfig()) == ()
    assert STEP.models(own) == ("unet1d-0123abcd",)
    assert STEP.models(trained) == ("mdx_extra",)


@pytest.mark.parametrize(
    ("config", "recipe", "vocals"),
    [
        ({}, "3643b36bc791dbefed584a5a59283199", "0123-6069d51a.flac"),
        ({"separator": "htdemucs"}, "366749dcf031aa7038acf19c745c2e77", "0123-113eb71b.flac"),
        ({"separator": "mdx_extra"}, "1dba5e2acd5f0195e70d2025bc9aabd5", "0123-b9cfa005.flac"),
        ({"sample_rate_hz": 22_050}, "bdb70374830c019315e022ff20d0af1a", "0123-95c18943.flac"),
    ],
)
def test_a_configuration_is_keyed_as_when_checkpoints_had_a_field(
    config, recipe, vocals, monkeypatch: pytest.MonkeyPatch
):
    # Computed by version 1 of the step, whose configuration had `checkpoint_sha256`.
    first = replace(STEP, version=1)
    monkeypatch.setattr("tasks.song.separate.STEP", first)
    config = SeparateConfig(**config)
    assert first.recipe(config).digest == recipe
    assert vocals_path(Track("0123", "a.wav"), config, ("r1",)) == vocals


def probed(tools, track):
    """Row of the probe."""
    [row] = probe.STEP.run([track], {}, probe.ProbeConfig(), tools)
    return row


def test_vocals_beyond_full_scale_are_stored_with_a_gain(tools, tmp_path):
    # A float mix of +6 dBFS, all of it in the middle.
    loud = 10 * centre_and_left(3.0)
    with tools.source.writing("loud.wav") as path:
        soundfile.write(path, loud.T, RATE, subtype="FLOAT")
    track = Track("id", "loud.wav")
    (row,) = run(tools, track)
    stored, _ = soundfile.read(tmp_path / "artifacts" / row["vocals_path"], dtype="float32")
    assert -9 < row["vocals_gain_db"] < -3
    assert np.abs(stored).max() == pytest.approx(1.0, abs=1e-4)
    # The envelope is that of the mix, before the gain.
    loudest = int(np.argmax(row["vocal_rms"]))
    mono = stored.mean(axis=1)[4410 * loudest :][:4410] / 10 ** (row["vocals_gain_db"] / 20)
    assert row["vocal_rms"][loudest] == pytest.approx(np.sqrt(np.mean(mono**2)), rel=1e-3)

    quiet = write(tools, "song.wav", centre_and_left(1.0))
    assert run(tools, quiet)[0]["vocals_gain_db"] == 0.0


def test_what_was_found_wrong_is_put_right_before_the_separation(tools):
    signal = centre_and_left(2.05)
    sound = write(tools, "sound.wav", signal)
    offset = write(tools, "offset.wav", signal + np.float32(0.4))
    tracks = [sound, offset]
    rows = STEP.run(
        tracks, {"probe": [probed(tools, track) for track in tracks]}, SeparateConfig(), tools
    )
    np.testing.assert_allclose(rows[1]["mix_rms"], rows[0]["mix_rms"], atol=1e-4)
    np.testing.assert_allclose(rows[1]["vocal_rms"], rows[0]["vocal_rms"], atol=1e-3)
