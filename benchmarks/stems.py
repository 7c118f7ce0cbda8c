"""What each step from archives of stems to codes costs, per minute of audio, and what it stores.

``python -m benchmarks.stems`` carries the steps out in one process and thread, as a worker
does, over archives of synthesised songs, with a network of EnCodec's published size and random
weights. The cost of a step is that of its rows, per minute of the signals that it reads or
makes, whichever are more: stems for `convert`, contexts and targets for `encode`. `pairs` is
what `encode` costs without the network: stems decoded and stretched, mixed and distorted. A
second target of the same songs costs as much again. One song is taken before, for what is
compiled or loaded once.

What stays on the disk of a song of ten stems with the default options, results and dataset
together, is measured with codes drawn at random, which no file shrinks.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.measure import Figure, cpu_seconds, report
from blocks.storage import Storage
from examples.songs import make_song
from examples.stem_archives import NAMES, write_archive
from examples.voice import RATE_HZ
from flows.prepare_stems_params import PrepareStemsParams
from flows.stems_params import StemsParams
from models import registry
from models.encodec import Encoded
from models.tiny.encodec import published, write
from models.weights import write_manifest
from tasks.corpora import prepared as prepared_table
from tasks.corpora.discover import discover
from tasks.engine.plan import Plan, plan, run_here
from tasks.stems import assemble, encode, prepared_stems
from tasks.stems.chunks import FRAMINGS
from tasks.step import Tools

CODEC = "encodec-32khz"
MOST_SECONDS = {"convert": 1.0, "pairs": 0.4, "encode": 12.0}
"""Of CPU per minute of signal: half as much again as measured, and more where codecs dominate."""

MOST_MB = 100.0
"""On the disk for a song of four minutes and ten stems."""

STEMS = ("guitar", "bass", "drums", "vocals", "piano", "synth", "strings", "flute", "perc", "fx")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    with tempfile.TemporaryDirectory() as folder:
        card, weights = registry.card(CODEC), Path(folder, "models", CODEC)
        weights.mkdir(parents=True)
        write(card, weights, published(card))
        write_manifest(weights, card, revision="random", licence="CC0-1.0")
        measure(Path(folder, "before"), weights.parent, 1, 12.0, seed=100)
        return report(
            [
                *measure(Path(folder, "songs"), weights.parent, options.songs, options.seconds),
                stored(Path(folder, "stored"), weights.parent),
            ]
        )


def measure(folder: Path, weights: Path, songs: int, seconds: float, seed: int = 0) -> list[Figure]:
    source = folder / "archives"
    for number in range(seed, seed + songs):
        song = make_song(number, seconds=seconds)
        write_archive(song, source / f"artist {number}" / f"{number}.zip")
    prepared, stems = prepare(folder, source)
    params = StemsParams(
        instrument="guitar",
        prepared=str(folder / "prepared"),
        models_dir=str(weights),
        augment={"variants": 1},
        assort={"basic": 1, "random": 1},
    )
    made = carried_out(params, prepared_table.songs(stems), params.tools())
    [*_, stage] = params.stages()
    upstream = {step: [row for _, row in made.results.rows(step)] for step in ("augment", "assort")}
    taken = [song for song, _ in made.results.rows("assort")]
    tools = random_codes(replace(params.tools(), outputs=Storage(str(folder / "unused"))))
    bare = cpu_seconds(lambda: encode.STEP.run(taken, upstream, stage.config, tools))
    # A last chunk is shorter than the others: a little less than this.
    encoded = sum(
        row["encoded_signals"] * row["chunk_samples"] / row["sample_rate_hz"] / 60
        for _, row in made.results.rows("encode")
    )
    spent = {
        "convert": (
            sum(seconds_of(prepared, "convert")),
            sum(row["duration_seconds"] for row in stems) / 60,
        ),
        "pairs": (bare, encoded),
        "encode": (sum(seconds_of(made, "encode")), encoded),
    }
    return [
        Figure(f"{step}: {of:.1f} minutes", took / of, "s/min", at_most=MOST_SECONDS[step])
        for step, (took, of) in spent.items()
    ]


def stored(folder: Path, weights: Path, seconds: float = 60.0) -> Figure:
    """Return what stays on the disk of a song, but for the prepared stems, which it is made of."""
    source = folder / "source" / "Artist" / "Song"
    source.mkdir(parents=True)
    signals = [make_song(seed, seconds=seconds).stems[stem] for seed in range(3) for stem in NAMES]
    for name, signal in zip(STEMS, signals, strict=False):
        soundfile.write(source / f"{name}.wav", signal.T, RATE_HZ, subtype="PCM_16")
    _, stems = prepare(folder, folder / "source")
    params = StemsParams(
        instrument="guitar", prepared=str(folder / "prepared"), models_dir=str(weights)
    )
    tools = random_codes(params.tools())
    made = carried_out(params, prepared_table.songs(stems), tools)
    content = assemble.assemble(
        *(made.results, tools, folder / "dataset"),
        instrument=params.instrument,
        split_seed=params.split_seed,
        webdataset=True,
    )
    places = (Storage(str(folder / "dataset")), params.results_place)
    size = sum(sum(place.sizes().values()) for place in places)
    name = f"a song of {len(stems)} stems and {content['counts']['chunks']} chunks"
    return Figure(f"{name}, per 4 minutes", size / 1e6 * 240 / seconds, "MB", at_most=MOST_MB)


def prepare(folder: Path, source: Path) -> tuple[Plan, list[dict[str, Any]]]:
    """Prepare archives, and return the plan and the table of stems."""
    preparing = PrepareStemsParams(source=str(source), output=str(folder / "prepared"))
    found = discover(Storage(str(source)), preparing.results_place)
    prepared = carried_out(preparing, found.songs, preparing.tools())
    stems, failures = prepared_stems.write(prepared.results, found, preparing.prepared)
    if failed := [row for row in failures if not row["in_dataset"]]:
        raise RuntimeError(failed[0]["message"])
    return prepared, stems


class RandomCodes:
    """A codec that costs nothing, of the shape of the 32 kHz EnCodec."""

    sample_rate_hz, channels, codebook_size = 32_000, 1, 2048
    bandwidths_kbps, frame_rate_hz = (2.2,), 50.0

    def codebooks(self, bandwidth_kbps: float | None) -> int:
        """Codebooks of any bandwidth."""
        return 4

    def encode(self, signals: Iterable[np.ndarray], **_: Any) -> Iterator[Encoded]:
        """Yield codes for the frames of each signal."""
        rng = np.random.default_rng(0)
        for signal in signals:
            shape = 4, FRAMINGS[CODEC].frames(signal.shape[1])
            codes = rng.integers(0, self.codebook_size, shape).astype(np.uint16)
            yield Encoded(codes, None, signal.shape[1])

    def decode(self, encoded: Encoded) -> np.ndarray:
        """Return silence."""
        return np.zeros((1, encoded.samples), np.float32)


class RandomCodesTools(Tools):
    """Tools whose only model is that codec."""

    def model(self, name: str, task: Any) -> Any:
        """Return it, whatever is asked for."""
        return RandomCodes()


def random_codes(tools: Tools) -> Tools:
    """Return the same tools with that codec."""
    return RandomCodesTools(tools.source, tools.outputs, weights=tools.weights)


def carried_out(params: PrepareStemsParams | StemsParams, songs: list, tools: Tools) -> Plan:
    """Carry out the plan of a flow in this process, and return it."""
    tables = params.results_place.below("steps")
    made = plan(params.stages(), songs, tables, tools, run_id="benchmark", workers=1)
    run_here(made)
    if failed := list(made.results.failures()):
        raise RuntimeError(f"{failed[0][1]}: {failed[0][2].error}")
    return made


def seconds_of(made: Plan, step: str) -> list[float]:
    """CPU time of each row of a step."""
    return [entry.seconds for entry in made.results.entries(step) if entry]


if __name__ == "__main__":
    sys.exit(main())
