"""The songs' truth, held against estimators that know nothing of how they were made."""

import itertools
import json
import os
import re
import subprocess
import sys
from hashlib import sha256

import librosa
import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfiltfilt

from examples.song import Song
from examples.songs import PEAK, RATE_HZ, TONICS, make_song, write_song
from examples.speech import speak


@pytest.fixture(scope="module")
def song() -> Song:
    return make_song(5, seconds=30, tempo_bpm=112, key="A", mode="minor")


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


def test_same_seed_gives_the_same_bits_in_another_process() -> None:
    program = (
        "import hashlib; from examples.songs import make_song;"
        "s = make_song(5, seconds=8, tempo_bpm=112, structure=['verse']);"
        "print(hashlib.sha256(s.mix.tobytes() + s.f0_hz.tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},  # this process has another one
    )
    song, again = (make_song(5, seconds=8, tempo_bpm=112, structure=["verse"]) for _ in range(2))
    assert np.array_equal(again.mix, song.mix)
    assert done.stdout.strip() == sha256(song.mix.tobytes() + song.f0_hz.tobytes()).hexdigest()


def test_seeds_differ() -> None:
    songs = [make_song(seed, seconds=6, structure=("verse",)) for seed in (11, 12)]
    assert songs[0].truth() != songs[1].truth()


def test_mix_is_the_sum_of_the_stems_with_headroom(song: Song) -> None:
    total = sum(stem.astype(np.float64) for stem in song.stems.values())
    np.testing.assert_allclose(song.mix, total, atol=1e-6)
    assert np.abs(song.mix).max() == pytest.approx(PEAK, rel=1e-4)
    assert set(song.stems) == {"drums", "bass", "chords", "vocals"}
    assert {stem.shape for stem in song.stems.values()} == {
        (2, round(RATE_HZ * song.duration_seconds))
    }


def test_vocals_are_centred_and_chords_are_not(song: Song) -> None:
    assert np.array_equal(song.stems["vocals"][0], song.stems["vocals"][1])
    chords = song.stems["chords"]
    assert rms_db(chords[0] - chords[1]) > rms_db(chords[0] + chords[1]) - 20


def test_vocals_lie_a_little_below_the_band_where_they_sing(song: Song) -> None:
    voiced = np.repeat(~np.isnan(song.f0_hz), RATE_HZ // 100)
    voiced = np.pad(voiced, (0, song.mix.shape[1] - len(voiced)))
    vocals = song.stems["vocals"]
    assert -6 < rms_db(vocals[:, voiced]) - rms_db((song.mix - vocals)[:, voiced]) < 0


def test_f0_agrees_with_pyin(song: Song) -> None:
    vocals = song.stems["vocals"][0, : 12 * RATE_HZ]
    estimated, _, _ = librosa.pyin(
        librosa.resample(vocals, orig_sr=RATE_HZ, target_sr=16_000),
        sr=16_000,
        fmin=65,
        fmax=1000,
        frame_length=1024,
        hop_length=320,
    )
    # Every other of its values, which are those of 10 ms.
    truth = song.f0_hz[::2][: len(estimated)]
    cents = 1200 * np.abs(np.log2(estimated[: len(truth)] / truth))
    assert np.mean(cents[~np.isnan(truth)] < 50) > 0.95


def test_kicks_fall_on_beats(song: Song) -> None:
    low = butter(4, 120, "lowpass", fs=RATE_HZ, output="sos")
    kick = np.abs(sosfiltfilt(low, song.stems["drums"].mean(axis=0)))
    loud = np.flatnonzero(kick > 0.3 * kick.max())
    starts = loud[np.diff(loud, prepend=-RATE_HZ) > 0.15 * RATE_HZ] / RATE_HZ
    assert len(starts) > 10
    beats = np.array(song.beat_times_seconds)
    distance = np.abs(starts[:, None] - beats).min(axis=1)
    assert distance.max() < 0.03
    assert np.diff(beats) == pytest.approx(60 / 112)


def onsets(stem: np.ndarray, band_hz: tuple[float, float]) -> np.ndarray:
    """Times at which a band of a stem grows loud again."""
    sections = butter(4, band_hz, "bandpass", fs=RATE_HZ, output="sos")
    envelope = np.abs(sosfiltfilt(sections, stem.mean(axis=0)))
    loud = np.flatnonzero(envelope > 0.25 * np.percentile(envelope, 99.9))
    return loud[np.diff(loud, prepend=-RATE_HZ) > 0.1 * RATE_HZ] / RATE_HZ


def test_bars_of_three_have_their_kick_on_the_first_beat() -> None:
    song = make_song(5, seconds=12, tempo_bpm=120, metre="3/4", structure=("verse", "chorus"))
    beats, positions = np.array(song.beat_times_seconds), np.array(song.beat_positions)
    assert list(positions[:7]) == [1, 2, 3, 1, 2, 3, 1]
    kicks = onsets(song.stems["drums"], (30, 120))
    assert np.abs(kicks[:, None] - beats[positions == 1]).min(axis=1).max() < 0.03
    assert len(kicks) == (positions == 1).sum()
    assert song.truth()["metre"] == "3/4"


def test_six_eighths_are_two_beats_of_three() -> None:
    song = make_song(5, seconds=14, tempo_bpm=60, metre="6/8", structure=("verse", "chorus"))
    assert np.diff(song.beat_times_seconds) == pytest.approx(1.0)
    hats = onsets(song.stems["drums"], (9000, 16_000))
    places = hats * 3 % 1
    assert np.minimum(places, 1 - places).max() < 0.05
    assert len(hats) >= 3 * len(song.beat_times_seconds) - 3


def test_swung_eighths_come_late() -> None:
    song = make_song(5, seconds=12, tempo_bpm=90, swing=1 / 6, structure=("verse", "chorus"))
    places = np.unique(np.round(onsets(song.stems["drums"], (9000, 16_000)) * 1.5 % 1, 1))
    assert set(places % 1) == {0.0, 0.7}


def test_a_tempo_may_change_from_bar_to_bar() -> None:
    song = make_song(5, seconds=20, tempo_bpm=100, pace=lambda place: 1 + 0.3 * place)
    beats = np.array(song.beat_times_seconds)
    gaps = np.diff(beats)
    assert gaps[0] == pytest.approx(0.6)
    assert gaps[-1] == pytest.approx(0.6 / 1.3)
    assert (np.diff(gaps) < 1e-9).all()
    kicks = onsets(song.stems["drums"], (30, 120))
    assert np.abs(kicks[:, None] - beats).min(axis=1).max() < 0.03
    assert song.sections[-1].start_seconds == pytest.approx(
        beats[np.abs(beats - song.sections[-1].start_seconds).argmin()]
    )


@pytest.mark.parametrize(("key", "mode"), [("A", "minor"), ("C", "major")])
def test_pitches_belong_to_the_key(key: str, mode: str) -> None:
    song = make_song(6, seconds=20, key=key, mode=mode, structure=("verse", "chorus"))
    band = (song.stems["chords"] + song.stems["bass"]).mean(axis=0)
    chroma = librosa.feature.chroma_cqt(y=band, sr=RATE_HZ).mean(axis=1)
    # The dominant of the minor key has the leading note G#, which replaces G.
    scale = [
        TONICS.index(name)
        for name in ("C D E F G# A B" if mode == "minor" else "C D E F G A B").split()
    ]
    assert chroma[scale].mean() > 2 * np.delete(chroma, scale).mean()
    third, fifth = ("C", "E") if mode == "minor" else ("E", "G")
    triad = [TONICS.index(name) for name in (key, third, fifth)]
    assert np.argmax(chroma) in triad
    assert chroma[triad].mean() > np.delete(chroma, triad).mean() * 1.5


def test_melody_lies_in_the_key(song: Song) -> None:
    midi = librosa.hz_to_midi(song.f0_hz)
    held = np.abs(np.gradient(midi)) < 0.02  # not in a portamento
    for vibrato in song.vibratos:
        # From 0.1 s before the vibrato has half of its extent.
        held[int(100 * vibrato.start_seconds) - 10 : int(100 * vibrato.end_seconds) + 1] = False
    steps = (midi[held] - TONICS.index("A")) % 12
    natural_minor = np.array([0, 2, 3, 5, 7, 8, 10, 12])
    assert np.mean(np.abs(steps[:, None] - natural_minor).min(axis=1) < 0.2) > 0.9


def test_sections_tile_the_song_and_contrast(song: Song) -> None:
    edges = [song.sections[0].start_seconds, *(s.end_seconds for s in song.sections)]
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(song.duration_seconds, abs=1e-3)
    starts = [s.start_seconds for s in song.sections[1:]]
    assert starts == edges[1:-1]
    # All but the end of the last lie on bar lines.
    bars = np.array(edges[:-1]) / (240 / song.tempo_bpm)
    np.testing.assert_allclose(bars, np.round(bars), atol=1e-6)
    levels: dict[str, list[float]] = {}
    for section in song.sections:
        first, last = (round(t * RATE_HZ) for t in (section.start_seconds, section.end_seconds))
        levels.setdefault(section.label, []).append(rms_db(song.mix[:, first:last]))
    assert min(levels["chorus"]) > max(levels["verse"]) + 1


def test_chords_follow_each_other_and_sound_in_their_stem(song: Song) -> None:
    starts = [chord.start_seconds for chord in song.chords]
    assert starts[0] == 0
    assert starts[1:] == [chord.end_seconds for chord in song.chords[:-1]]
    assert song.duration_seconds - 1.5 < song.chords[-1].end_seconds <= song.duration_seconds
    signal = librosa.resample(song.stems["chords"].mean(axis=0), orig_sr=RATE_HZ, target_sr=22_050)
    chroma = librosa.feature.chroma_cqt(y=signal, sr=22_050, hop_length=1024)
    for chord in song.chords:
        tonic, _, quality = chord.label.partition(":")
        triad = (TONICS.index(tonic) + np.array([0, 4 if quality == "maj" else 3, 7])) % 12
        first, last = librosa.time_to_frames(
            [chord.start_seconds, chord.end_seconds], sr=22_050, hop_length=1024
        )
        loudest = np.argsort(chroma[:, first:last].mean(axis=1))[-3:]
        assert {*loudest} == {*triad}


def test_vibrato_oscillates_at_its_rate(song: Song) -> None:
    assert len(song.vibratos) >= 3
    for vibrato in song.vibratos:
        times = np.arange(vibrato.start_seconds, vibrato.end_seconds - 0.15, 0.01)
        f0 = song.f0_hz[np.round(times * 100).astype(int)]
        semitones = 12 * np.log2(f0 / np.nanmedian(f0))
        if np.isnan(semitones).any() or len(semitones) < 40:
            continue
        basis = [np.ones(len(times)), times, *_wave(times, vibrato.rate_hz)]
        fit, *_ = np.linalg.lstsq(np.stack(basis, axis=1), semitones, rcond=None)
        assert np.hypot(fit[2], fit[3]) == pytest.approx(vibrato.extent_semitones, rel=0.25)


def _wave(times: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    return np.sin(2 * np.pi * rate_hz * times), np.cos(2 * np.pi * rate_hz * times)


def test_breaths_are_audible_and_unvoiced(song: Song) -> None:
    assert song.breaths
    vocals = song.stems["vocals"][0]
    for breath in song.breaths:
        first = round(breath.start_seconds * RATE_HZ)
        inside = vocals[first : first + round(breath.duration_seconds * RATE_HZ)]
        assert rms_db(inside) > rms_db(vocals) - 30
        frames = slice(
            round(breath.start_seconds * 100) + 1,
            round((breath.start_seconds + breath.duration_seconds) * 100) - 1,
        )
        assert np.isnan(song.f0_hz[frames]).all()


def test_words_follow_each_other_and_sound(song: Song) -> None:
    words = [word for line in song.lines for word in line.words]
    for word, following in itertools.pairwise(words):
        assert word.start_seconds < word.end_seconds <= following.start_seconds + 1e-9
    vocals = song.stems["vocals"][0]
    for word in words:
        part = vocals[round(word.start_seconds * RATE_HZ) : round(word.end_seconds * RATE_HZ)]
        assert rms_db(part) > rms_db(vocals) - 12


def test_spoken_words_have_their_syllables() -> None:
    words = {"river": 2, "summer": 2, "the": 1, "remember": 3, "light": 1}
    spoken = speak(list(words))
    assert {word: spoken[word].syllables for word in words} == words
    summer = spoken["summer"].phonemes
    assert summer[0].periodic_below_hz == 0  # s
    assert summer[1].is_vowel
    assert summer[1].periodic_below_hz > 0


@pytest.mark.parametrize("format", ["flac", "mp3", "ogg"])
def test_written_song_reads_back(song: Song, tmp_path, format: str) -> None:
    path = write_song(song, tmp_path, "one", format=format, stems=format == "flac")
    samples, rate_hz = soundfile.read(path)
    assert rate_hz == RATE_HZ
    correlation = np.corrcoef(samples[: 5 * RATE_HZ, 0], song.mix[0, : 5 * RATE_HZ])[0, 1]
    assert correlation > 0.95 or format == "mp3"  # the encoder's delay shifts MP3
    rows = (tmp_path / "one.lrc").read_text(encoding="utf-8").splitlines()
    sung = [row for row in rows if re.match(r"\[\d\d:\d\d\.\d\d\]", row)]
    assert len(sung) == len(song.lines)
    first = re.findall(r"<(\d\d):(\d\d\.\d\d)>(\w+)", sung[0])
    assert [word for *_, word in first] == song.lines[0].text.split()
    assert int(first[0][0]) * 60 + float(first[0][1]) == pytest.approx(
        song.lines[0].words[0].start_seconds, abs=0.006
    )
    if format == "flac":
        truth = json.loads((tmp_path / "one.truth.json").read_text())
        assert truth["key"] == "A"
        assert len(truth["f0_hz"]) == len(song.f0_hz)
        stems = [soundfile.read(p)[0] for p in sorted((tmp_path / "one.stems").iterdir())]
        np.testing.assert_allclose(sum(stems), samples, atol=1e-6)


def test_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError, match="no structure fits"):
        make_song(1, tempo_bpm=400, structure=("intro",))
