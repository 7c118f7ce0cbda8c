"""Decoded songs, as the step decode leaves them, of signals that are known."""

from pathlib import Path

import numpy as np

from blocks.storage import Storage
from tasks.separator.training_song import TrainingSong
from tasks.step import Row, Tools
from tasks.weights import Weights

RATE_HZ = 8_000


def sources(seconds: float = 8.0, seed: int = 1) -> np.ndarray:
    """Voice-like, clicking, low and noisy sources, int16 of shape ``(4, samples, 2)``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    vocals = np.sin(2 * np.pi * 440 * time + 3 * np.sin(2 * np.pi * 5 * time))
    drums = rng.standard_normal(len(time)) * np.exp(-8 * (time % 0.5))
    bass = np.sin(2 * np.pi * 60 * time)
    other = np.sin(2 * np.pi * 1_500 * time) * np.sin(2 * np.pi * time)
    mono = 0.15 * np.stack([vocals, drums, bass, other])
    stereo = np.stack([mono, 0.7 * mono + 0.001 * rng.standard_normal(mono.shape)], axis=2)
    return np.round(stereo * 32_768).astype(np.int16)


def store(folder: Path, planes: np.ndarray, name: str = "song") -> tuple[TrainingSong, Row, Tools]:
    """Store planes; returns the song, its row of decode, and tools that find it."""
    outputs = Storage(str(folder / "outputs"))
    path = f"decoded/{name}.i16"
    outputs.write_bytes(path, planes.astype("<i2").tobytes())
    song = TrainingSong(track_id=f"{name}-id", path=f"songs/{name}", artist="A", title=name)
    row = {"path": path, "frames": planes.shape[1], "channels": planes.shape[2]}
    tools = Tools(Storage(str(folder)), outputs, weights=Weights(str(folder / "models")))
    return song, row, tools
