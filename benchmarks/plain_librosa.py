"""The plain script: the offline path as one writes it with librosa, function by function.

The peer of ``benchmarks.offline_path``. It takes the reasonable road everywhere: the mix is
loaded once, at librosa's own rate and in mono; separation is the recipe of librosa's gallery
(REPET-SIM), segmentation the cheaper of librosa's two (agglomerative), the voice encoder is
loaded once for all songs. F0 has the range, rate and hop of our step. Only librosa's own
composition is what it is: each feature transforms the signal anew.
"""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import gruut
import librosa
import numpy as np
import soundfile
from resemblyzer import VoiceEncoder, preprocess_wav

RATE_HZ = 22_050
PITCH_RATE_HZ, PITCH_FRAME_SAMPLES, PITCH_HOP_SAMPLES = 16_000, 1024, 160
PITCH_HOP_SECONDS = PITCH_HOP_SAMPLES / PITCH_RATE_HZ
FMIN_HZ, FMAX_HZ = 65.4, 1046.5
SECTION_SECONDS = 12.0
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LRC_LINE = re.compile(r"\[(\d+):(\d+\.\d+)\](.*)")
LRC_WORD_TIME = re.compile(r"<\d+:\d+\.\d+>")

# Krumhansl, "Cognitive Foundations of Musical Pitch", 1990.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)

Signal = np.ndarray


def process(path: Path, output_dir: Path, encoder: VoiceEncoder) -> dict[str, Any]:
    """Record of a song; vocals and record are also written to `output_dir`."""
    info = soundfile.info(path)
    mix, _ = librosa.load(path, sr=RATE_HZ)
    vocals = separate(mix)
    vocals_path = output_dir / f"{path.stem}.flac"
    soundfile.write(vocals_path, vocals, RATE_HZ)
    features = compute_features(mix)
    f0_hz, vocals_16k = track_pitch(vocals_path)
    lines = read_lyrics(path.with_suffix(".lrc"))
    record = {
        "sample_rate": info.samplerate,
        "channels": info.channels,
        **{name: features[name] for name in ("duration", "tempo", "key", "mode", "beats")},
        **{name: features[name].mean(axis=1).tolist() for name in ("chroma", "mel", "mfcc")},
        "vibrato": find_vibrato(f0_hz),
        "breaths": find_breaths(vocals_16k, f0_hz),
        "voice_embedding": encoder.embed_utterance(preprocess_wav(vocals_path)).tolist(),
        "lyrics": "\n".join(text for _, text in lines),
        "phonemes": [phonemes(text) for _, text in lines],
        "segments": [
            describe(start, end, features, vocals, f0_hz, lines)
            for start, end in find_sections(features)
        ],
    }
    (output_dir / f"{path.stem}.json").write_text(json.dumps(record))
    return record


def separate(mix: Signal) -> Signal:
    """Vocals as what differs from the median of similar frames."""
    magnitudes, phase = librosa.magphase(librosa.stft(mix))
    repeating = librosa.decompose.nn_filter(
        magnitudes,
        aggregate=np.median,
        metric="cosine",
        width=int(librosa.time_to_frames(2, sr=RATE_HZ)),
    )
    repeating = np.minimum(magnitudes, repeating)
    mask = librosa.util.softmask(magnitudes - repeating, 10 * repeating, power=2)
    return librosa.istft(mask * magnitudes * phase, length=len(mix))


def compute_features(mix: Signal) -> dict[str, Any]:
    audio = {"y": mix, "sr": RATE_HZ}
    tempo, beats = librosa.beat.beat_track(**audio)
    rms = librosa.feature.rms(y=mix)
    key, mode = find_key(librosa.feature.chroma_cqt(**audio).mean(axis=1))
    return {
        "duration": librosa.get_duration(**audio),
        "tempo": float(tempo[0]),
        "beat_frames": beats,
        "beats": librosa.frames_to_time(beats, sr=RATE_HZ).tolist(),
        "key": key,
        "mode": mode,
        "mel": librosa.power_to_db(librosa.feature.melspectrogram(**audio)),
        "mfcc": librosa.feature.mfcc(**audio),
        "chroma": librosa.feature.chroma_stft(**audio),
        "centroid": librosa.feature.spectral_centroid(**audio),
        "rms": rms,
        "energy": rms / rms.max(),
    }


def find_key(chroma: Signal) -> tuple[str, str]:
    scores = {
        (name, mode): np.corrcoef(np.roll(profile, tonic), chroma)[0, 1]
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for tonic, name in enumerate(TONICS)
    }
    return max(scores, key=lambda key: scores[key])


def find_sections(features: dict[str, Any]) -> list[tuple[float, float]]:
    frames = np.concatenate([features["mfcc"], features["chroma"]])
    by_beat = librosa.util.sync(frames, features["beat_frames"])
    count = max(1, min(by_beat.shape[1], round(features["duration"] / SECTION_SECONDS)))
    starts = librosa.segment.agglomerative(by_beat, count)
    beats = np.concatenate([[0.0], features["beats"]])
    edges = [*beats[starts].tolist(), features["duration"]]
    return list(pairwise(edges))


def track_pitch(vocals_path: Path) -> tuple[Signal, Signal]:
    """F0 every 10 ms, NaN where unvoiced, and the vocals at the rate it was found at."""
    vocals, _ = librosa.load(vocals_path, sr=PITCH_RATE_HZ)
    f0_hz, _, _ = librosa.pyin(
        vocals,
        fmin=FMIN_HZ,
        fmax=FMAX_HZ,
        sr=PITCH_RATE_HZ,
        frame_length=PITCH_FRAME_SAMPLES,
        hop_length=PITCH_HOP_SAMPLES,
    )
    return f0_hz, vocals


def find_vibrato(f0_hz: Signal) -> list[dict[str, float]]:
    """Voiced half seconds whose F0 swings at 4 to 8 Hz."""
    size = 50
    found = []
    for start in range(0, len(f0_hz) - size, size // 2):
        window = f0_hz[start : start + size]
        if np.isnan(window).any():
            continue
        semitones = 12 * np.log2(window / window.mean())
        times = np.arange(size)
        semitones = semitones - np.polyval(np.polyfit(times, semitones, 2), times)
        spectrum = np.abs(np.fft.rfft(semitones * np.hanning(size), 4 * size))
        rates_hz = np.fft.rfftfreq(4 * size, PITCH_HOP_SECONDS)
        peak = int(np.argmax(spectrum))
        if 4.0 <= rates_hz[peak] <= 8.0 and semitones.std() > 0.1:
            found.append(
                {
                    "start": start * PITCH_HOP_SECONDS,
                    "rate": float(rates_hz[peak]),
                    "extent": float(semitones.std() * np.sqrt(2)),
                }
            )
    return found


def find_breaths(vocals: Signal, f0_hz: Signal) -> list[float]:
    """Noise of middling level in the pauses of the voice."""
    frames = {"frame_length": PITCH_FRAME_SAMPLES, "hop_length": PITCH_HOP_SAMPLES}
    level_db = librosa.amplitude_to_db(librosa.feature.rms(y=vocals, **frames)[0], ref=np.max)
    crossings = librosa.feature.zero_crossing_rate(vocals, **frames)[0]
    flatness = librosa.feature.spectral_flatness(y=vocals, n_fft=1024, hop_length=160)[0]
    count = min(map(len, (level_db, crossings, flatness, f0_hz)))
    is_breath = (
        np.isnan(f0_hz[:count])
        & (level_db[:count] > -50)
        & (level_db[:count] < -15)
        & (crossings[:count] > 0.1)
        & (flatness[:count] > 0.01)
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_breath, [0]])))
    starts, ends = edges[::2], edges[1::2]
    return [float(at) * PITCH_HOP_SECONDS for at in starts[ends - starts >= 10]]


def read_lyrics(path: Path) -> list[tuple[float, str]]:
    """Return the times and texts of the lines."""
    return [
        (60 * int(minutes) + float(seconds), LRC_WORD_TIME.sub("", text).strip())
        for minutes, seconds, text in LRC_LINE.findall(path.read_text())
    ]


def phonemes(line: str) -> list[list[str]]:
    return [
        list(word.phonemes or ())
        for sentence in gruut.sentences(line, lang="en-us")
        for word in sentence
        if word.is_spoken
    ]


def describe(
    start: float,
    end: float,
    features: dict[str, Any],
    vocals: Signal,
    f0_hz: Signal,
    lines: list[tuple[float, str]],
) -> dict[str, Any]:
    """Entry of a segment: means over its frames, its contour, its lyrics and a prompt."""
    frames = slice(*librosa.time_to_frames([start, end], sr=RATE_HZ))
    names = ("energy", "rms", "centroid", "chroma", "mfcc")
    means = {name: features[name][:, frames].mean(axis=1).tolist() for name in names}
    inside = slice(round(start / PITCH_HOP_SECONDS), round(end / PITCH_HOP_SECONDS))
    contour = f0_hz[inside]
    voiced = contour[~np.isnan(contour)]
    vocal_rms = librosa.feature.rms(y=vocals[round(start * RATE_HZ) : round(end * RATE_HZ)])
    tempo, key, mode = features["tempo"], features["key"], features["mode"]
    return {
        "start_time": start,
        "end_time": end,
        **means,
        "vocal_ratio": float(vocal_rms.mean() / np.mean(means["rms"])),
        "f0_mean": float(voiced.mean()) if len(voiced) else None,
        "f0_contour": [None if np.isnan(f0) else round(float(f0), 2) for f0 in contour],
        "segment_lyrics": "\n".join(text for time, text in lines if start <= time < end),
        "prompt": f"A passage at {tempo:.0f} BPM in {key} {mode}",
    }
