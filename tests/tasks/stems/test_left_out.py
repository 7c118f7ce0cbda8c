"""Copies and sums among the files of a song: what stays, what is said, and what is never heard."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from blocks.storage import Storage
from tasks.corpora import prepared as prepared_table
from tasks.corpora.prepared_song import PreparedSong
from tasks.dsp.likeness import RATE_HZ as LOW_HZ
from tasks.engine.stage import Stage
from tasks.stems import (
    assort,
    augment,
    compare,
    identify,
    keep_apart,
)
from tasks.stems.assort import AssortConfig, Assortments
from tasks.stems.augment import Augmentation, AugmentConfig, varied
from tasks.stems.identify import IdentifyConfig
from tasks.stems.keep_apart import KeepApartConfig
from tasks.step import Tools
from tests.tasks.stems.studio import Carried, Prepared, carry_out, prepare
from tests.tasks.stems.test_near_copies import DRUMS, GUITAR, KEYS, VOICE

RATE_HZ = 22_050
SECONDS = 4


def upsampled(signal: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
    """The start of a signal, at a usual rate."""
    import soxr

    return soxr.resample(signal[: SECONDS * LOW_HZ], LOW_HZ, rate_hz).astype(np.float32)


G, K, D = (upsampled(each) for each in (GUITAR, KEYS, DRUMS))
SILENCE = np.zeros(RATE_HZ // 2, np.float32)
COPIES: dict[str, tuple[str, np.ndarray, int]] = {
    "as mp3": ("guitar.mp3", G, RATE_HZ),
    "gain": ("guitar soft.wav", 0.1 * G, RATE_HZ),
    "polarity": ("guitar inverted.wav", -G, RATE_HZ),
    "rate": ("gtr.wav", upsampled(GUITAR, 44_100), 44_100),
    "delay": ("gtr late.wav", np.concatenate([SILENCE, G]), RATE_HZ),
    "trimmed": ("gtr cut.wav", G[4000:-4000], RATE_HZ),
    "stereo": ("gtr wide.wav", np.stack([G, 0.5 * G], axis=1), RATE_HZ),
    "sides in antiphase": ("gtr anti.wav", np.stack([G, -G], axis=1), RATE_HZ),
    "bus": ("strings.wav", G + K, RATE_HZ),
    "bus with more": ("strings.wav", G + K + upsampled(VOICE), RATE_HZ),
    "mix": ("synth.wav", 0.5 * (G + K + D), RATE_HZ),
}
"""Name, signal and rate of a file that holds the guitar, one for each song."""


def write_band(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, signal in (("guitar", G), ("keys", K), ("drums", D)):
        soundfile.write(folder / f"{name}.wav", signal, RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    place = tmp_path_factory.mktemp("copies")
    for kind, (name, signal, rate_hz) in COPIES.items():
        folder = write_band(place / "in" / "Ana" / kind)
        soundfile.write(folder / name, signal, rate_hz)
    write_band(place / "in" / "Ana" / "control")
    return prepare(place / "in", place / "out")


def paired(folder: Path, source: Storage, songs: list[PreparedSong]) -> tuple[Carried, Tools]:
    """All assortments of guitars with up to three others."""
    tools = Tools(source=source, outputs=Storage("nowhere"))
    augmented = AugmentConfig(drawing=Augmentation(variants=0), sample_rate_hz=24_000, channels=1)
    choice = Assortments(basic=4, random=16)
    stages = [
        Stage(augment.STEP, augmented),
        Stage(keep_apart.STEP, KeepApartConfig()),
        Stage(assort.STEP, AssortConfig(instrument="guitar", choice=choice)),
    ]
    return carry_out(stages, songs, Storage(str(folder / "steps")), tools), tools


def leak(carried: Carried, tools: Tools, song: PreparedSong) -> float:
    """Return the largest correlation of a target with its context, at any lag up to a second."""
    found = [0.0]
    form = AugmentConfig(sample_rate_hz=24_000, channels=1)
    [variant] = carried.row("augment", song)["variants"]
    heard = {stem.stem_id: varied(tools, stem, variant, form)[0] for stem in song.stems}
    for pair in carried.row("assort", song)["assortments"]:
        target = heard[pair["target"]]
        context = np.sum([heard[each] for each in pair["companions"]], axis=0)
        size = 2 * len(target)
        product = np.fft.rfft(target, size).conj() * np.fft.rfft(context, size)
        correlation = np.abs(np.fft.irfft(product, size))
        near = np.concatenate([correlation[-24_000:], correlation[:24_000]])
        found.append(near.max() / np.linalg.norm(target) / np.linalg.norm(context))
    return max(found)


def test_no_context_holds_its_target_whatever_the_song_holds_of_it(
    prepared: Prepared, tmp_path: Path
):
    songs = {song.title: song for song in prepared.songs}
    carried, tools = paired(tmp_path, prepared.storage, prepared.songs)
    control = leak(carried, tools, songs.pop("control"))
    assert control < 0.2
    assert songs.keys() == COPIES.keys()
    for kind, song in songs.items():
        assert leak(carried, tools, song) < control + 0.02, kind


def test_nor_does_one_of_stems_that_an_earlier_version_prepared(prepared: Prepared, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(prepared.storage.address, old)
    table = pq.read_table(old / prepared_table.MANIFEST).drop_columns(["left_out"])
    pq.write_table(table, old / prepared_table.MANIFEST)
    for path in old.rglob("*-low.flac"):
        path.unlink()
    some = {"as mp3", "polarity", "bus", "bus with more", "control"}
    songs = [
        song
        for song in prepared_table.songs(prepared_table.read(Storage(str(old))))
        if song.title in some
    ]
    assert max(len(song.stems) for song in songs) == 4
    carried, tools = paired(tmp_path, Storage(str(old)), songs)
    found = {song.title: leak(carried, tools, song) for song in songs}
    assert max(found.values()) < found["control"] + 0.02, found


def remarks(prepared: Prepared) -> dict[str, list[tuple[str, str, bool]]]:
    """Song, file's name, reason and whether it is in the dataset."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for row in prepared.failures:
        _, song, name = row["file_path"].split("/")
        found.setdefault(song, []).append((name, row["reason"], row["in_dataset"]))
        assert row["message"].endswith(".")
    return found


def test_what_left_the_song_and_why_is_said(prepared: Prepared):
    odd = ("other-sample-rate", "shorter-stem")
    said = {
        song: sorted(each for each in rows if each[1] not in odd)
        for song, rows in remarks(prepared).items()
    }
    copy = "near-copy"
    assert said == {
        "as mp3": [("guitar.mp3", copy, False)],
        "gain": [("guitar soft.wav", copy, False)],
        "polarity": [("guitar inverted.wav", copy, False)],
        # The other has the higher rate, or the channels.
        "rate": [("guitar.wav", copy, False)],
        "stereo": [("guitar.wav", copy, False)],
        "sides in antiphase": [("guitar.wav", copy, False)],
        "delay": [("guitar.wav", copy, False)],
        "trimmed": [("gtr cut.wav", copy, False)],
        "bus": [("strings.wav", "sum-of-stems", False)],
        "bus with more": [
            ("guitar.wav", "shared-sound", True),
            ("keys.wav", "shared-sound", True),
        ],
        "mix": [("synth.wav", "sum-of-stems", False)],
    }
    [message] = [
        row["message"] for row in prepared.failures if row["file_path"] == "Ana/as mp3/guitar.mp3"
    ]
    assert message.startswith("Ana/as mp3/guitar.mp3 sounds like Ana/as mp3/guitar.wav (-")
    reasons = {row["left_out"] for row in prepared.stems if row["song"] == "bus"}
    assert reasons == {None, "sum-of-stems"}


def write_solo(folder: Path, sounding: float) -> Path:
    write_band(folder)
    solo = upsampled(VOICE) * (np.arange(len(G)) >= (1 - sounding) * len(G))
    soundfile.write(folder / "vocals.wav", solo, RATE_HZ)
    return folder


def test_a_stem_that_sounds_in_part_says_how_much_and_which_option_takes_it(tmp_path: Path):
    write_solo(tmp_path / "in" / "Eve" / "Solo", 0.42)
    found = prepare(tmp_path / "in", tmp_path / "out")
    [row] = found.failures
    assert (row["reason"], row["in_dataset"]) == ("silent-stem", False)
    assert "sounds for 1.7 s of 4.0 s (42%)" in row["message"]
    assert "less than --identify.min_active_fraction 0.5" in row["message"]
    proposed = float(row["message"].split("min_active_fraction ")[2].split(" ")[0])
    again = prepare(
        tmp_path / "in", tmp_path / "out", identify=IdentifyConfig(min_active_fraction=proposed)
    )
    assert again.failures == []
    assert again.carried.computed == {"identify": 1}
    assert "vocals" in {stem.instrument for stem in again.songs[0].stems}


def test_a_song_prepared_by_an_earlier_version_is_compared_without_converting_it(
    prepared: Prepared, tmp_path: Path
):
    place = tmp_path / "out"
    shutil.copytree(prepared.storage.address, place)
    for name in (compare.STEP.name, identify.STEP.name):
        shutil.rmtree(place / "checkpoints" / "steps" / name)
    for path in place.rglob("*-low.flac"):
        path.unlink()
    again = prepare(Path(prepared.storage.address).parent / "in", place)
    assert "convert" not in again.carried.computed
    assert again.carried.computed["compare"] == len(COPIES) + 1
    assert {(row["source"], row["stem"], row["left_out"]) for row in again.stems} == {
        (row["source"], row["stem"], row["left_out"]) for row in prepared.stems
    }


def test_a_sample_that_is_no_audio_hides_no_copy(tmp_path: Path):
    folder = write_band(tmp_path / "in" / "Eve" / "Blown")
    blown = G.copy()
    blown[5000] = 1e30
    soundfile.write(folder / "guitar copy.wav", blown, RATE_HZ, subtype="FLOAT")
    found = prepare(tmp_path / "in", tmp_path / "out")
    [song] = found.songs
    assert sorted(stem.instrument for stem in song.stems) == ["drum", "guitar", "piano"]
    assert {row["reason"] for row in found.failures} <= {"near-copy"}


def test_noise_as_wav_and_as_mp3_is_one_stem_by_its_name(tmp_path: Path):
    folder = write_band(tmp_path / "in" / "Eve" / "Noisy")
    hiss = np.random.default_rng(0).standard_normal(len(G)).astype(np.float32)
    hits = 0.2 * hiss * np.exp(-(np.arange(len(G)) % 5500) / 1200)
    soundfile.write(folder / "Snare.wav", hits, RATE_HZ)
    soundfile.write(folder / "snare.mp3", hits, RATE_HZ)
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert remarks(found) == {"Noisy": [("snare.mp3", "near-copy", False)]}
