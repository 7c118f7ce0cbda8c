"""From encoded songs to the dataset's files."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from blocks.storage import Storage
from models.protocols import CODEC
from tasks.corpora.prepared_song import PreparedSong
from tasks.dataset.failures import (
    FAILURES,
    Failure,
    count_by_reason,
    count_failed_files,
    failure,
    write_failures,
)
from tasks.dataset.manifest import now, unchanged, write_manifest
from tasks.dataset.split import SPLITS, Split, split
from tasks.engine import provenance
from tasks.engine.results import Results
from tasks.stems import datacard, dataset_files, report
from tasks.stems.augment import AugmentConfig
from tasks.stems.encode import STEP as ENCODE
from tasks.stems.encode import EncodeConfig, PairsConfig, encoding
from tasks.stems.render import render
from tasks.stems.schema import Encoding, Signal
from tasks.stems.summary import Summary
from tasks.step import Tools, digest
from tasks.text import printable
from tasks.track import Samples, TrackError

FORMAT_VERSION = 1
"""Raised when the layout of a dataset's files changes."""

REPORT = "report.html"
CARD = "README.md"

COUNTED = ("chunks", "dropped_silent_chunks", "dropped_short_chunks", "silent_pairs")
"""Columns of `encode` that are summed over a dataset."""


def assemble(
    results: Results,
    tools: Tools,
    folder: Path,
    *,
    instrument: str,
    split_seed: int,
    webdataset: bool,
) -> dict[str, Any]:
    """Write the dataset of a plan that has run, and return its manifest.

    Nothing is written when what lies there already was made of the same rows.

    Parameters
    ----------
    results
        What the run made.
    tools
        What its steps reached for.
    folder
        Where the dataset goes.
    instrument
        What the targets are.
    split_seed
        Of the assignment of songs to train, validation and test.
    webdataset
        Whether to write tar shards too.
    """
    encoded = list(_encoded(results))
    songs = [song for song in encoded if results.row(ENCODE.name, song)["chunks"]]
    failures = list(_failures(results, encoded))
    settings = {"instrument": instrument, "split_seed": split_seed, "webdataset": webdataset}
    fingerprint = _fingerprint(results, songs, failures, settings)
    storage = Storage(str(folder))
    if before := unchanged(storage, fingerprint, lambda manifest: _files(folder, manifest)):
        return before
    groups = Counter(song.group for song in songs)
    placed = split(groups, seed=split_seed) if groups else {}
    by_split: dict[Split, list[PreparedSong]] = {
        name: [song for song in songs if placed[song.group] == name] for name in SPLITS
    }
    totals: Counter[str] = Counter()
    for song in encoded:
        _count(totals, results, song)
    written: list[dataset_files.DatasetFile] = []
    summary: Summary | None = None
    if songs:
        made_by = _encoding(results, tools, songs[0])
        summary = Summary(made_by)
        rows = {
            name: summary.observing(name, _rows(results, tools, chosen, made_by))
            for name, chosen in by_split.items()
        }
        written = dataset_files.write(folder, rows, made_by, tars=webdataset)
    write_failures(storage, failures)
    tables = [shard for shard in written if shard.path.endswith(".parquet")]
    content = {
        "format_version": FORMAT_VERSION,
        "name": instrument,
        **settings,
        "created_at": now(),
        "counts": {
            "tracks": len(songs),
            "failed": count_failed_files(failures),
            "pairs": totals.pop("pairs", 0),
            **{name: totals[name] for name in COUNTED},
        },
        "chunks_by_split": {
            name: sum(shard.rows for shard in tables if shard.split == name) for name in SPLITS
        },
        "songs_by_split": {name: len(chosen) for name, chosen in by_split.items()},
        "groups_by_split": {
            name: sorted({song.group for song in chosen}) for name, chosen in by_split.items()
        },
        "files": [shard.path for shard in written],
        "failures_by_reason": count_by_reason(failures),
        "seconds_by_step": provenance.seconds(results),
        "peak_memory_mb_by_step": provenance.peak_memory_mb(results),
        "steps": provenance.steps(results.stages, tools.weights),
        "fingerprint": fingerprint,
    }
    if summary is not None:
        _write_pages(results, tools, folder, summary, failures, content)
    write_manifest(storage, content, sort_keys=True)
    return content


def _write_pages(
    results: Results,
    tools: Tools,
    folder: Path,
    summary: Summary,
    failures: Sequence[Failure],
    content: Mapping[str, Any],
) -> None:
    """Write the report, whose examples are decoded from the codes, and the dataset's card."""
    from models.encodec import Encoded as Codes

    codec = tools.model(summary.encoding.codec, CODEC)
    page = report.render(
        summary,
        failures,
        content,
        decode=lambda codes, scales, samples: codec.decode(Codes(codes, scales, samples)),
        original=_original(results, tools, summary.encoding),
    )
    card = datacard.render(
        summary, content, instrument=content["instrument"], tars=content["webdataset"]
    )
    storage = Storage(str(folder))
    storage.write_bytes(REPORT, page.encode())
    storage.write_bytes(CARD, card.encode())


def _original(results: Results, tools: Tools, made_by: Encoding) -> report.Original:
    """Return what makes the signals of chunks again, of several of one pair once."""
    songs = {song.track_id: song for song in _encoded(results)}
    form = AugmentConfig(sample_rate_hz=made_by.sample_rate_hz, channels=made_by.channels)
    made: dict[str, Mapping[Signal, Samples] | None] = {}

    def original(row: Mapping[str, Any], signal: Signal) -> Samples | None:
        pair_id = row["pair_id"]
        if pair_id not in made:
            made.clear()
            try:
                made[pair_id] = render(row, songs[row["song_id"]], tools, form)
            except TrackError:
                made[pair_id] = None  # the prepared stems are gone
        signals = made[pair_id]
        if signals is None:
            return None
        start = row["chunk"] * made_by.chunk_samples
        return signals[signal][:, start : start + row["samples"]]

    return original


def _encoded(results: Results) -> Iterator[PreparedSong]:
    """Yield the songs that were encoded."""
    for song, _, entry in results.final():
        if entry is not None and entry.status != "failed":
            assert isinstance(song, PreparedSong)
            yield song


def _failures(results: Results, encoded: Sequence[PreparedSong]) -> Iterator[Failure]:
    """Yield the rows of ``failures.jsonl``: steps that failed, and songs without a chunk."""
    present = {song.track_id for song in encoded}
    for song, step, entry in results.failures():
        yield failure(
            song.track_id,
            song.path,
            step,
            entry.reason,
            entry.error,
            in_dataset=song.track_id in present,
        )
    for song in encoded:
        if not results.row(ENCODE.name, song)["chunks"]:
            reason, message = _why_empty(results, song)
            yield failure(song.track_id, song.path, ENCODE.name, reason, message, in_dataset=False)


def _why_empty(results: Results, song: PreparedSong) -> tuple[str, str]:
    """Return why a song has no chunk at all: a reason, and a sentence with the remedy."""
    row = results.row(ENCODE.name, song)
    name = printable(song.path)
    if not row["dropped_short_chunks"]:
        return (
            "silent-target",
            f"{name} has no chunk in which its target is louder than -80 dB of full scale.",
        )
    seconds = min(pair["samples"] for pair in row["pairs"]) / row["sample_rate_hz"]
    least_seconds = _config(results).min_chunk_seconds
    return (
        "too-short-for-chunk",
        f"{name} has variants of {seconds:.2f} s, which is no whole chunk, and less than the "
        f"{least_seconds:g} s of --encode.min_chunk_seconds: a smaller value, such as "
        f"{math.floor(100 * seconds) / 100:g}, takes it.",
    )


def _fingerprint(
    results: Results,
    songs: Sequence[PreparedSong],
    failures: Sequence[Failure],
    settings: Mapping[str, Any],
) -> str:
    """Return the digest of all that a dataset's files depend on."""
    made_of = {
        "version": FORMAT_VERSION,
        "rows": [
            [results.key(ENCODE.name, song), song.artist, song.title, song.group] for song in songs
        ],
        "failures": failures,
        **settings,
    }
    return digest(json.dumps(made_of, sort_keys=True).encode())


def _files(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    return [folder / name for name in (*content["files"], FAILURES, REPORT)]


def _config(results: Results) -> EncodeConfig:
    config = results.stages[-1].config
    assert isinstance(config, PairsConfig)
    return config.encoding


def _encoding(results: Results, tools: Tools, first: PreparedSong) -> Encoding:
    config = _config(results)
    return encoding(results.row(ENCODE.name, first), config, tools.weights.revision(config.codec))


def _rows(
    results: Results,
    tools: Tools,
    songs: Sequence[PreparedSong],
    made_by: Encoding,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the dataset, song by song."""
    for song in songs:
        row = results.row(ENCODE.name, song)
        codes = (tools.outputs, row["codes_path"])
        yield from dataset_files.song_rows(song, row["pairs"], codes, made_by)


def _count(totals: Counter[str], results: Results, song: PreparedSong) -> None:
    """Add up what became of a song."""
    row = results.row(ENCODE.name, song)
    totals.update({"pairs": len(row["pairs"]), **{name: row[name] for name in COUNTED}})
