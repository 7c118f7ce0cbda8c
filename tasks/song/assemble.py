"""From finished rows to the dataset's files."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tasks.engine import provenance
from tasks.engine.plan import Plan
from tasks.engine.results import StepTable
from tasks.song import dataset, manifest, report, schema
from tasks.song.dataset import Paths, Record
from tasks.song.discover import Discovery
from tasks.step import Track, digest
from tasks.text import printable

READ_TRACKS = 64
"""Records in memory at once."""


def assemble(
    plan: Plan, found: Discovery, paths: Paths, audio_dir: str, settings: Mapping[str, Any]
) -> Record:
    """Write the dataset of a plan that has run, and return its manifest.

    Nothing is written when what lies there already was made of the same rows.

    Parameters
    ----------
    plan
        A plan whose batches are done.
    found
        The tracks and the files that are none.
    paths
        Where the dataset goes.
    audio_dir
        What the paths of the tracks are shown below.
    settings
        What else the manifest is to hold: profile, folder of the vocals.
    """
    failures = list(_failures(plan, found, audio_dir))
    finished = [
        (track, key, entry.part)
        for track, key, entry in plan.final()
        if entry is not None and entry.status != "failed"
    ]
    fingerprint = _fingerprint(finished, failures, audio_dir, settings)
    before = dataset.read_manifest(paths)
    files = (paths.json, *paths.tables, paths.failures, paths.report)
    if before and before.get("fingerprint") == fingerprint and all(map(Path.exists, files)):
        return before
    dataset.begin(paths)
    count = dataset.write(paths, _records(plan, finished, audio_dir))
    dataset.write_failures(paths, failures)
    content = {
        "format_version": manifest.FORMAT_VERSION,
        **settings,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {
            "tracks": count,
            "failed": len({failure["file_path"] for failure in failures}),
            "duplicates": len(found.duplicates),
        },
        "failures_by_reason": dict(
            sorted(Counter(failure["reason"] for failure in failures).items())
        ),
        "duplicates": {
            _shown(audio_dir, path): _shown(audio_dir, original)
            for path, original in sorted(found.duplicates.items())
        },
        "seconds_by_step": provenance.seconds(plan),
        "peak_memory_mb_by_step": provenance.peak_memory_mb(plan),
        "columns": manifest.columns(plan.stages, plan.weights),
        "fingerprint": fingerprint,
    }
    return finish(paths, content)


def finish(paths: Paths, content: Record) -> Record:
    """Write the report and, last of all, the manifest that declares the dataset whole."""
    failures = dataset.read_failures(paths)
    page = report.render(dataset.read(paths.json), failures, content)
    paths.report.write_text(page, encoding="utf-8")
    dataset.write_manifest(paths, content)
    return content


def _failures(plan: Plan, found: Discovery, audio_dir: str) -> Iterator[Record]:
    """Rows of ``failures.jsonl``: files that are no songs, then steps that failed."""
    for file in found.failures:
        yield {
            "track_id": None,
            "file_path": _shown(audio_dir, file.path),
            "step": "discover",
            "reason": file.reason,
            "message": file.message,
            "in_dataset": False,
        }
    copies: dict[str, list[str]] = {}
    for path, original in found.duplicates.items():
        copies.setdefault(original, []).append(path)
    in_dataset = {
        track.track_id for track, _, entry in plan.final() if entry and entry.status != "failed"
    }
    for track, step, entry in plan.failures():
        for path in (track.path, *copies.get(track.path, ())):
            yield {
                "track_id": track.track_id,
                "file_path": _shown(audio_dir, path),
                "step": step,
                "reason": entry.reason,
                "message": entry.error,
                "in_dataset": track.track_id in in_dataset,
            }


def _records(
    plan: Plan, finished: Sequence[tuple[Track, str, str]], audio_dir: str
) -> Iterator[Record]:
    table = StepTable(plan.tables, plan.stages[-1].step)
    for start in range(0, len(finished), READ_TRACKS):
        group = finished[start : start + READ_TRACKS]
        rows = table.read({key: part for _, key, part in group}, columns=["record"])
        for track, key, _ in group:
            yield _head(track, audio_dir) | orjson.loads(rows[key]["record"])


def _head(track: Track, audio_dir: str) -> Record:
    """What a record says of where a track comes from; no row depends on it."""
    return {
        "track_id": track.track_id,
        "source_id": printable(os.path.splitext(os.path.basename(track.path))[0]),
        "file_path": _shown(audio_dir, track.path),
        **{name: track.metadata.get(name) for name in schema.METADATA_COLUMNS},
    }


def _shown(audio_dir: str, path: str) -> str:
    return printable(f"{audio_dir.rstrip('/')}/{path}")


def _fingerprint(
    finished: Sequence[tuple[Track, str, str]],
    failures: Sequence[Record],
    audio_dir: str,
    settings: Mapping[str, Any],
) -> str:
    """Digest of everything that the files depend on."""
    rows = [[key, _head(track, audio_dir)] for track, key, _ in finished]
    parts = [manifest.FORMAT_VERSION, rows, failures, settings]
    return digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))
