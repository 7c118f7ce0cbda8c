"""Pairs to codes, against ``transformers.EncodecModel.encode`` one chunk at a time.

``python -m benchmarks.stem_encoding`` writes a network of the published size with random
weights and the stems of one synthesised song, mixes and encodes their pairs by the step
`encode`, and encodes the same chunks of the same signals by the library, as its documentation
shows it: file by file, chunk by chunk. Both in turns, in one process and thread. It fails if
the step is slower, or a single code is another one.

The stem of a target is in all of its pairs, and the step encodes it once; so does the library
here, for the speed per signal to be compared.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import soxr
import torch
from transformers import EncodecModel

from benchmarks.measure import Figure, cpu_seconds, report
from blocks.storage import Storage
from examples.songs import make_song
from models import registry
from models.tiny.encodec import published, write
from models.weights import write_manifest
from tasks.audio import write_flac
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.stems.augment import AugmentConfig, variant_of
from tasks.stems.distort import DistortConfig
from tasks.stems.encode import STEP, PairsConfig
from tasks.stems.render import render
from tasks.stems.schema import CONTEXTS, Signal, to_numpy
from tasks.step import Row, Tools
from tasks.weights import Weights

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
CODEC = "encodec-32khz"
RATE_HZ = 32_000
CONFIG = PairsConfig(distortion=DistortConfig(probability=0, noise_probability=0))
CHUNKS = 2
CHUNK_SAMPLES = CONFIG.encoding.cutting.chunk_samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(Path(folder), options))


def measure(folder: Path, options: argparse.Namespace) -> list[Figure]:
    card, weights = registry.card(CODEC), folder / "models"
    (weights / CODEC).mkdir(parents=True)
    write(card, weights / CODEC, published(card))
    write_manifest(weights / CODEC, card, revision="random", licence="CC0-1.0")
    storage = Storage(str(folder))
    tools = Tools(storage, storage, options.device, weights=Weights(str(weights)))
    song, upstream = make_pairs(storage, options.pairs)
    model = EncodecModel.from_pretrained(weights / CODEC).to(options.device).eval()
    rows: list[Row] = []

    def ours() -> None:
        [row] = STEP.run([song], upstream, CONFIG, tools)
        assert isinstance(row, dict)
        rows.append(row)

    @torch.inference_mode()
    def library(signal: Float32) -> list[npt.NDArray[np.int64]]:
        chunks = [
            signal[:, start : start + CHUNK_SAMPLES]
            for start in range(0, signal.shape[1], CHUNK_SAMPLES)
        ]
        return [
            model.encode(torch.from_numpy(chunk[None]).to(options.device))
            .audio_codes[0, 0]
            .cpu()
            .numpy()
            for chunk in chunks
        ]

    ours()  # loads the network
    form = AugmentConfig(sample_rate_hz=RATE_HZ, channels=1)
    signals: dict[tuple[str, Signal], Float32] = {}
    for pair in rows[0]["pairs"]:
        for name, signal in render(pair, song, tools, form).items():
            # One target, one signal: it is encoded once.
            signals["" if name == "stem" else pair["pair_id"], name] = signal
    expected = {of: library(signal) for of, signal in signals.items()}
    taken: dict[str, list[float]] = {"ours": [], "library": []}
    for _ in range(options.rounds):
        taken["ours"].append(cpu_seconds(ours))
        taken["library"].append(cpu_seconds(lambda: [library(each) for each in signals.values()]))
    cost = {who: statistics.median(each) for who, each in taken.items()}
    assert rows[-1]["encoded_signals"] == CHUNKS * len(signals)
    minutes = CHUNKS * len(signals) * CHUNK_SAMPLES / RATE_HZ / 60
    return [
        Figure("transformers, chunk by chunk", 1000 * cost["library"] / minutes, "ms/min"),
        Figure("the step, per signal", 1000 * cost["ours"] / minutes, "ms/min"),
        Figure("per signal, speed", cost["library"] / cost["ours"], "x", at_least=FLOOR),
        Figure("same codes", 100 * same(folder, rows[-1], expected), "%", 100.0),
    ]


def make_pairs(storage: Storage, count: int) -> tuple[PreparedSong, dict[str, list[Row]]]:
    """Return a song of a target and as many others, and rows that pair it with each of them."""
    samples = CHUNKS * CHUNK_SAMPLES
    stems = []
    for number in range(1 + count):
        mix = make_song(number, seconds=30.0).mix.mean(axis=0)
        signal = 0.25 * soxr.resample(mix, 44_100, RATE_HZ)[:samples]
        write_flac(storage, f"{number}.flac", signal[None].astype(np.float32), RATE_HZ)
        instrument = "bass" if number else "guitar"
        stems.append(
            PreparedStem(f"{number}", instrument, instrument, f"{number}.flac", samples / RATE_HZ)
        )
    song = PreparedSong("song", "song", stems=stems)
    variant = variant_of(song, 0, 0.0, 1.0, RATE_HZ) | {"gain_db": 0.0}
    assortments = [
        {"target": "0", "companions": [stem.stem_id], "kind": "basic"} for stem in stems[1:]
    ]
    return song, {
        "augment": [{"variants": [variant], "sample_rate_hz": RATE_HZ, "channels": 1}],
        "assort": [{"assortments": assortments}],
    }


def same(
    folder: Path, row: Row, expected: dict[tuple[str, Signal], list[npt.NDArray[np.int64]]]
) -> float:
    """Share of codes that are the library's."""
    table = pq.read_table(folder / row["codes_path"])
    places = list(zip(table["pair_id"].to_pylist(), table["chunk"].to_pylist(), strict=True))
    equal = []
    for signal in ("stem", *CONTEXTS):
        codes = to_numpy(table[f"codes_{signal}"].combine_chunks())
        theirs = [
            expected["" if signal == "stem" else pair_id, signal][chunk]
            for pair_id, chunk in places
        ]
        equal.append(np.mean(codes == np.stack(theirs)))
    return float(np.mean(equal))


if __name__ == "__main__":
    sys.exit(main())
