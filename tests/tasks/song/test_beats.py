"""The step beats on real files, with the real weights of the package where it is installed."""

from dataclasses import replace

import mir_eval
import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from examples.songs import make_song
from flows.build_dataset_params import BuildDatasetParams
from models import packages
from models.registry import card
from models.tiny.write import write
from tasks.song import features
from tasks.song.beats import COLUMNS, STEP, BeatsConfig
from tasks.song.features import FeaturesConfig
from tasks.step import Tools, Track
from tasks.weights import Weights

packaged = pytest.mark.skipif(
    packages.folder(card("beatnet")) is None, reason="the package BeatNet is not installed"
)
RATE_HZ = 22_050


@pytest.fixture(scope="module")
def waltz():
    return make_song(3, seconds=18, tempo_bpm=130, metre="3/4", structure=("verse", "chorus"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, waltz):
    """Run the step on a named file, at a loudness that its probe says or does not know."""
    folder = tmp_path_factory.mktemp("tracks")
    random = np.random.default_rng(0)
    mono = waltz.mix.mean(axis=0)
    signals = {
        "waltz": (mono, 44_100),
        "quiet": (mono * 10 ** (-50 / 20), 44_100),
        "singing": (waltz.stems["vocals"].mean(axis=0), 44_100),
        "noise": (random.normal(0, 0.1, 8 * RATE_HZ), RATE_HZ),
        "silence": (np.zeros(4 * RATE_HZ), RATE_HZ),
        "tone": (0.2 * np.sin(np.arange(6 * RATE_HZ) * 0.1), RATE_HZ),
        "short": (mono[: 44_100 // 20], 44_100),
    }
    for name, (samples, rate_hz) in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate_hz, subtype="PCM_24")

    def run_step(name, loudness_lufs=None, weights=None, content="music"):
        tools = Tools(source=Storage(str(folder)), outputs=Storage(str(folder)))
        if weights is not None:
            tools = Tools(source=tools.source, outputs=tools.outputs, weights=weights)
        upstream = {
            "probe": [{"loudness_lufs": loudness_lufs}],
            "activity": [{"content": content}],
        }
        [row] = STEP.run([Track(name, f"{name}.wav")], upstream, BeatsConfig(), tools)
        return row

    return run_step


@packaged
def test_a_waltz_has_its_beats_and_bars(run, waltz):
    row = run("waltz")
    beats, positions = np.array(waltz.beat_times_seconds), np.array(waltz.beat_positions)
    assert row["time_signature"] == "3/4"
    assert row["tempo_bpm"] == pytest.approx(130, rel=0.01)
    assert 0.3 < row["tempo_confidence"] <= 1
    found = row["beat_times_seconds"].astype(np.float64)
    assert mir_eval.beat.f_measure(beats, found) > 0.95
    downbeats = row["downbeat_times_seconds"].astype(np.float64)
    assert mir_eval.beat.f_measure(beats[positions == 1], downbeats) > 0.9
    assert np.array_equal(row["downbeat_times_seconds"], found[row["beat_positions"] == 1])
    assert {*row["beat_positions"]} == {1, 2, 3}


@packaged
def test_a_quiet_file_is_heard_by_its_loudness(run):
    loud, quiet = run("waltz", -14.0), run("quiet", -64.0)
    np.testing.assert_allclose(quiet["beat_times_seconds"], loud["beat_times_seconds"], atol=0.021)
    unknown = run("quiet")
    assert unknown["beat_times_seconds"] is None


@packaged
@pytest.mark.parametrize("name", ["singing", "noise", "silence", "tone", "short"])
def test_no_beat_is_made_up(run, name: str):
    assert run(name) == dict.fromkeys(COLUMNS.names)
    if name != "silence":
        assert run(name, -20.0) == dict.fromkeys(COLUMNS.names)


@packaged
def test_speech_has_no_beats(run):
    assert run("waltz", content="speech") == dict.fromkeys(COLUMNS.names)


def test_random_weights_give_a_row_of_the_columns(run, tmp_path):
    write(tmp_path, "beatnet")
    row = run("waltz", weights=Weights(str(tmp_path)))
    assert set(row) == set(COLUMNS.names)


def features_of(signal: np.ndarray, heard: dict) -> dict:
    return features.compute_features([signal.astype(np.float32)], RATE_HZ, heard)


def test_features_take_what_was_heard():
    signal = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ)
    times = np.arange(0.25, 4, 0.5, np.float32)
    heard = {"tempo_bpm": 120.0, "tempo_confidence": 0.5, "beat_times_seconds": times}
    row = features_of(signal, heard)
    assert (row["tempo_bpm"], row["tempo_confidence"]) == (120.0, 0.5)
    assert np.array_equal(row["beat_times_seconds"], times)
    np.testing.assert_allclose(row["grid_seconds"], [0, *times[:-1], 3.75, 4])


@pytest.mark.parametrize("heard", [{}, dict.fromkeys(COLUMNS.names)], ids=["failed", "no beat"])
def test_features_do_not_look_again_where_no_beat_was_heard(heard: dict):
    clicks = np.zeros(6 * RATE_HZ, np.float32)
    clicks[:: RATE_HZ // 2] = 1
    assert features.compute_features([clicks], RATE_HZ)["tempo_bpm"] == pytest.approx(120, rel=0.01)
    row = features_of(clicks, heard)
    assert row["tempo_bpm"] is row["beat_times_seconds"] is row["tempo_confidence"] is None
    np.testing.assert_allclose(row["grid_seconds"], np.arange(0, 6.1, 0.5))


def stages(**options) -> dict:
    params = BuildDatasetParams.model_validate({"profile": "offline", "llm": False, **options})
    return {stage.step.name: stage for stage in params.stages()}


def test_by_onsets_the_rows_of_features_have_the_keys_that_they_had():
    made = stages(beat_method="onsets")
    assert "beats" not in made
    probe = made["probe"].step.recipe(made["probe"].config)
    recipe = features.STEP.recipe(FeaturesConfig(), {"probe": probe})
    before = replace(features.STEP, optional_upstream=()).recipe(FeaturesConfig(), {"probe": probe})
    assert recipe == before
    beats = STEP.recipe(BeatsConfig(), {"probe": probe})
    assert features.STEP.recipe(FeaturesConfig(), {"probe": probe, "beats": beats}) != before


@pytest.mark.parametrize("asked", ["tempo", "features", "beats"])
def test_where_the_tempo_comes_from_does_not_depend_on_what_is_asked_for(asked: str):
    assert list(stages(steps=[asked])) == ["probe", "beats", "features", "merge"]
    assert list(stages(steps=[asked], beat_method="onsets")) == ["probe", "features", "merge"]


def test_downbeats_alone_need_no_features():
    assert list(stages(steps=["downbeats"])) == ["probe", "beats", "merge"]
    with pytest.raises(ValueError, match="beats is no step of this run"):
        stages(steps=["time_signature"], beat_method="onsets")
