"""Songs whose pairs are synthesised, as the step before `encode` stores them."""

import json
from pathlib import Path

import numpy as np
import soundfile

from blocks.storage import Storage
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.stems.encode import STEP, EncodeConfig, encoding
from tasks.step import Tools, TrackError

RATES = {"encodec-24khz": (24_000, 1), "encodec-32khz": (32_000, 1), "encodec-48khz": (48_000, 2)}
CONFIG = EncodeConfig(chunk_frames=50, min_chunk_seconds=0.4)
"""Chunks of a second at 32 kHz."""


def noise(seconds, seed, rate_hz=32_000, channels=1, level=0.1):
    """Coloured noise of a seed's own colour, shape ``(channels, samples)``."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal((channels, samples)))
    spectrum[:, round(rng.uniform(0.05, 0.6) * spectrum.shape[1]) :] = 0
    signal = np.fft.irfft(spectrum, samples)
    return (level * signal / signal.std()).astype(np.float32)


def store(storage, name, signal, rate_hz):
    with storage.writing(name) as path:
        soundfile.write(path, np.clip(signal.T, -1, 1), rate_hz, subtype="PCM_16", format="FLAC")
    return name


def song(name, stems=(("s0", "lead gtr", "guitar"), ("s1", "Bass", "bass"), ("s2", "kit", "drum"))):
    """A prepared song whose stems are known by name only."""
    return PreparedSong(
        track_id=f"{name:>016}",
        path=f"{name}.zip",
        artist=f"Artist {name[0]}",
        title=f"Song {name}",
        stems=[PreparedStem(f"{name}-{i}", n, kind, "", 0.0) for i, n, kind in stems],
        group=name[0],
    )


def pair(storage, track, stem, number=0, *, codec="encodec-32khz", **changes):
    """A pair of a song's first stem; its contexts are the stem and noise of the pair's number."""
    rate_hz, channels = RATES[codec]
    seconds = stem.shape[1] / rate_hz
    gain_db = changes.get("gain_db", 0.0)
    variant = changes.get("variant", 0)
    without = noise(seconds, 100 + number, rate_hz, channels)
    target = track.stems[0].stem_id
    stem_path = f"{track.track_id}-{target}-{variant}.flac"
    if not storage.exists(stem_path):
        store(storage, stem_path, stem, rate_hz)
    mix = without + 10 ** (gain_db / 20) * stem
    name = f"{track.track_id}-{number}"
    return {
        "pair_id": f"{number:02}{track.track_id}",
        "target": target,
        "companions": [track.stems[1 + number % 2].stem_id],
        "kind": "basic" if number % 2 == 0 else "random",
        "variant": variant,
        "pitch_semitones": 0.5 * variant,
        "tempo": 1.0 + 0.05 * variant,
        "gain_db": gain_db,
        "seed": f"{number:016x}",
        "distortions": json.dumps([{"name": "noise", "snr_db": 20.0 + number}]),
        "stem_path": stem_path,
        "all_path": store(storage, f"{name}-all.flac", mix, rate_hz),
        "all_without_path": store(storage, f"{name}-without.flac", without, rate_hz),
        "samples": stem.shape[1],
        **changes,
    }


def distorted(pairs, codec="encodec-32khz"):
    rate_hz, channels = RATES[codec]
    return {"pairs": pairs, "sample_rate_hz": rate_hz, "channels": channels}


def encode(tools, tracks, rows, config=CONFIG):
    return STEP.run(tracks, {"distort": rows}, config, tools)


def stored(storage, pair, signal, rate_hz=32_000):
    """What a pair's file holds, shape ``(channels, samples)``; the stem with its gain."""
    path = Path(storage.address, pair[f"{signal}_path"])
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == rate_hz
    gain = np.float32(10 ** (pair["gain_db"] / 20)) if signal == "stem" else np.float32(1)
    return gain * np.ascontiguousarray(samples.T)


def small_dataset(folder, weights, names=("a1", "a2", "b1"), pairs=2, config=CONFIG):
    """Some songs of 2.5 s: tools, tracks, rows of distort and encode, and the encoding."""
    storage = Storage(str(folder))
    tools = Tools(storage, storage, weights=weights)
    rate_hz, channels = RATES[config.codec]
    tracks = [song(name) for name in names]
    rows = []
    for place, track in enumerate(tracks):
        stem = noise(2.5, place, rate_hz, channels)
        rows.append(
            distorted(
                [pair(storage, track, stem, each, codec=config.codec) for each in range(pairs)],
                config.codec,
            )
        )
    encoded = encode(tools, tracks, rows, config)
    assert not any(isinstance(row, TrackError) for row in encoded)
    made = encoding(encoded[0], config, tools.weights.revision(config.codec))
    return tools, tracks, rows, encoded, made
