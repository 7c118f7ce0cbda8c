"""Prepared songs to pairs of signals: augment, distort and render together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.prepared_song import PreparedSong
from tasks.engine.stage import Stage
from tasks.stems import assort, augment, distort, keep_apart
from tasks.stems.assort import AssortConfig, Assortments
from tasks.stems.augment import Augmentation, AugmentConfig
from tasks.stems.distort import PEAK_DBFS, DistortConfig, Mixes, distorted
from tasks.stems.keep_apart import KeepApartConfig
from tasks.stems.render import render
from tasks.step import Tools
from tests.tasks.stems.studio import Carried, Prepared, carry_out

CLEAN = DistortConfig(probability=0, noise_probability=0)
HARSH = DistortConfig(probability=1, noise_probability=1)
STEPS_DB = 20 * np.log10(2**-15)
"""One step of 16 bits."""


def stages(config: DistortConfig = CLEAN, *, channels: int = 1, variants: int = 2) -> list[Stage]:
    augmented = AugmentConfig(
        drawing=Augmentation(variants=variants), sample_rate_hz=32_000, channels=channels
    )
    assorted = AssortConfig(instrument="guitar", choice=Assortments(basic=1, random=2))
    return [
        Stage(augment.STEP, augmented),
        Stage(keep_apart.STEP, KeepApartConfig()),
        Stage(assort.STEP, assorted),
        Stage(distort.STEP, config),
    ]


def made(studio: Prepared, folder: Path, *arguments: Any, **options: Any) -> tuple[Carried, Tools]:
    tools = Tools(source=studio.storage, outputs=Storage(str(folder / "audio")))
    tables = Storage(str(folder / "steps"))
    return carry_out(stages(*arguments, **options), studio.songs, tables, tools), tools


@pytest.fixture(scope="module")
def clean(studio: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Carried, Tools]:
    return made(studio, tmp_path_factory.mktemp("clean"), channels=2)


def signals(tools: Tools, pair: Mapping[str, Any], channels: int) -> dict[str, np.ndarray]:
    """The three signals of a pair, as a reader has them."""
    found = {
        name: audio.load(
            tools.outputs, pair[f"{name}_path"], rate_hz=32_000, channels=channels
        ).copy()
        for name in ("stem", "all", "all_without")
    }
    found["stem"] *= 10 ** (pair["gain_db"] / 20)
    return found


def level_db(signal: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(signal, dtype=np.float64)) + 1e-20))


def pairs_of(carried: Carried, song: PreparedSong) -> list[dict]:
    rows: list[dict] = carried.row("distort", song)["pairs"]
    return rows


def test_companions_and_target_add_up_to_the_mix(studio: Prepared, clean: tuple[Carried, Tools]):
    carried, tools = clean
    for song in studio.songs:
        pairs = pairs_of(carried, song)
        targets = sum(stem.instrument == "guitar" for stem in song.stems)
        assert len(pairs) == targets * 3 * 3
        for pair in pairs:
            heard = signals(tools, pair, 2)
            residual = heard["all_without"] + heard["stem"] - heard["all"]
            assert level_db(residual) < level_db(heard["all"]) - 60
            assert level_db(heard["stem"]) > -60


def test_all_signals_of_a_variant_have_one_length(studio: Prepared, clean: tuple[Carried, Tools]):
    carried, tools = clean
    for song in studio.songs:
        seconds = max(stem.seconds for stem in song.stems)
        for pair in pairs_of(carried, song):
            expected = round(seconds * 32_000 / pair["tempo"])
            assert pair["samples"] == expected
            for name in ("stem", "all", "all_without"):
                info = audio.probe(tools.outputs, pair[f"{name}_path"])
                assert round(info.duration_seconds * 32_000) == expected
                assert info.channels == 2


def test_variants_differ_and_the_first_is_the_song_as_it_is(
    studio: Prepared, clean: tuple[Carried, Tools]
):
    carried, tools = clean
    for song in studio.songs:
        variants = carried.row("augment", song)["variants"]
        first, *others = variants
        assert (first["pitch_semitones"], first["tempo"], first["gain_db"]) == (0, 1, 0)
        assert len({(each["pitch_semitones"], each["tempo"]) for each in variants}) == 3
        for each in others:
            assert 0 < abs(each["pitch_semitones"]) <= 2.001
            assert 0.9 <= each["tempo"] <= 1.1
            assert abs(each["gain_db"]) <= 4
        stem = song.stems[0]
        [path] = [
            each["path"]
            for each in carried.row("augment", song)["signals"]
            if (each["variant"], each["stem_id"]) == (0, stem.stem_id)
        ]
        original = audio.load(studio.storage, stem.path, rate_hz=32_000, channels=2)
        stored = audio.load(tools.outputs, path, rate_hz=32_000, channels=2)
        assert np.abs(stored - np.clip(original, -1, 1)).max() <= 2**-15


def test_the_gain_of_a_pair_is_drawn_unless_the_mix_would_be_clipped(
    studio: Prepared, clean: tuple[Carried, Tools]
):
    carried, tools = clean
    for song in studio.songs:
        drawn = {
            each["variant"]: each["gain_db"] for each in carried.row("augment", song)["variants"]
        }
        by_target: dict[tuple, set[float]] = {}
        for pair in pairs_of(carried, song):
            by_target.setdefault((pair["target"], pair["variant"]), set()).add(pair["gain_db"])
            assert pair["gain_db"] <= drawn[pair["variant"]]
            peak = np.abs(signals(tools, pair, 2)["all"]).max()
            assert 20 * np.log10(peak) <= PEAK_DBFS + 0.01
        # Pairs of one target share its signal.
        assert all(len(gains) == 1 for gains in by_target.values())


@pytest.mark.parametrize("channels", [1, 2])
def test_the_recorded_parameters_make_a_pair_again_bit_for_bit(
    studio: Prepared, tmp_path: Path, channels: int
):
    carried, tools = made(studio, tmp_path, HARSH, channels=channels, variants=1)
    bare = Tools(source=studio.storage, outputs=Storage("nowhere"))
    config = AugmentConfig(sample_rate_hz=32_000, channels=channels)
    kinds = set()
    for song in studio.songs:
        for pair in pairs_of(carried, song):
            heard = signals(tools, pair, channels)
            again = render(pair, song, bare, config)
            for name in ("all", "all_without"):
                assert np.array_equal(again[name], heard[name])
            assert level_db(again["stem"] - heard["stem"]) < STEPS_DB - 40
            kinds.update(each["name"] for each in json.loads(pair["distortions"]))
    assert {"gaussian_noise"} < kinds


def test_contexts_are_distorted_alike_and_the_target_is_not(studio: Prepared, tmp_path: Path):
    carried, tools = made(studio, tmp_path, HARSH, variants=0)
    plain, plain_tools = made(studio, tmp_path / "plain", CLEAN, variants=0)
    for song in studio.songs:
        for pair, same in zip(pairs_of(carried, song), pairs_of(plain, song), strict=True):
            heard, before = signals(tools, pair, 1), signals(plain_tools, same, 1)
            assert np.array_equal(heard["stem"], before["stem"])
            for name in ("all", "all_without"):
                assert level_db(heard[name] - before[name]) > level_db(before[name]) - 50


def test_noise_is_the_same_in_both_contexts():
    rng = np.random.default_rng(0)
    stem, without = (0.1 * rng.standard_normal((2, 1, 32_000))).astype(np.float32)
    together = Mixes(stem, stem + without, without)
    config = DistortConfig(probability=0, noise_probability=1, min_snr_db=20, max_snr_db=20)
    contexts, [noise] = distorted(together, 32_000, "00ff", config)
    added = contexts["all"] - together.all
    assert noise["name"] == "gaussian_noise"
    assert level_db(together.all) - level_db(added) == pytest.approx(20, abs=0.2)
    assert level_db(contexts["all_without"] - without - added) < -100


def test_another_distortion_changes_nothing_before_it(studio: Prepared, tmp_path: Path):
    first, _ = made(studio, tmp_path, CLEAN, variants=1)
    assert first.computed == {**{"augment": 2, "keep_apart": 2, "assort": 2, "distort": 2}}
    again, _ = made(studio, tmp_path, CLEAN, variants=1)
    assert again.computed == {}
    other, _ = made(studio, tmp_path, HARSH, variants=1)
    assert other.computed == {"distort": 2}


def test_artifacts_that_were_deleted_are_a_failure_with_a_remedy(studio: Prepared, tmp_path: Path):
    first, tools = made(studio, tmp_path, CLEAN, variants=0)
    song = studio.songs[0]
    [path, *_] = [each["path"] for each in first.row("augment", song)["signals"]]
    Path(tools.outputs.address, path).unlink()
    again, _ = made(studio, tmp_path, HARSH, variants=0)
    [(track, step, entry)] = again.results.failures()
    assert (track.track_id, step, entry.reason) == (song.track_id, "distort", "artifact-missing")
    assert f"remove {tmp_path} as a whole" in entry.error
