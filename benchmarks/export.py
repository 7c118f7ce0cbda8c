"""Exports of a million songs without audio: rows per second, memory, and how fast SQL chooses.

``python -m benchmarks.export`` writes the tables of a dataset of songs as a build would have left
them (four segments a song; embeddings, lyrics' words and what else is long are null), asks for
rows of it, and exports all of them to WebDataset and to Parquet for the Hugging Face hub, each in a
process of its own, as one worker does it.
"""

import argparse
import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Figure, report
from blocks.storage import Storage
from flows import export
from flows.export_params import ExportParams, TargetName
from tasks.dataset.manifest import write_manifest
from tasks.dataset.query import open_tables
from tasks.dataset.selection import Choice, select
from tasks.engine.plan import plan, run_here
from tasks.song import schema

SEGMENTS = 4
GROUP_ROWS = 10_000
WHERE = "tempo BETWEEN 90 AND 130 AND NOT is_instrumental AND clipped_ratio < 0.001"
GENRES = ("Rock", "Folk", "Jazz", "Electronic")
SPLITS = (*("train",) * 8, "validation", "test")
MOST_SECONDS = 2.0
MOST_MEMORY_GB = 2.0
LEAST_ROWS_PER_SECOND = 5_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "songs")
        fill(folder, options.rows)
        tables = open_tables(folder)
        count, counted = timed(lambda: tables.count(WHERE))
        chosen, selected = timed(lambda: select(tables, Choice(where=WHERE)))
        assert chosen.rows.num_rows == count
        figures = [
            Figure("rows", options.rows),
            Figure("rows that --where chooses", count),
            Figure("to count them", counted, "s", at_most=MOST_SECONDS),
            Figure("to select them, splits checked, values digested", selected, "s"),
        ]
        for target in ("webdataset", "hf"):
            figures += exported(folder, target, options.rows)
    return report(figures)


def exported(folder: Path, target: TargetName, rows: int) -> list[Figure]:
    """Figures of an export in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        seconds, memory_gb = pool.apply(run, (folder, target))
    return [
        Figure(f"{target}: rows", rows / seconds, "1/s", at_least=LEAST_ROWS_PER_SECOND),
        Figure(f"{target}: most memory", memory_gb, "GB", at_most=MOST_MEMORY_GB),
    ]


def run(folder: Path, target: TargetName) -> tuple[float, float]:
    """Export all rows here; returns seconds, and the most memory of this process in GB."""
    start = time.perf_counter()
    output = folder.parent / target
    params = ExportParams(dataset=str(folder), to=target, output=str(output), audio="none")
    survey = export.survey(params, export.check(params))
    tables = params.results_place.below("steps")
    made = plan(params.stages(), survey.tracks, tables, params.tools(), run_id="", workers=1)
    run_here(made)
    content = export.conclude(params, made.results, survey).content
    assert content["counts"]["failed"] == 0
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(question: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    return question(), time.perf_counter() - start


def fill(folder: Path, rows: int) -> None:
    """Write the tables of a dataset of songs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    tracks_path, segments_path = folder / "tracks.parquet", folder / "segments.parquet"
    with (
        pq.ParquetWriter(tracks_path, schema.TRACKS, compression="zstd") as tracks,
        pq.ParquetWriter(segments_path, schema.SEGMENTS, compression="zstd") as segments,
    ):
        for start in range(0, rows, GROUP_ROWS):
            numbers = np.arange(start, min(start + GROUP_ROWS, rows))
            ids = [f"{number:032x}" for number in numbers]
            tracks.write_table(table(schema.TRACKS, of_tracks(ids, numbers, rng), rng))
            segments.write_table(table(schema.SEGMENTS, of_segments(ids), rng))
    write_manifest(Storage(str(folder)), {"fingerprint": "made up", "columns": {}})


def of_tracks(ids: list[str], numbers: Any, rng: np.random.Generator) -> dict[str, Any]:
    artists = numbers // 20
    count = len(ids)
    return {
        "track_id": ids,
        "source_id": [f"song-{number}" for number in numbers],
        "file_path": [f"songs/song-{number}.mp3" for number in numbers],
        "artist": [f"Artist {artist}" for artist in artists],
        "title": [f"Title {number}" for number in numbers],
        "genre": [GENRES[artist % len(GENRES)] for artist in artists],
        "license": [("CC-BY-4.0", "CC-BY-NC-4.0")[artist % 2] for artist in artists],
        "group": [f"artist artist{artist}" for artist in artists],
        "split": [SPLITS[artist % len(SPLITS)] for artist in artists],
        "duration": 60 + 240 * rng.random(count),
        "tempo": 60 + 120 * rng.random(count),
        "clipped_ratio": 0.01 * rng.random(count),
        "lyrics": ["la la la la " * 25] * count,
        "chroma": vectors(rng, count, 12),
        "mfcc": vectors(rng, count, 20),
    }


def of_segments(ids: list[str]) -> dict[str, Any]:
    places = np.tile(np.arange(SEGMENTS), len(ids))
    return {
        "track_id": np.repeat(ids, SEGMENTS).tolist(),
        "segment_idx": places,
        "start_time": 15.0 * places,
        "end_time": 15.0 * (places + 1),
        "section_type": ["verse"] * len(places),
        "prompt": ["A rock song with drums and a bass."] * len(places),
    }


def table(columns: pa.Schema, given: dict[str, Any], rng: np.random.Generator) -> pa.Table:
    """Rows with what is given; other numbers and flags are drawn, and all else is null."""
    count = len(given["track_id"])
    arrays = []
    for field in columns:
        values = given.get(field.name)
        if values is None and pa.types.is_boolean(field.type):
            values = rng.random(count) < 0.3
        elif values is None and pa.types.is_floating(field.type):
            values = rng.random(count)
        elif values is None and pa.types.is_integer(field.type):
            values = rng.integers(0, 100, count)
        arrays.append(
            pa.nulls(count, field.type) if values is None else pa.array(values, field.type)
        )
    return pa.table(arrays, schema=columns)


def vectors(rng: np.random.Generator, count: int, size: int) -> pa.Array:
    flat = pa.array(rng.random(count * size), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, size)


if __name__ == "__main__":
    sys.exit(main())
