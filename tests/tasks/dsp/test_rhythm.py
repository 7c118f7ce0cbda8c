"""Beats against librosa's and against the truth of synthesised drums and songs."""

import librosa
import numpy as np
import pytest
import soxr

from examples.songs import make_song
from examples.speech import speak
from tasks.dsp import rhythm
from tasks.dsp.filterbanks import mel_centres_hz
from tasks.dsp.spectral import frame_features

RATE_HZ = 22_050
HOP_SECONDS = 512 / RATE_HZ
MEL_HZ = mel_centres_hz(RATE_HZ, 128)


def drums(bpm, *, hats_per_beat=2, seconds=20.0):
    """Bass drum on the even beats, snare on the odd ones, hats."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE_HZ // 5) / RATE_HZ
    kick = np.sin(2 * np.pi * 55 * time) * np.exp(-20 * time)
    snare = 0.4 * rng.normal(size=len(time)) * np.exp(-25 * time)
    hat = 0.3 * np.diff(rng.normal(size=len(time) + 1)) * np.exp(-70 * time)
    signal = np.zeros(round((seconds + 1) * RATE_HZ))
    beat_samples = 60 / bpm * RATE_HZ
    for index in range(int(seconds * bpm / 60)):
        for sound, position in (
            (snare if index % 2 else kick, index),
            *((hat, index + part / hats_per_beat) for part in range(hats_per_beat)),
        ):
            start = round(position * beat_samples)
            signal[start : start + len(sound)] += sound[: len(signal) - start]
    return signal[: round(seconds * RATE_HZ)].astype(np.float32)


def beats_of(signal):
    return rhythm.find_beats(frame_features([signal], RATE_HZ).mel_db, MEL_HZ, HOP_SECONDS)


@pytest.fixture(scope="module")
def songs():
    made = [make_song(seed, seconds=20) for seed in (0, 1, 2, 3)]
    return [(song, soxr.resample(song.mix.mean(axis=0), 44_100, RATE_HZ)) for song in made]


def test_onsets_tempo_and_beats_are_librosas(songs):
    signals = [signal for _, signal in songs]
    signals += [drums(97), np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ).astype(np.float32)]
    for signal in signals:
        onsets = rhythm.onset_strength(frame_features([signal], RATE_HZ).mel_db)
        expected = librosa.onset.onset_strength(y=signal, sr=RATE_HZ, aggregate=np.median)
        np.testing.assert_allclose(onsets, expected, atol=1e-2)
        bpm, beats = librosa.beat.beat_track(y=signal, sr=RATE_HZ)
        assert rhythm.tracker_tempo(onsets, HOP_SECONDS) == pytest.approx(bpm[0])
        np.testing.assert_array_equal(rhythm.track_beats(onsets, bpm[0], HOP_SECONDS), beats)


@pytest.mark.parametrize("bpm", [80.0, 151.0])
def test_beats_at_a_given_tempo_are_librosas(songs, bpm):
    onsets = rhythm.onset_strength(frame_features([songs[0][1]], RATE_HZ).mel_db)
    _, beats = librosa.beat.beat_track(onset_envelope=onsets, sr=RATE_HZ, bpm=bpm)
    np.testing.assert_array_equal(rhythm.track_beats(onsets, bpm, HOP_SECONDS), beats)


def test_the_tempo_of_songs_is_right(songs):
    for song, signal in songs:
        assert beats_of(signal).tempo_bpm == pytest.approx(song.tempo_bpm, rel=0.01)


def test_the_tempo_is_not_quantised_to_frames():
    signal = drums(132)
    librosas = librosa.beat.beat_track(y=signal, sr=RATE_HZ)[0][0]
    assert abs(librosas - 132) > 2
    assert beats_of(signal).tempo_bpm == pytest.approx(132, abs=0.4)


@pytest.mark.parametrize("bpm", [66, 72, 76, 90, 120, 150, 160, 176])
def test_the_tempo_is_the_one_of_bass_drum_and_snare(bpm):
    """The plain tracker takes 66 for 129 and 160 for 80."""
    assert beats_of(drums(bpm)).tempo_bpm == pytest.approx(bpm, rel=0.01)


def test_beats_fall_on_the_drums():
    times = beats_of(drums(100)).times_seconds
    nearest = np.round(times / 0.6) * 0.6
    assert np.abs(times - nearest).max() < 0.05
    assert len(times) >= 28


def test_a_gap_in_the_beats_does_not_slow_the_tempo():
    beats = np.delete(np.arange(0, 1000, 20), [10, 11, 30])
    assert rhythm.refine_tempo(beats, 0.025) == pytest.approx(120)


@pytest.mark.parametrize("seconds", [3, 20])
@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_has_no_beat(colour, seconds):
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=seconds * RATE_HZ))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** {"white": 0, "pink": 0.5, "brown": 1}[colour]
    noise = np.fft.irfft(spectrum)
    assert beats_of((0.1 * noise / noise.std()).astype(np.float32)) is None


def test_silence_tones_and_short_tracks_have_no_beat():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE_HZ) / RATE_HZ)
    assert beats_of(np.zeros(5 * RATE_HZ, np.float32)) is None
    assert beats_of(tone.astype(np.float32)) is None
    assert beats_of(drums(120)[: int(1.5 * RATE_HZ)]) is None


def said(seed, seconds):
    """Words that follow each other without a beat, each louder or softer and at its own pitch."""
    rng = np.random.default_rng(seed)
    words = [
        "ask",
        "not",
        "what",
        "your",
        "country",
        "can",
        "do",
        "for",
        "you",
        "but",
        "what",
        "you",
        "can",
        "do",
        "for",
    ]
    spoken = speak(words)
    parts = []
    while sum(map(len, parts)) < seconds * RATE_HZ:
        word = spoken[words[len(parts) // 2 % len(words)]].samples * rng.uniform(0.4, 1)
        parts.append(soxr.resample(word, 1000, int(1000 * rng.uniform(0.85, 1.2))))
        parts.append(np.zeros(int(RATE_HZ * rng.choice([0.02, 0.05, 0.08, 0.4]))))
    return np.concatenate(parts)[: seconds * RATE_HZ].astype(np.float32)


@pytest.mark.parametrize("seconds", [8, 25])
def test_speech_has_no_beat(seconds):
    assert all(beats_of(said(seed, seconds)) is None for seed in range(3))


def test_clicks_at_random_have_no_beat():
    rng = np.random.default_rng(0)
    signal = np.zeros(20 * RATE_HZ, np.float32)
    for start in np.cumsum(rng.exponential(0.4, 40) * RATE_HZ).astype(int):
        if start < len(signal) - 2000:
            signal[start : start + 2000] += rng.normal(size=2000) * np.exp(-np.arange(2000) / 200)
    assert beats_of(signal) is None


def test_confidence_is_high_with_drums_and_lower_without(songs):
    assert beats_of(drums(120)).confidence > 0.6
    assert all(0.35 < beats_of(signal).confidence < 1 for _, signal in songs)


@pytest.mark.parametrize("gap", [(10.0, 20.0), (20.0, 30.0), (0.0, 10.0)])
def test_no_beat_lies_in_silence_and_the_tempo_stays(gap):
    silence = np.zeros(10 * RATE_HZ, np.float32)
    parts = np.split(drums(111), [int(gap[0] * RATE_HZ)])
    found = beats_of(np.concatenate([parts[0], silence, parts[1]]))
    assert found.tempo_bpm == pytest.approx(111, rel=0.01)
    assert found.confidence > 0.5
    inside = (found.times_seconds > gap[0] + 0.2) & (found.times_seconds < gap[1] - 0.1)
    assert not inside.any()
    assert len(found.times_seconds) >= 30


def test_a_rest_keeps_its_beats():
    signal = drums(120)
    signal[8 * RATE_HZ : int(8.9 * RATE_HZ)] = 0
    times = beats_of(signal).times_seconds
    assert np.diff(times).max() < 0.6


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 16_000, 48_000])
def test_the_tempo_does_not_depend_on_the_bandwidth(songs, rate_hz):
    for song, signal in songs:
        narrow = soxr.resample(soxr.resample(signal, RATE_HZ, rate_hz), rate_hz, RATE_HZ)
        assert beats_of(narrow).tempo_bpm == pytest.approx(song.tempo_bpm, rel=0.01)


def test_the_grid_of_a_track_without_beats_has_half_seconds():
    np.testing.assert_allclose(rhythm.beat_grid(None, 2.2), [0, 0.5, 1, 1.5, 2.2])
    np.testing.assert_allclose(rhythm.beat_grid(None, 0.1), [0, 0.1])


def test_the_grid_goes_on_where_beats_are_missing():
    beats = rhythm.Beats(120.0, np.array([1.1, 1.6, 3.1, 3.6]), 0.5)
    expected = [0, 0.6, 1.1, 1.6, 2.1, 2.6, 3.1, 3.6, 4.1, 4.75]
    np.testing.assert_allclose(rhythm.beat_grid(beats, 4.75), [*expected[:-1], 4.75])
