"""Prepared songs to pairs of signals, as the codec hears them and as they are made again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.prepared_song import PreparedStem
from tasks.engine.stage import Stage
from tasks.stems import assort, augment, keep_apart
from tasks.stems.assort import AssortConfig, Assortments
from tasks.stems.augment import Augmentation, AugmentConfig, name_of
from tasks.stems.chunks import Framing
from tasks.stems.distort import PEAK_DBFS, DistortConfig, distorted, distorted_pair
from tasks.stems.keep_apart import KeepApartConfig
from tasks.stems.mixing import Stems, from_pcm, to_pcm
from tasks.stems.pair_signals import Cutting, PairSignals
from tasks.stems.render import render
from tasks.stems.schema import CONTEXTS, Context
from tasks.step import Tools
from tests.tasks.stems.studio import Prepared, carry_out

CLEAN = DistortConfig(probability=0, noise_probability=0)
HARSH = DistortConfig(probability=1, noise_probability=1)
STEPS_DB = 20 * np.log10(2**-15)
"""One step of 16 bits."""


class Made:
    """Pairs of prepared songs, and all signals of each, as they go to the codec."""

    def __init__(
        self,
        studio: Prepared,
        folder: Path,
        distortion: DistortConfig = CLEAN,
        *,
        channels: int = 1,
        variants: int = 2,
    ) -> None:
        drawing = Augmentation(variants=variants)
        choice = Assortments(basic=1, random=2)
        form = AugmentConfig(drawing=drawing, sample_rate_hz=32_000, channels=channels)
        stages = [
            Stage(augment.STEP, form),
            Stage(keep_apart.STEP, KeepApartConfig()),
            Stage(assort.STEP, AssortConfig(instrument="guitar", choice=choice)),
        ]
        self.tools = Tools(source=studio.storage, outputs=Storage("nowhere"))
        self.carried = carry_out(stages, studio.songs, Storage(str(folder)), self.tools)
        self.pairs: dict[str, list[dict[str, Any]]] = {}
        self.signals: dict[str, dict[str, np.ndarray]] = {}
        # One chunk holds all of a pair, whatever its length.
        cutting = Cutting(Framing(1), 10**7, 0.0, CONTEXTS)
        for song in studio.songs:
            rows = (self.carried.row(name, song) for name in ("augment", "assort"))
            found = PairSignals(song, *rows, distortion, cutting, self.tools)
            for owner, signal in found:
                if owner.pair_id is None:
                    stem = signal
                else:
                    self.signals.setdefault(owner.pair_id, {"stem": stem})[owner.signal] = signal
            self.pairs[song.track_id] = found.pairs


@pytest.fixture(scope="module")
def clean(studio: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(studio, tmp_path_factory.mktemp("clean"), channels=2)


def level_db(signal: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(signal, dtype=np.float64)) + 1e-20))


def test_companions_and_target_add_up_to_the_mix(studio: Prepared, clean: Made):
    for song in studio.songs:
        pairs = clean.pairs[song.track_id]
        targets = sum(stem.instrument == "guitar" for stem in song.stems)
        assert len(pairs) == targets * 3 * 3
        for pair in pairs:
            heard = clean.signals[pair["pair_id"]]
            residual = heard["all_without"] + heard["stem"] - heard["all"]
            assert level_db(residual) < level_db(heard["all"]) - 60
            assert level_db(heard["stem"]) > -60


def test_all_signals_of_a_variant_have_one_length(studio: Prepared, clean: Made):
    for song in studio.songs:
        seconds = max(stem.seconds for stem in song.stems)
        for pair in clean.pairs[song.track_id]:
            expected = round(seconds * 32_000 / pair["tempo"])
            assert pair["samples"] == expected
            for signal in clean.signals[pair["pair_id"]].values():
                assert signal.shape == (2, expected)


def test_variants_differ_and_the_first_is_the_song_as_it_is(studio: Prepared, clean: Made):
    for song in studio.songs:
        variants = clean.carried.row("augment", song)["variants"]
        first, *others = variants
        assert (first["pitch_semitones"], first["tempo"], first["gain_db"]) == (0, 1, 0)
        assert len({(each["pitch_semitones"], each["tempo"]) for each in variants}) == 3
        for each in others:
            assert 0 < abs(each["pitch_semitones"]) <= 2.001
            assert 0.9 <= each["tempo"] <= 1.1
            assert abs(each["gain_db"]) <= 4
        stems = {stem.stem_id: stem for stem in song.stems}
        for pair in clean.pairs[song.track_id]:
            if pair["variant"]:
                continue
            path = stems[pair["target"]].path
            original = audio.load(studio.storage, path, rate_hz=32_000, channels=2)
            gain = np.float32(10 ** (pair["gain_db"] / 20))
            heard = clean.signals[pair["pair_id"]]["stem"]
            assert np.abs(heard - gain * np.clip(original, -1, 1)).max() <= 2**-15


def test_the_gain_of_a_pair_is_drawn_unless_the_mix_would_be_clipped(studio: Prepared, clean: Made):
    for song in studio.songs:
        drawn = {
            each["variant"]: each["gain_db"]
            for each in clean.carried.row("augment", song)["variants"]
        }
        by_target: dict[tuple, set[float]] = {}
        for pair in clean.pairs[song.track_id]:
            by_target.setdefault((pair["target"], pair["variant"]), set()).add(pair["gain_db"])
            assert pair["gain_db"] <= drawn[pair["variant"]]
            peak = np.abs(clean.signals[pair["pair_id"]]["all"]).max()
            assert 20 * np.log10(peak) <= PEAK_DBFS + 0.01
        # Pairs of one target share its signal.
        assert all(len(gains) == 1 for gains in by_target.values())


@pytest.mark.parametrize("channels", [1, 2])
def test_the_recorded_parameters_make_a_pair_again_bit_for_bit(
    studio: Prepared, tmp_path: Path, channels: int
):
    found = Made(studio, tmp_path, HARSH, channels=channels, variants=1)
    config = AugmentConfig(sample_rate_hz=32_000, channels=channels)
    kinds = set()
    for song in studio.songs:
        for pair in found.pairs[song.track_id]:
            again = render(pair, song, found.tools, config)
            for name, heard in found.signals[pair["pair_id"]].items():
                assert np.array_equal(again[name], heard)
            kinds.update(each["name"] for each in json.loads(pair["distortions"]))
    assert {"gaussian_noise"} < kinds


@pytest.mark.parametrize("channels", [1, 2])
def test_signals_are_rounded_as_a_file_of_16_bits_would(tmp_path: Path, channels: int):
    """Datasets of versions that stored stems and contexts as FLAC have the same codes."""
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.4, (channels, 20_000)).astype(np.float32)
    signal[0] = (np.arange(-40_000, 40_000, 4) + 0.5) / 2**15
    assert signal.max() > 1
    assert signal.min() < -1
    storage = Storage(str(tmp_path))
    audio.write_flac(storage, "a.flac", signal, 32_000)
    stored = audio.load(storage, "a.flac", rate_hz=32_000, channels=1 if channels == 1 else 2)
    assert np.array_equal(from_pcm(to_pcm(signal)), stored)
    with Stems(channels, signal.shape[1]) as stems:
        stems.add("other", np.zeros_like(signal))
        stems.add("this", signal)
        stems.add("again", signal)
        assert np.array_equal(stems.window(["this"], 0, signal.shape[1]), stored)
        windows = list(stems.windows(["other", "this", "again"], 3_000))
        assert [window.shape[1] for window in windows] == [3_000] * 6 + [2_000]
        assert np.array_equal(np.concatenate(windows, axis=1), stored + stored)


def test_contexts_are_distorted_alike_and_the_target_is_not(studio: Prepared, tmp_path: Path):
    found = Made(studio, tmp_path, HARSH, variants=0)
    plain = Made(studio, tmp_path / "plain", CLEAN, variants=0)
    for song in studio.songs:
        both = zip(found.pairs[song.track_id], plain.pairs[song.track_id], strict=True)
        for pair, same in both:
            heard, before = found.signals[pair["pair_id"]], plain.signals[same["pair_id"]]
            assert np.array_equal(heard["stem"], before["stem"])
            for name in ("all", "all_without"):
                assert level_db(heard[name] - before[name]) > level_db(before[name]) - 50


def test_noise_is_the_same_in_both_contexts():
    rng = np.random.default_rng(0)
    stem, without = (0.1 * rng.standard_normal((2, 1, 32_000))).astype(np.float32)
    together: dict[Context, np.ndarray] = {"all": stem + without, "all_without": without}
    config = DistortConfig(probability=0, noise_probability=1, min_snr_db=20, max_snr_db=20)
    contexts, [noise] = distorted(together.__getitem__, 32_000, "00ff", config)
    added = contexts["all"] - together["all"]
    assert noise["name"] == "gaussian_noise"
    assert level_db(together["all"]) - level_db(added) == pytest.approx(20, abs=0.2)
    assert level_db(contexts["all_without"] - without - added) < -100


def test_another_distortion_draws_nothing_before_it_again(studio: Prepared, tmp_path: Path):
    first = Made(studio, tmp_path, CLEAN, variants=1)
    assert first.carried.computed == {"augment": 2, "keep_apart": 2, "assort": 2}
    assert Made(studio, tmp_path, HARSH, variants=1).carried.computed == {}


def test_identities_of_pairs_are_those_of_the_versions_that_stored_their_audio():
    """A song of such a dataset: names of its signals, and what was drawn for it."""
    stem = PreparedStem("s0", "gtr", "guitar", "audio/s0.opus", 2.0)
    variant = {"decoding_rate_hz": 32_000, "tempo": 1.0, "samples": 64_000}
    config = AugmentConfig(sample_rate_hz=32_000, channels=1)
    said = "1 audio/s0.opus 0.0 32000 1 32000 1.0 64000"
    expected = f"augmented/{hashlib.blake2b(said.encode(), digest_size=16).hexdigest()}.flac"
    assert name_of(stem, variant, config) == expected
    chosen = {"target": "s0", "companions": ["s1"], "kind": "basic"}
    drawn = variant | {"variant": 0, "pitch_semitones": 0.0}
    with Stems(1, 64_000) as stems:
        for stem_id in ("s0", "s1"):
            stems.add(stem_id, np.full((1, 64_000), 0.25, np.float32))
        names = {"s0": "augmented/a.flac", "s1": "augmented/b.flac"}
        pair, _ = distorted_pair(stems, names, chosen, drawn, -1.5, 32_000, CLEAN)
    text = (
        '{"distortions": [], "gain_db": -1.5, '
        '"stems": ["augmented/a.flac", "augmented/b.flac"], "version": 1}'
    )
    assert pair["pair_id"] == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
