"""Random segments to train a separator on: from our store, and from musdb's own loop.

``python -m benchmarks.separator_data`` writes two songs of four minutes, as MUSDB18 has them
(``.stem.mp4``), decodes them once to the store, and counts segments of two seconds, mixture
and four sources, per second of CPU time (of this process and of those it starts), in mono and
in stereo: of the training's loader in batches of 16, with the augmentation that is the default
and with none; of musdb's chunks, by whichever of its two ways is the faster; and, for the
ratio, of FLAC files opened anew for every segment by soundfile and by librosa.

musdb comes with museval, and reads by the programs ffmpeg and ffprobe, which are no dependency
of the project (``apt-get install ffmpeg``): without them its floors fail, and a line says so.

Exits 1 if the store is not at least 1,000 times as fast as musdb, or if loading a batch takes
more than 5 % of the step of the smallest network that is trained on it.
"""

import argparse
import math
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Figure, interleaved, report
from blocks.storage import Storage
from examples.clip_corpora import write_stem_mp4
from examples.songs import make_song, write_audio
from models.unet1d.model import UNet1D, apply_masks
from tasks import audio
from tasks.separator.segments import SegmentConfig, Segments
from tasks.separator.store import FULL_SCALE, WINDOW_SECONDS, Store, StoredSong, read, write_index
from tasks.training.data import Batches, loader

RATE_HZ = 44_100
SECONDS = 2.0
SOURCES = ("drums", "bass", "other", "vocals")
"""As MUSDB18's streams have them, after the mixture."""
STEMS = ("drums", "bass", "chords", "vocals")
"""What of a synthesised song each is."""

PEER = "musdb"
MIN_SPEED = 1_000.0
MAX_SHARE = 0.05
SEGMENTS = 4_000
PLAIN = SegmentConfig(
    seconds=SECONDS, min_gain=1.0, max_gain=1.0, swap_rate=0, polarity_rate=0, remix="none"
)
AUGMENTED = SegmentConfig(seconds=SECONDS)


def write_songs(folder: Path, count: int, seconds: float) -> None:
    """Write songs as MUSDB18 has them, and their stems as FLAC."""
    for number in range(count):
        song = make_song(number, seconds=seconds)
        stems = [song.stems[name] for name in STEMS]
        write_stem_mp4(folder / "train" / f"Artist {number} - Song.stem.mp4", [song.mix, *stems])
        for source, stem in zip(SOURCES, stems, strict=True):
            place = folder / "flac" / str(number) / f"{source}.flac"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_audio(place, stem)


def write_store(folder: Path, channels: int) -> Store:
    """Decode the songs to a store."""
    place = Storage(str(folder))
    songs = []
    for path in sorted((folder / "train").iterdir()):
        name = f"train/{path.name}"
        planes = np.stack(
            [
                audio.load(place, name, rate_hz=RATE_HZ, channels=channels, audio_stream=at)
                for at in range(1, 1 + len(SOURCES))
            ]
        ).transpose(0, 2, 1)
        integers = (planes * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
        stored = f"{path.stem}.{channels}"
        integers.tofile(folder / stored)
        frames = planes.shape[1]
        window = round(WINDOW_SECONDS * RATE_HZ)
        active = tuple(
            "".join(str(int(plane[at : at + window].any())) for at in range(0, frames, window))
            for plane in integers
        )
        songs.append(StoredSong(path.stem, "", "", "", "train", stored, frames, 0.0, active))
    write_index(
        place,
        f"{channels}",
        sample_rate_hz=RATE_HZ,
        channels=channels,
        sources=SOURCES,
        has_mixture=False,
        songs=songs,
    )
    return read(str(folder / f"{channels}.json"))


def batches(store: Store, config: SegmentConfig, size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches as the loop of trainings gets them."""
    data = Segments(store, store.songs, config, size)
    numbers = Batches(len(data), size, accumulation=1, processes=1, seed=0)
    return iter(
        loader(
            data,
            numbers,
            first_step=0,
            rank=0,
            num_workers=0,
            pin_memory=False,
            collate=None,
        )
    )


def per_second(segment: Callable[[], Any], count: int) -> float:
    """Segments per second of CPU time, of this process and of those that it starts."""
    segment()
    before = _cpu_seconds()
    for _ in range(count):
        segment()
    return count / (_cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peers(folder: Path, channels: int) -> dict[str, Callable[[], Any]]:
    """Return what gives one random segment, by name."""
    import librosa
    import soundfile

    draw = random.Random(1)
    songs = sorted((folder / "flac").iterdir())
    length = round(SECONDS * RATE_HZ)
    seconds = soundfile.info(songs[0] / "bass.flac").duration

    def finish(stems: Any) -> tuple[Any, Any]:
        targets = np.ascontiguousarray(np.swapaxes(np.asarray(stems), 1, 2), np.float32)
        if channels == 1:
            targets = targets.mean(1, keepdims=True)
        return targets.sum(0), targets

    def by_soundfile() -> Any:
        song, start = draw.choice(songs), int(draw.uniform(0, seconds - SECONDS) * RATE_HZ)
        return finish(
            [
                soundfile.read(song / f"{source}.flac", length, start, dtype="float32")[0]
                for source in SOURCES
            ]
        )

    def by_librosa() -> Any:
        song, start = draw.choice(songs), draw.uniform(0, seconds - SECONDS)
        options = {"sr": None, "mono": False, "offset": start, "duration": SECONDS}
        return finish([librosa.load(song / f"{source}.flac", **options)[0].T for source in SOURCES])

    found = {"soundfile": by_soundfile, "librosa": by_librosa}
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        print("ffmpeg and ffprobe are not installed, which musdb reads by: not compared with it")
        return found
    try:
        import musdb
    except ImportError:
        print("musdb is not installed (it comes with museval): not compared with it")
        return found
    tracks = list(musdb.DB(root=str(folder), subsets=["train"], is_wav=False))

    def chunk() -> Any:
        track = draw.choice(tracks)
        track.chunk_duration = SECONDS
        track.chunk_start = draw.uniform(0, track.duration - SECONDS)
        return track

    def by_musdb_stems() -> Any:
        return finish(chunk().stems[1:])

    def by_musdb_sources() -> Any:
        track = chunk()
        return finish([track.sources[source].audio for source in SOURCES])

    return found | {f"{PEER}, stems": by_musdb_stems, f"{PEER}, sources": by_musdb_sources}


def compared(folder: Path, channels: int, count: int) -> list[Figure]:
    """Segments per CPU second of all ways, and ours over each."""
    said = "stereo" if channels == 2 else "mono"
    store = write_store(folder, channels)
    figures = []
    ours = math.inf
    for name, config in (("augmented", AUGMENTED), ("plain", PLAIN)):
        parts = batches(store, config, 16)
        rate = 16 * per_second(lambda: next(parts), SEGMENTS // 16)  # noqa: B023
        ours = min(ours, rate)
        figures.append(Figure(f"{said}: songmill, {name}", rate, "/s"))
    rates = {
        name: per_second(each, count * (1 if name.startswith(PEER) else 10))
        for name, each in peers(folder, channels).items()
    }
    figures += [Figure(f"{said}: {name}", rate, "/s") for name, rate in rates.items()]
    musdb = [rate for name, rate in rates.items() if name.startswith(PEER)]
    figures += [
        Figure(f"{said}: times as fast as {name}", ours / rates[name])
        for name in ("soundfile", "librosa")
    ]
    return [
        *figures,
        Figure(
            f"{said}: times as fast as musdb",
            ours / max(musdb) if musdb else math.nan,
            at_least=MIN_SPEED,
        ),
    ]


def share_of_step(folder: Path) -> list[Figure]:
    """Return how long a batch of 2 x 2 s takes to load, beside a step on it."""
    parts = batches(read(str(folder / "1.json")), AUGMENTED, 2)
    module = UNet1D(len(SOURCES))
    optimizer = torch.optim.AdamW(module.parameters())
    fixed = {name: value.clone() for name, value in next(parts).items()}

    def step() -> None:
        estimates = apply_masks(fixed["mixture"], module(fixed["mixture"]))
        (estimates - fixed["targets"]).abs().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = interleaved({"batch": lambda: next(parts), "step": step}, rounds=15)
    return [
        Figure("batch of 2: loading", 1_000 * seconds["batch"], "ms"),
        Figure("batch of 2: step", 1_000 * seconds["step"], "ms"),
        Figure("loading, share of a step", seconds["batch"] / seconds["step"], at_most=MAX_SHARE),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--songs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=240.0, help="length of a song")
    parser.add_argument(
        "--count", type=int, default=12, help="segments of musdb; of others tenfold"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_songs(folder, options.songs, options.seconds)
        figures = [
            figure for channels in (1, 2) for figure in compared(folder, channels, options.count)
        ]
        figures += share_of_step(folder)
    return report(figures)


if __name__ == "__main__":
    sys.exit(main())
