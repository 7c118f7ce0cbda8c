"""Songs of synthesised stems, and their codes."""

import numpy as np
import soundfile

from blocks.storage import Storage
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.stems.augment import AugmentConfig, variant_of
from tasks.stems.distort import DistortConfig
from tasks.stems.encode import STEP, EncodeConfig, PairsConfig, encoding
from tasks.stems.render import render
from tasks.step import Tools, TrackError

RATES = {"encodec-24khz": (24_000, 1), "encodec-32khz": (32_000, 1), "encodec-48khz": (48_000, 2)}
CONFIG = EncodeConfig(chunk_frames=50, min_chunk_seconds=0.4)
"""Chunks of a second at 32 kHz."""
CLEAN = DistortConfig(probability=0, noise_probability=0)
HISS = DistortConfig(probability=0, noise_probability=1)


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


def song(storage, name, stem, *, codec="encodec-32khz"):
    """A prepared song: a guitar, bass and drums of noise, at the rate of a codec."""
    rate_hz, channels = RATES[codec]
    seconds = stem.shape[1] / rate_hz
    signals = [stem, *(noise(seconds, 100 + at, rate_hz, channels) for at in range(2))]
    of = zip(("lead gtr", "Bass", "kit"), ("guitar", "bass", "drum"), signals, strict=True)
    stems = [
        PreparedStem(
            *(f"{name}-s{at}", stem_name, kind),
            store(storage, f"{name}-s{at}.flac", signal, rate_hz),
            seconds,
        )
        for at, (stem_name, kind, signal) in enumerate(of)
    ]
    return PreparedSong(
        track_id=f"{name:>016}",
        path=f"{name}.zip",
        artist=f"Artist {name[0]}",
        title=f"Song {name}",
        stems=stems,
        group=name[0],
    )


def drawn(track, *, pairs=2, gains_db=(0.0,), codec="encodec-32khz"):
    """Rows of `augment` and `assort`: a song as it is, at some gains, and its guitar with another
    stem in each pair."""
    rate_hz, channels = RATES[codec]
    augmented = {
        "variants": [
            variant_of(track, number, 0.0, 1.0, rate_hz) | {"gain_db": gain_db}
            for number, gain_db in enumerate(gains_db)
        ],
        "sample_rate_hz": rate_hz,
        "channels": channels,
    }
    target, *others = (stem.stem_id for stem in track.stems)
    assortments = [
        {"target": target, "companions": [others[at % 2]], "kind": ("basic", "random")[at % 2]}
        for at in range(pairs)
    ]
    return augmented, {"assortments": assortments}


def encode(tools, tracks, rows, config=CONFIG, distortion=CLEAN):
    upstream = {"augment": [row for row, _ in rows], "assort": [row for _, row in rows]}
    return STEP.run(tracks, upstream, PairsConfig(distortion=distortion, encoding=config), tools)


def heard(tools, track, pair, codec="encodec-32khz"):
    """The signals of a pair as they are made again, shape ``(channels, samples)`` each."""
    rate_hz, channels = RATES[codec]
    form = AugmentConfig(sample_rate_hz=rate_hz, channels=channels)
    return render(pair, track, tools, form)


def small_dataset(folder, weights, names=("a1", "a2", "b1"), pairs=2, config=CONFIG):
    """Some songs of 2.5 s: tools, tracks, rows of encode, and the encoding."""
    storage = Storage(str(folder))
    tools = Tools(storage, storage, weights=weights)
    rate_hz, channels = RATES[config.codec]
    tracks = [
        song(storage, name, noise(2.5, place, rate_hz, channels), codec=config.codec)
        for place, name in enumerate(names)
    ]
    rows = [drawn(track, pairs=pairs, codec=config.codec) for track in tracks]
    encoded = encode(tools, tracks, rows, config, HISS)
    assert not any(isinstance(row, TrackError) for row in encoded)
    made = encoding(encoded[0], config, tools.weights.revision(config.codec))
    return tools, tracks, encoded, made
