"""Features and harmony against the same librosa functions, called one by one.

``python benchmarks/features.py`` takes both in turn on a song of a minute, in one
process, compares what they return, and fails below ``FLOOR``. CPU time, medians.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import soxr
from threadpoolctl import threadpool_limits

from examples.songs import make_song
from tasks.dsp.filterbanks import mel_centres_hz
from tasks.dsp.rhythm import find_beats, onset_strength, track_beats, tracker_tempo
from tasks.dsp.spectral import N_MELS, frame_features
from tasks.dsp.tonal import constant_q
from tasks.song.features import compute_features
from tasks.song.harmony import compute_harmony

FLOOR = 4.0
ROUNDS = 5
RATE_HZ = 22_050
CQT_BINS = {"n_bins": 7 * 36, "bins_per_octave": 36, "hop_length": 2048}

Values = dict[str, Any]


def main() -> int:
    song = make_song(3, seconds=60.0)
    signal = soxr.resample(song.mix.mean(axis=0), 44_100, RATE_HZ)
    minutes = len(signal) / RATE_HZ / 60
    variants: dict[str, Callable[[], Any]] = {
        "librosa, one by one": lambda: librosa_features(signal),
        "songmill, features": lambda: compute_features([signal], RATE_HZ),
        "songmill, key and chords": lambda: compute_harmony([signal], row),
    }
    row = compute_features([signal], RATE_HZ)
    ms_per_minute = {name: 1e3 * cpu / minutes for name, cpu in interleaved(variants).items()}

    print(f"{60 * minutes:.0f} s of music at {RATE_HZ} Hz, CPU time, median of {ROUNDS}")
    for name, cost in ms_per_minute.items():
        print(f"{name:<28}{cost:8.1f} ms per minute of audio")
    theirs, *ours = ms_per_minute.values()
    ratio = theirs / sum(ours)
    print(f"{'ratio':<28}{ratio:8.1f}  (floor {FLOOR})")

    equal = compare(signal)
    return 0 if equal and ratio >= FLOOR else 1


def librosa_features(signal: np.ndarray) -> Values:
    """Compute the features as a plain script does: each function gets the signal."""
    audio = {"y": signal, "sr": RATE_HZ}
    onsets = librosa.onset.onset_strength(**audio, aggregate=np.median)
    bpm, beats = librosa.beat.beat_track(onset_envelope=onsets, sr=RATE_HZ)
    return {
        "mel_db": librosa.power_to_db(librosa.feature.melspectrogram(**audio)),
        "mfcc": librosa.feature.mfcc(**audio),
        "chroma": librosa.feature.chroma_stft(**audio),
        # The hop that the key needs; with librosa's default of 512 it takes longer.
        "chroma_cqt": librosa.feature.chroma_cqt(**audio, hop_length=2048),
        "centroid_hz": librosa.feature.spectral_centroid(**audio)[0],
        "rms": librosa.feature.rms(y=signal)[0],
        "onsets": onsets,
        "tempo_bpm": bpm[0],
        "beats": beats,
    }


def interleaved(variants: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median CPU seconds of each, taken in turn after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round_index in range(ROUNDS + 1):
        for name, run in variants.items():
            start = time.process_time()
            run()
            if round_index:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare(signal: np.ndarray) -> bool:
    """Print the largest differences; whether all are within their tolerance."""
    theirs = librosa_features(signal)
    frames = frame_features([signal], RATE_HZ)
    onsets = onset_strength(frames.mel_db)
    bpm = tracker_tempo(onsets, frames.hop_seconds)
    beats = track_beats(onsets, bpm, frames.hop_seconds)
    # Key and chords are found in four of the seven octaves of librosa's transform, before they
    # are folded into chroma.
    cqt = np.abs(librosa.cqt(signal, sr=RATE_HZ, tuning=0.0, **CQT_BINS))
    loudest = float(cqt.max())
    magnitudes = constant_q([signal], RATE_HZ)
    differences = {
        "mel, dB": (distance(frames.mel_db.T, theirs["mel_db"]), 1e-2),
        "mfcc": (distance(frames.mfcc.T, theirs["mfcc"]), 2e-2),
        "chroma": (distance(frames.chroma.T, theirs["chroma"]), 1e-4),
        "centroid, Hz": (distance(frames.centroid_hz, theirs["centroid_hz"]), 0.1),
        "rms": (distance(frames.rms, theirs["rms"]), 1e-6),
        "onset strength, dB": (distance(onsets, theirs["onsets"]), 1e-2),
        "tracker's tempo, 1/min": (abs(bpm - theirs["tempo_bpm"]), 1e-6),
        "beats that differ": (float(len(np.setxor1d(beats, theirs["beats"]))), 0),
        "constant-Q, share of maximum": (distance(magnitudes.T, cqt[36:180]) / loudest, 0.012),
    }
    print("\nlargest difference            found    allowed")
    for name, (found, allowed) in differences.items():
        print(f"{name:<28}{found:9.1e}  {allowed:9.1e}{'' if found <= allowed else '  TOO FAR'}")
    found_beats = find_beats(frames.mel_db, mel_centres_hz(RATE_HZ, N_MELS), frames.hop_seconds)
    if found_beats is not None:
        print(f"\ntempo {theirs['tempo_bpm']:.2f} by librosa, {found_beats.tempo_bpm:.2f} refined")
    return all(found <= allowed for found, allowed in differences.values())


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max())


if __name__ == "__main__":
    # As the workers, which have one thread; CPU time would count every one.
    with threadpool_limits(1):
        sys.exit(main())
