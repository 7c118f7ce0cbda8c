"""Embeddings of sound and captions that need no weights: what they cost, and how well they tell.

``python -m benchmarks.embed`` describes synthesised songs by the step ``mel``, and fails below its
floors: a minute of audio takes 0.5 s of a processor at most, decoding included; the same songs
quieter, as MP3, are nearer to themselves than to others; and hashing captions takes 1 ms each.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Figure, cpu_seconds, report
from blocks.storage import Storage
from examples.songs import make_song, write_song
from models.hashed_ngrams import HashedNgrams
from tasks import audio
from tasks.embed.items import Item, ItemTools
from tasks.embed.mel import STEP, MelConfig

SONGS = 12
SECONDS = 30.0
ROUNDS = 5
CAPTIONS = 2_000

MAX_CPU_SECONDS = 0.5
MAX_CAPTION_MS = 1.0
MIN_FOUND = 1.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        songs = [make_song(seed, seconds=SECONDS) for seed in range(SONGS)]
        for seed, song in enumerate(songs):
            write_song(song, place, f"song-{seed}", format="flac")
            quieter = np.ascontiguousarray(0.3 * song.mix.mean(axis=0, keepdims=True))
            (place / f"copy-{seed}.mp3").write_bytes(audio.mp3(quieter, 44_100))
        tools = ItemTools(Storage(folder), Storage(folder))
        items = [Item(f"s{seed}", f"song-{seed}.flac") for seed in range(SONGS)]
        copies = [Item(f"c{seed}", f"copy-{seed}.mp3") for seed in range(SONGS)]

        def embed(these: list[Item]) -> npt.NDArray[np.float32]:
            return np.stack([row["embedding"] for row in STEP.run(these, {}, MelConfig(), tools)])

        found, again = embed(items), embed(copies)  # and warm up
        taken = statistics.median(cpu_seconds(lambda: embed(items)) for _ in range(ROUNDS))
    minutes = sum(song.duration_seconds for song in songs) / 60
    captions = [f"A song number {number} with guitar and drums" for number in range(CAPTIONS)]
    hashing = cpu_seconds(lambda: list(HashedNgrams().embed_text(captions)))
    return report(
        [
            Figure("mel, per minute of audio", taken / minutes, "CPU s", at_most=MAX_CPU_SECONDS),
            Figure("copies found", share_found(found, again), at_least=MIN_FOUND),
            Figure(
                "hashed n-grams, per caption",
                1e3 * hashing / CAPTIONS,
                "ms",
                at_most=MAX_CAPTION_MS,
            ),
        ]
    )


def share_found(found: npt.NDArray[np.float32], again: npt.NDArray[np.float32]) -> float:
    """Share of copies whose nearest song is theirs."""
    distances = np.linalg.norm(again[:, None] - found[None], axis=2)
    return float((distances.argmin(axis=1) == np.arange(len(found))).mean())


if __name__ == "__main__":
    sys.exit(main())
