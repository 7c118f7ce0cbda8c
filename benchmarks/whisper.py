"""Whisper: the adapter against faster-whisper's ``transcribe`` of one file after the other.

``python -m benchmarks.whisper`` transcribes the vocals of synthesised songs with both, in
turns, in one process, with one thread each. The weights are random, of the size of the published
``whisper-tiny``, and shaped so that every window of 30 s gives some 70 tokens and then ends.
The library is called as documented for words with times, with the same precision and voice
activity detector. It neither samples nor sees the text before, both of which would only cost it
more. Exits 1 if the adapter is slower, or if the work is not the same.

Then it counts the calls of the network for :data:`TRACKS` short songs, one after the other as on a
processor and with their windows in the same batches as on a GPU, both on ``--device``. Exits 1
if there are more than a quarter of the calls, if texts differ, or if that takes more CPU time.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import soxr
from faster_whisper import WhisperModel

from benchmarks.measure import Figure, interleaved, report
from examples.songs import RATE_HZ, make_song
from models import registry, whisper, whisper_windows
from models.tiny.whisper import published, write

Samples = npt.NDArray[np.float32]

MIN_SPEED = 1.0
MAX_MORE_TOKENS = 0.1

TRACKS = 8
TRACK_SECONDS = 20.0
MAX_CALLS = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--songs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    songs = [vocals(seed, options.seconds) for seed in range(options.songs)]
    minutes = sum(map(len, songs)) / whisper.RATE_HZ / 60
    with tempfile.TemporaryDirectory() as folder:
        card = registry.card("whisper-tiny")
        write(card, Path(folder), published(card))
        adapter = whisper.load(card, options.device, Path(folder))
        model = WhisperModel(
            folder,
            device=options.device,
            compute_type=whisper.COMPUTE_TYPES[options.device],
            cpu_threads=1,
            local_files_only=True,
        )
        library = partial(one_by_one, model, songs)
        ours = partial(adapted, adapter, songs)
        calls: dict[str, Callable[[], Any]] = {"faster-whisper": library, "songmill": ours}
        seconds = (timed if options.device == "cuda" else interleaved)(calls, options.repeats)
        characters = {name: sum(map(len, call())) for name, call in calls.items()}
        together = joined(adapter, options.repeats)
    more = abs(characters["faster-whisper"] / characters["songmill"] - 1)
    speed = seconds["faster-whisper"] / seconds["songmill"]
    costs = [Figure(name, 1000 * taken / minutes, "ms/min") for name, taken in seconds.items()]
    return report(
        [
            *costs,
            Figure("speed of songmill", speed, "x", at_least=MIN_SPEED),
            Figure("difference in the length of the text", more, at_most=MAX_MORE_TOKENS),
            *together,
        ]
    )


def joined(adapter: whisper.WhisperAdapter, repeats: int) -> list[Figure]:
    """Count what it saves that windows of several songs share batches."""
    songs = [adapter.prepare(vocals(seed, TRACK_SECONDS)) for seed in range(TRACKS)]
    adapters = {
        "alone": whisper.WhisperAdapter(adapter._model, "cpu"),
        "joined": whisper.WhisperAdapter(adapter._model, "cuda"),
    }
    variants = {
        name: partial(lambda each: list(each.transcribe_together(songs)), each)
        for name, each in adapters.items()
    }
    counts, texts = {}, {}
    for name, call in variants.items():
        with counted() as counts[name]:
            texts[name] = [[segment.text for segment in each.segments] for each in call()]
    differ = sum(one != other for one, other in zip(*texts.values(), strict=True))
    seconds = interleaved(variants, repeats)
    calls = [
        Figure(f"calls of {what}, {TRACKS} songs {name}", count)
        for name, counter in counts.items()
        for what, count in counter.items()
    ]
    most = max(counts["joined"][what] / counts["alone"][what] for what in counts["alone"])
    return [
        *calls,
        Figure("calls of joined songs", most, "x", at_most=MAX_CALLS),
        Figure("joined songs whose texts differ", differ, at_most=0),
        Figure("speed of joined songs", seconds["alone"] / seconds["joined"], "x", at_least=1.0),
    ]


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls of the encoder and of the decoder within the block."""
    calls: Counter[str] = Counter()
    original = {name: getattr(whisper.Model, name) for name in ("encode", "decode")}

    def counting(model: whisper.Model, name: str, *arguments: Any) -> Any:
        calls[name] += 1
        return original[name](model, *arguments)

    with ExitStack() as stack:
        for name in original:
            method = partialmethod(counting, name)
            stack.enter_context(patch.object(whisper.Model, name, method))
        yield calls


def vocals(seed: int, seconds: float) -> Samples:
    """Vocals of a song, mono at 16 kHz."""
    stem = make_song(seed, seconds=seconds).stems["vocals"].mean(axis=0)
    return soxr.resample(stem, RATE_HZ, whisper.RATE_HZ).astype(np.float32)


def adapted(adapter: whisper.WhisperAdapter, songs: list[Samples]) -> list[str]:
    """Texts by the adapter."""
    transcripts = [adapter.transcribe(song) for song in songs]
    return ["".join(segment.text for segment in each.segments) for each in transcripts]


def one_by_one(model: WhisperModel, songs: list[Samples]) -> list[str]:
    """Texts by the library."""
    texts = []
    for song in songs:
        segments, _ = model.transcribe(
            song,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters=dict(whisper_windows.VAD_OPTIONS),
            temperature=0.0,
            condition_on_previous_text=False,
        )
        texts.append("".join(segment.text.strip() for segment in segments))
    return texts


def timed(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds by the clock, which a GPU takes and the processor's time does not show."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(1 + repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_:
                taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
