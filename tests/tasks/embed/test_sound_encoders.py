"""MuQ, MERT, EnCodec's latent, CLAP and mel statistics, on tiny models."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from models.protocols import AUDIO_TEXT_EMBEDDING, CODEC, MUSIC_EMBEDDING
from models.tiny.write import write
from models.trust import VARIABLE
from tasks.dsp.sound_statistics import statistics
from tasks.dsp.spectral import frame_features
from tasks.embed import clap, clap_windows, latent, mel, mert, muq
from tasks.embed.items import Item, ItemTools
from tasks.weights import Weights
from tests.support.music_encoder import music

STEPS = {
    "mel": (mel.STEP, mel.MelConfig),
    "muq": (muq.STEP, muq.MuqConfig),
    "mert": (mert.STEP, mert.MertConfig),
    "latent": (latent.STEP, latent.LatentConfig),
    "clap": (clap_windows.STEP, clap_windows.ClapWindowsConfig),
}
RATES = {"mel": 22_050, "muq": 24_000, "mert": 24_000, "latent": 24_000, "clap": 48_000}
WINDOWS = {"mel": 30, "muq": 30, "mert": 5, "latent": 10, "clap": 10}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("muq-large-msd", "mert-v1-95m", "encodec-24khz", "clap-music-and-speech"):
        write(folder, name)
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path, weights, monkeypatch):
    monkeypatch.setenv(VARIABLE, "mert-v1-95m")
    return ItemTools(Storage(str(tmp_path)), Storage(str(tmp_path)), weights=weights)


def song(tools, name, encoder, seconds, seed=0):
    samples = np.resize(music(4.0, seed), round(seconds * RATES[encoder]))
    with tools.source.writing(f"{name}.wav") as path:
        soundfile.write(path, samples, RATES[encoder], subtype="FLOAT")
    return Item(name, f"{name}.wav"), samples


def alone(tools, encoder, window):
    """What a window's embedding is by definition."""
    if encoder == "mel":
        return statistics(frame_features([window], 22_050))
    if encoder == "latent":
        (frames,) = tools.model("encodec-24khz", CODEC).latents([window[None]])
        return frames.mean(axis=0)
    if encoder == "clap":
        return next(
            tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING).embed_audio([window])
        )
    name = {"muq": "muq-large-msd", "mert": "mert-v1-95m"}[encoder]
    (frames,) = tools.model(name, MUSIC_EMBEDDING).embed([window])
    return frames.mean(axis=0)


@pytest.mark.parametrize("encoder", STEPS)
def test_a_track_is_the_mean_of_its_windows(tools, encoder):
    step, config = STEPS[encoder]
    window = WINDOWS[encoder] * RATES[encoder]
    item, samples = song(tools, "long", encoder, WINDOWS[encoder] + 1.5)
    other, _ = song(tools, "other", encoder, 1.3, seed=5)
    rows = step.run([other, item], {}, config(windows=True), tools)
    pa.Table.from_pylist(rows, schema=step.columns)
    parts = [alone(tools, encoder, part) for part in (samples[:window], samples[window:])]
    scale = max(np.abs(part).max() for part in parts)
    for found, expected in zip(rows[1]["windows"], parts, strict=True):
        assert np.abs(found - expected).max() < 1e-4 * scale
    mean = np.average(parts, axis=0, weights=[WINDOWS[encoder], 1.5])
    assert np.abs(rows[1]["embedding"] - mean).max() < 1e-4 * scale
    assert rows[1]["window_start_seconds"] == [0, WINDOWS[encoder]]
    # Neither the batch around it nor the other window says anything of a track.
    (by_itself,) = step.run([item], {}, config(), tools)
    assert np.array_equal(by_itself["embedding"], rows[1]["embedding"])
    assert np.abs(rows[0]["embedding"] - rows[1]["embedding"]).max() > 1e-3 * scale


def test_a_part_shorter_than_a_frame_is_filled_up(tools):
    item, _ = song(tools, "song", "muq", 2)
    item = replace(item, start_seconds=1.0, end_seconds=1.03)
    (row,) = muq.STEP.run([item], {}, muq.MuqConfig(), tools)
    assert np.isfinite(row["embedding"]).all()


def test_clap_is_the_step_of_songs_but_for_the_norm(tools):
    item, _ = song(tools, "long", "clap", 13)
    (row,) = clap_windows.STEP.run([item], {}, clap_windows.ClapWindowsConfig(), tools)
    (of_song,) = clap.STEP.run([item], {}, clap.ClapConfig(), tools)
    unit = row["embedding"] / np.linalg.norm(row["embedding"])
    assert np.abs(unit - of_song["clap_embedding"]).max() < 1e-6


@pytest.mark.parametrize("encoder", STEPS)
def test_what_is_kept_is_part_of_the_key(encoder):
    step, config = STEPS[encoder]
    assert step.recipe(config()).digest != step.recipe(config(windows=True)).digest
