"""A store of songs that are made of tones and noise, small enough to train on in a second."""

from pathlib import Path

import numpy as np

from blocks.storage import Storage
from tasks.separator.store import FULL_SCALE, WINDOW_SECONDS, StoredSong, write_index

RATE_HZ = 8_000
SECONDS = 4.0
SOURCES = ("vocals", "other")


def small_store(folder: Path, songs: int = 4, channels: int = 1) -> str:
    """Write a store; return the address of its index. The last song is to validate on.

    The first source is a tone of some height, the second noise, by turns, which masks over time
    tell apart; in the second song each sounds in one half only.
    """
    rng = np.random.default_rng(7)
    frames = round(SECONDS * RATE_HZ)
    seconds = np.arange(frames) / RATE_HZ
    windows = round(SECONDS / WINDOW_SECONDS)
    stored = []
    for number in range(songs):
        tone = 0.3 * np.sin(2 * np.pi * (220 + 55 * number) * seconds)
        noise = 0.2 * rng.standard_normal(frames)
        turns = np.sin(2 * np.pi * 8 * seconds) > 0
        tone, noise = tone * turns, noise * ~turns
        active = ["1" * windows, "1" * windows]
        if number == 1:
            tone[frames // 2 :], noise[: frames // 2] = 0, 0
            active = ["1" * (windows // 2) + "0" * (windows // 2)]
            active.append(active[0][::-1])
        planes = np.stack([tone, noise])[..., None].repeat(channels, -1)
        folder.mkdir(parents=True, exist_ok=True)
        samples = np.round(planes.clip(-1, 1 - 1 / FULL_SCALE) * FULL_SCALE).astype("<i2")
        samples.tofile(folder / f"{number}.i16")
        stored.append(
            StoredSong(
                track_id=f"song{number}",
                title=f"Song <{number}>",
                artist="",
                group=f"group{number}",
                split="validation" if number == songs - 1 else "train",
                path=f"{number}.i16",
                frames=frames,
                active=tuple(active),
            )
        )
    write_index(
        Storage(str(folder)),
        "index",
        sample_rate_hz=RATE_HZ,
        channels=channels,
        sources=SOURCES,
        has_mixture=False,
        songs=stored,
    )
    return str(folder / "index.json")
