"""Pairs to codes, against ``transformers.EncodecModel.encode`` one chunk at a time.

``python -m benchmarks.stem_encoding`` writes a network of the published size with random
weights and pairs of one synthesised song as FLAC, encodes them by the step `encode`, and
encodes the same chunks of the same files by the library, as its documentation shows it: file
by file, chunk by chunk. Both in turns, in one process and thread. It fails if the step is
slower, or a single code is another one.

The stem of a target is in all of its pairs, and the step encodes it once; so does the library
here, for the speed per signal to be compared.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import soundfile
import soxr
import torch
from transformers import EncodecModel

from benchmarks.measure import Figure, cpu_seconds, report
from blocks.storage import Storage
from examples.songs import make_song
from models import registry
from models.tiny.encodec import published, write
from models.weights import write_manifest
from tasks.stems.encode import STEP, EncodeConfig
from tasks.stems.schema import to_numpy
from tasks.step import Row, Tools
from tasks.track import Track
from tasks.weights import Weights

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
CODEC = "encodec-32khz"
RATE_HZ = 32_000


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
    pairs, seconds = make_pairs(folder, options.pairs)
    chunk_seconds = EncodeConfig().chunk_frames * 640 / RATE_HZ
    model = EncodecModel.from_pretrained(weights / CODEC).to(options.device).eval()
    rows: list[Row] = []

    def ours() -> None:
        upstream = {"pairs": pairs, "sample_rate_hz": RATE_HZ, "channels": 1}
        [row] = STEP.run([Track("song", "song")], {"distort": [upstream]}, EncodeConfig(), tools)
        assert isinstance(row, dict)
        rows.append(row)

    @torch.inference_mode()
    def library(name: str) -> list[npt.NDArray[np.int64]]:
        audio, _ = soundfile.read(folder / name, dtype="float32")
        length = round(chunk_seconds * RATE_HZ)
        chunks = [audio[start : start + length] for start in range(0, len(audio), length)]
        return [
            model.encode(torch.from_numpy(chunk[None, None]).to(options.device))
            .audio_codes[0, 0]
            .cpu()
            .numpy()
            for chunk in chunks
        ]

    names = [pairs[0]["stem_path"]] + [
        pair[f"{context}_path"] for pair in pairs for context in ("all", "all_without")
    ]
    ours()  # loads the network
    expected = {name: library(name) for name in names}
    taken: dict[str, list[float]] = {"ours": [], "library": []}
    for _ in range(options.rounds):
        taken["ours"].append(cpu_seconds(ours))
        taken["library"].append(cpu_seconds(lambda: [library(name) for name in names]))
    cost = {who: statistics.median(each) for who, each in taken.items()}
    minutes = rows[-1]["encoded_signals"] * chunk_seconds / 60
    assert minutes == len(names) * seconds / 60
    per_minute = cost["ours"] / minutes
    return [
        Figure("transformers, chunk by chunk", 1000 * cost["library"] / minutes, "ms/min"),
        Figure("the step, per signal", 1000 * per_minute, "ms/min"),
        Figure("per signal, speed", cost["library"] / cost["ours"], "x", at_least=FLOOR),
        Figure("same codes", 100 * same(folder, rows[-1], pairs, expected), "%", 100.0),
    ]


def make_pairs(folder: Path, count: int) -> tuple[list[dict[str, Any]], float]:
    """Pairs of one target whose contexts differ, of two whole chunks each."""
    seconds = 2 * EncodeConfig().chunk_frames * 640 / RATE_HZ

    def file(name: str, signal: Float32) -> str:
        soundfile.write(folder / name, np.clip(signal, -1, 1), RATE_HZ, subtype="PCM_16")
        return name

    stem, *others = (
        0.5
        * soxr.resample(make_song(seed, seconds=30.0).mix.mean(axis=0), 44_100, RATE_HZ)[
            : round(seconds * RATE_HZ)
        ]
        for seed in range(1 + count)
    )
    pairs = [
        {
            "pair_id": f"pair{number}",
            "gain_db": 0.0,
            "stem_path": file("stem.flac", stem),
            "all_path": file(f"all{number}.flac", stem + other),
            "all_without_path": file(f"without{number}.flac", other),
            "samples": len(stem),
        }
        for number, other in enumerate(others)
    ]
    return pairs, seconds


def same(
    folder: Path,
    row: Row,
    pairs: list[dict[str, Any]],
    expected: dict[str, list[npt.NDArray[np.int64]]],
) -> float:
    """Share of codes that are the library's."""
    table = pq.read_table(folder / row["codes_path"])
    equal = []
    for signal in ("stem", "all", "all_without"):
        codes = to_numpy(table[f"codes_{signal}"].combine_chunks())
        theirs = [each for pair in pairs for each in expected[pair[f"{signal}_path"]]]
        equal.append(np.mean(codes == np.stack(theirs)))
    return float(np.mean(equal))


if __name__ == "__main__":
    sys.exit(main())
