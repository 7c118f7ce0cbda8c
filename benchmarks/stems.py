"""What each step from archives of stems to codes costs, per minute of audio.

``python -m benchmarks.stems`` carries the steps out in one process and thread, as a worker
does, over archives of synthesised songs, with a network of EnCodec's published size and random
weights. The cost of a step is that of its rows, per minute of the signals that it reads or
makes, whichever are more: stems for `convert` and `augment`, contexts for `distort`, contexts
and targets for `encode`. One song is taken before, for what is compiled or loaded once.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import Figure, report
from blocks.storage import Storage
from examples.songs import make_song
from examples.stem_archives import write_archive
from flows.prepare_stems_params import PrepareStemsParams
from flows.stems_params import StemsParams
from models import registry
from models.tiny.encodec import published, write
from models.weights import write_manifest
from tasks.corpora import prepared as prepared_table
from tasks.corpora.discover import discover
from tasks.engine.plan import Plan, plan, run_here
from tasks.stems import prepared_stems

CODEC = "encodec-32khz"
MOST_SECONDS = {"convert": 1.0, "augment": 0.6, "distort": 0.3, "encode": 8.0}
"""Of CPU per minute of signal: half as much again as measured, and more where codecs dominate."""


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
            measure(Path(folder, "songs"), weights.parent, options.songs, options.seconds)
        )


def measure(folder: Path, weights: Path, songs: int, seconds: float, seed: int = 0) -> list[Figure]:
    source = folder / "archives"
    for number in range(seed, seed + songs):
        song = make_song(number, seconds=seconds)
        write_archive(song, source / f"artist {number}" / f"{number}.zip")
    preparing = PrepareStemsParams(source=str(source), output=str(folder / "prepared"))
    found = discover(Storage(str(source)), preparing.results_place)
    prepared = carried_out(preparing, found.songs)
    stems, failures = prepared_stems.write(prepared.results, found, preparing.prepared)
    if failures:
        raise RuntimeError(f"{len(failures)} files failed")
    params = StemsParams(
        instrument="guitar",
        prepared=preparing.output,
        models_dir=str(weights),
        augment={"variants": 1},
        assort={"basic": 1, "random": 1},
    )
    made = carried_out(params, prepared_table.songs(stems))
    stem_minutes = sum(row["duration_seconds"] for row in stems) / 60
    augmented = [
        (len(song.stems), variant["samples"])
        for song, row in rows(made, "augment")
        for variant in row["variants"]
    ]
    pairs = [pair for _, row in rows(made, "distort") for pair in row["pairs"]]
    encoded = [
        row["encoded_signals"] * row["chunk_samples"] / row["sample_rate_hz"]
        for _, row in rows(made, "encode")
    ]
    minutes = {
        "convert": stem_minutes,
        "augment": sum(count * samples for count, samples in augmented) / 32_000 / 60,
        "distort": 2 * sum(pair["samples"] for pair in pairs) / 32_000 / 60,
        # A last chunk is shorter than the others: a little less than this.
        "encode": sum(encoded) / 60,
    }
    return [
        Figure(f"{step}: {of:.1f} minutes", spent / of, "s/min", at_most=MOST_SECONDS[step])
        for step, of in minutes.items()
        for spent in [sum(seconds_of(made if step in made.results.keys else prepared, step))]
    ]


def carried_out(params: PrepareStemsParams | StemsParams, songs: list) -> Plan:
    """Carry out the plan of a flow in this process, and return it."""
    tables = params.results_place.below("steps")
    made = plan(params.stages(), songs, tables, params.tools(), run_id="benchmark", workers=1)
    run_here(made)
    if failed := list(made.results.failures()):
        raise RuntimeError(f"{failed[0][1]}: {failed[0][2].error}")
    return made


def rows(made: Plan, step: str) -> list[tuple]:
    """Songs with their rows of a step."""
    return list(made.results.rows(step))


def seconds_of(made: Plan, step: str) -> list[float]:
    """CPU time of each row of a step."""
    return [entry.seconds for entry in made.results.entries(step) if entry]


if __name__ == "__main__":
    sys.exit(main())
