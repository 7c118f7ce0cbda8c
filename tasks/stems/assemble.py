"""From encoded songs to the dataset's files."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from blocks.storage import Storage
from models.protocols import CODEC
from tasks.corpora.song import PreparedSong
from tasks.dataset.split import SPLITS, Split, split
from tasks.engine import provenance
from tasks.engine.plan import Plan
from tasks.engine.results import StepTable
from tasks.stems import datacard, dataset_files, report
from tasks.stems.distort import STEP as DISTORT
from tasks.stems.encode import STEP as ENCODE
from tasks.stems.encode import EncodeConfig, encoding
from tasks.stems.schema import Encoding
from tasks.stems.summary import Summary
from tasks.step import Row, Tools, digest
from tasks.text import printable

FORMAT_VERSION = 1
"""Raised when the layout of a dataset's files changes."""

FAILURES = "failures.jsonl"
REPORT = "report.html"
CARD = "README.md"

COUNTED = ("chunks", "dropped_silent_chunks", "dropped_short_chunks", "silent_pairs")
"""Columns of `encode` that are summed over a dataset."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A song that was encoded: where its rows lie."""

    song: PreparedSong
    distort_key: str
    distort_part: str
    encode_key: str
    encode_part: str


def assemble(
    made: Plan,
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
    made
        A plan whose batches are done.
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
    songs = list(_encoded(made))
    failures = list(_failures(made))
    settings = {"instrument": instrument, "split_seed": split_seed, "webdataset": webdataset}
    fingerprint = _fingerprint(songs, failures, settings)
    before = dataset_files.read_manifest(folder)
    if before and before["fingerprint"] == fingerprint and _is_whole(folder, before):
        return before
    groups = Counter(each.song.group for each in songs)
    placed = split(groups, seed=split_seed) if groups else {}
    by_split: dict[Split, list[Encoded]] = {
        name: [each for each in songs if placed[each.song.group] == name] for name in SPLITS
    }
    totals: Counter[str] = Counter()
    written: list[dataset_files.Shard] = []
    summary: Summary | None = None
    if songs:
        made_by = _encoding(made, tools, songs[0])
        summary = Summary(made_by)
        rows = {
            name: summary.observing(name, _rows(made, tools, chosen, made_by, totals))
            for name, chosen in by_split.items()
        }
        written = dataset_files.write(folder, rows, made_by, tars=webdataset)
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in failures)
    Storage(str(folder)).write_bytes(FAILURES, lines.encode())
    tables = [shard for shard in written if shard.path.endswith(".parquet")]
    content = {
        "format_version": FORMAT_VERSION,
        "name": instrument,
        **settings,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {
            "tracks": len(songs),
            "failed": len({failure["file_path"] for failure in failures}),
            "pairs": totals.pop("pairs", 0),
            **{name: totals[name] for name in COUNTED},
        },
        "chunks_by_split": {
            name: sum(shard.rows for shard in tables if shard.split == name) for name in SPLITS
        },
        "songs_by_split": {name: len(chosen) for name, chosen in by_split.items()},
        "groups_by_split": {
            name: sorted({each.song.group for each in chosen}) for name, chosen in by_split.items()
        },
        "files": [shard.path for shard in written],
        "failures_by_reason": dict(sorted(Counter(row["reason"] for row in failures).items())),
        "seconds_by_step": provenance.seconds(made),
        "peak_memory_mb_by_step": provenance.peak_memory_mb(made),
        "steps": [provenance.made_by(stage, made.weights) for stage in made.stages],
        "fingerprint": fingerprint,
    }
    if summary is not None:
        _write_pages(made, tools, folder, summary, failures, content)
    dataset_files.write_manifest(folder, content)
    return content


def read_failures(folder: Path) -> list[Row]:
    """What failed, a row each."""
    return [json.loads(line) for line in (folder / FAILURES).read_text("utf-8").splitlines()]


def _write_pages(
    made: Plan,
    tools: Tools,
    folder: Path,
    summary: Summary,
    failures: Sequence[Row],
    content: Mapping[str, Any],
) -> None:
    """Write the report, whose examples are decoded from the codes, and the dataset's card."""
    from models.encodec import Encoded as Codes

    pairs = _pairs_of(made, {example.row["song_id"] for example in summary.examples})
    codec = tools.model(summary.encoding.codec, CODEC)
    page = report.render(
        summary,
        failures,
        content,
        decode=lambda codes, scales, samples: codec.decode(Codes(codes, scales, samples)),
        original=lambda row, signal: report.stored_signal(
            tools.artifacts, pairs[row["pair_id"]], row, signal, summary.encoding
        ),
    )
    card = datacard.render(
        summary, content, instrument=content["instrument"], tars=content["webdataset"]
    )
    storage = Storage(str(folder))
    storage.write_bytes(REPORT, page.encode())
    storage.write_bytes(CARD, card.encode())


def _pairs_of(made: Plan, song_ids: set[str]) -> dict[str, Row]:
    """Pairs of some songs, by identity."""
    table = StepTable(made.tables, DISTORT)
    found: dict[str, Row] = {}
    for each in _encoded(made):
        if each.song.track_id in song_ids:
            row = table.read({each.distort_key: each.distort_part})[each.distort_key]
            found.update({pair["pair_id"]: pair for pair in row["pairs"]})
    return found


def _encoded(made: Plan) -> Iterator[Encoded]:
    distorted = made.entries[DISTORT.name].entries(made.keys[DISTORT.name])
    for (song, key, entry), distort_key, before in zip(
        made.final(), made.keys[DISTORT.name], distorted, strict=True
    ):
        if entry is not None and before is not None and entry.status != "failed":
            assert isinstance(song, PreparedSong)
            yield Encoded(song, distort_key, before.part, key, entry.part)


def _failures(made: Plan) -> Iterator[Row]:
    for song, step, entry in made.failures():
        yield {
            "track_id": song.track_id,
            "file_path": printable(song.path),
            "step": step,
            "reason": entry.reason,
            "message": entry.error,
        }


def _fingerprint(
    songs: Sequence[Encoded], failures: Sequence[Row], settings: Mapping[str, Any]
) -> str:
    """Digest of all that a dataset's files depend on."""
    made_of = {
        "version": FORMAT_VERSION,
        "rows": [
            [each.encode_key, each.song.artist, each.song.title, each.song.group] for each in songs
        ],
        "failures": failures,
        **settings,
    }
    return digest(json.dumps(made_of, sort_keys=True).encode())


def _is_whole(folder: Path, content: Mapping[str, Any]) -> bool:
    return all((folder / name).is_file() for name in (*content["files"], FAILURES, REPORT))


def _encoding(made: Plan, tools: Tools, first: Encoded) -> Encoding:
    config = made.stages[-1].config
    assert isinstance(config, EncodeConfig)
    row = StepTable(made.tables, ENCODE).read({first.encode_key: first.encode_part})
    return encoding(row[first.encode_key], config, tools.weights.revision(config.codec))


def _rows(
    made: Plan, tools: Tools, songs: Sequence[Encoded], made_by: Encoding, totals: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Rows of the dataset, song by song; what they add up to is counted on the way."""
    for each in songs:
        encode = StepTable(made.tables, ENCODE).read({each.encode_key: each.encode_part})
        distort = StepTable(made.tables, DISTORT).read({each.distort_key: each.distort_part})
        row, pairs = encode[each.encode_key], distort[each.distort_key]["pairs"]
        totals.update({"pairs": len(pairs), **{name: row[name] for name in COUNTED}})
        if row["codes_path"] is not None:
            codes = (tools.artifacts, row["codes_path"])
            yield from dataset_files.song_rows(each.song, pairs, codes, made_by)
