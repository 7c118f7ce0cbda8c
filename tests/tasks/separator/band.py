"""Songs of noises, whose sums are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from blocks.storage import Storage
from tasks.separator.decode import STEP, DecodeConfig
from tasks.separator.songs import Found, discover
from tasks.separator.training_song import SOURCES, TrainingSong
from tasks.step import Row, Tools
from tasks.track import TrackError

RATE_HZ = 44_100
SECONDS = 1.2

Signal = npt.NDArray[np.float32]


def noise(seed: int, seconds: float = SECONDS, channels: int = 1, level: float = 0.1) -> Signal:
    """White noise, shape ``(samples, channels)``."""
    shape = round(seconds * RATE_HZ), channels
    return level * np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def low_noise(seed: int, seconds: float = SECONDS) -> Signal:
    """Noise far below white noise in pitch."""
    return np.cumsum(noise(seed, seconds, level=0.002), axis=0) * np.float32(0.2)


def write(path: Path, signal: Signal, rate_hz: int = RATE_HZ) -> Path:
    """A file of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, rate_hz, subtype="PCM_16")
    return path


def write_song(folder: Path, stems: Mapping[str, Signal]) -> Path:
    """A folder with a WAV file per stem."""
    for name, signal in stems.items():
        write(folder / f"{name}.wav", signal)
    return folder


def band(seed: int, sources: Sequence[str] = SOURCES) -> dict[str, Signal]:
    """Signals of a song's sources, of which the bass is the lowest."""
    return {
        name: (low_noise if name == "bass" else noise)(100 * seed + at)
        for at, name in enumerate(sources)
    }


def write_band(folder: Path, songs: int = 3, **replaced: Signal) -> Path:
    """Songs of a band each, of which some stems may be others."""
    for seed in range(songs):
        write_song(folder / f"Band {seed} - Song", band(seed) | replaced)
    return folder


def found(place: Path, sources: Sequence[str] = SOURCES) -> Found:
    """What lies in a folder."""
    return discover(Storage(str(place)), None, sources=sources)


def decoded(
    place: Path, outputs: Path, songs: Sequence[TrainingSong], config: DecodeConfig
) -> list[Row | TrackError]:
    """Rows of songs."""
    return STEP.run(songs, {}, config, Tools(Storage(str(place)), Storage(str(outputs))))
