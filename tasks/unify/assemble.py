"""The end of a unification: what belongs together, splits, captions, files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from blocks.storage import Storage
from tasks.captions import rewrite_captions
from tasks.dataset import manifest
from tasks.dataset.failures import Failure, failure, write_failures
from tasks.dataset.near_duplicates import duplicates
from tasks.embed import fingerprint
from tasks.engine.results import Results
from tasks.step import Row, Step, digest
from tasks.text import counted
from tasks.unify import assign, composition, report, texts, write
from tasks.unify.collector import collector_paused
from tasks.unify.composition import Composition
from tasks.unify.gather import Gathered, kept
from tasks.unify.groups import groups
from tasks.unify.staged import SCHEMA, Removals
from tasks.unify.write import REMOVED

REPORT = "report.html"

__all__ = ["REMOVED", "REPORT", "Assembled", "assemble"]

_CHOICES = frozenset(
    {"not-sampled", "licence", "too-short", "too-long", "unknown-duration", "other-subset"}
)
"""Reasons that are no failure: rows were not asked for."""


@dataclass(frozen=True)
class Assembled:
    """A dataset that was written.

    Attributes
    ----------
    manifest
        Its manifest.
    composition
        What it is composed of.
    failures
        Rows that could not be used, and remarks.
    notices
        Sentences that people have to know.
    """

    manifest: dict[str, Any]
    composition: Composition
    failures: list[Failure]
    notices: list[str]


@collector_paused()
def assemble(
    results: Results,
    gathered: Gathered,
    output: Path,
    folder: Storage,
    *,
    seed: int,
    captions: int,
    options: Mapping[str, Any],
) -> Assembled:
    """Write the dataset of the rows that were chosen.

    Parameters
    ----------
    results
        Of the steps: fingerprints.
    gathered
        The rows.
    output
        The JSON.
    folder
        Where all else goes.
    seed
        Of the splits.
    captions
        Captions made for a row that has none.
    options
        What was asked for, for the manifest.
    """
    removals = gathered.removals
    table = _decodable(results, gathered, removals)
    pairs = duplicates(fingerprint.of_tracks(results) or {})
    names = groups(table, pairs)
    splits, notices = assign.assign(table, names.to_pylist(), seed)
    if pairs:
        notices.append(
            f"{counted(len(pairs), 'pair')} of files are the same recording; each is in one split."
        )
    place = Storage(str(output.parent))
    manifest.declare_unfinished(folder)
    found = texts.captions(table, captions, _rewritten(results, table, removals))
    done = write.write(table, splits, names, found, place, output.name, folder)
    write.write_removed(folder, removals)
    failed = _failures(removals)
    write_failures(folder, failed)
    made = composition.compose(table, gathered.found, removals, splits, names, done.captions)
    created_at = manifest.now()
    page = report.render(made, _examples(folder), failed, notices, created_at)
    folder.write_bytes(REPORT, page.encode())
    content = {
        "created_at": created_at,
        "fingerprint": digest("\n".join(_identities(table, names, splits)).encode()),
        "json": output.name,
        "parquet": write.PARQUET,
        "options": dict(options),
        "counts": made.counts(),
        "notices": notices,
    }
    manifest.write_manifest(folder, content)
    return Assembled(content, made, failed, notices)


def _decodable(results: Results, gathered: Gathered, removals: Removals) -> pa.Table:
    """Return the rows whose files could be read, with the digests of these."""
    table = gathered.table
    if not results.stages:
        return table
    why = {
        track.track_id: entry
        for track, step, entry in results.failures()
        if step == fingerprint.STEP.name
    }
    paths = table["audio_path"].to_pylist()
    found = [gathered.digests.get(path) for path in paths]
    at = table.schema.get_field_index("audio_digest")
    table = table.set_column(at, SCHEMA.field("audio_digest"), pa.array(found, pa.string()))
    is_there = np.array([each is not None for each in found], bool)
    table = kept(
        table, is_there, removals, "unreadable", lambda at: f"{paths[at]} cannot be read any more."
    )
    found = table["audio_digest"].to_pylist()
    for reason in sorted({str(entry.reason) for entry in why.values()}):
        failed = [each in why and why[each].reason == reason for each in found]
        messages = [str(why[each].error) if each in why else "" for each in found]
        table = kept(table, ~np.array(failed, bool), removals, reason, messages.__getitem__)
        found = table["audio_digest"].to_pylist()
    return table


def _has(results: Results, step: Step) -> bool:
    return any(stage.step is step for stage in results.stages)


def _rewritten(results: Results, table: pa.Table, removals: Removals) -> dict[str, Row]:
    """Return what a language model made of captions, and note where it made nothing of them."""
    if not _has(results, rewrite_captions.STEP):
        return {}
    datasets = dict(zip(table["id"].to_pylist(), table["dataset"].to_pylist(), strict=True))
    for track, step, entry in results.failures():
        row_id = track.metadata["id"]
        if step == rewrite_captions.STEP.name and row_id in datasets:
            said = (str(entry.reason), str(entry.error))
            removals.note(datasets[row_id], row_id, track.path, *said)
    rows = results.rows(rewrite_captions.STEP.name, ["captions", "refused"])
    return {track.metadata["id"]: row for track, row in rows}


def _failures(removals: Removals) -> list[Failure]:
    return [
        failure(row_id, where, dataset, reason, message, in_dataset=stays)
        for dataset, row_id, where, reason, message, stays in removals.rows
        if reason not in _CHOICES
    ]


def _examples(folder: Storage) -> list[dict[str, Any]]:
    """Return some rows from all over the file that was written."""
    import pyarrow.dataset as ds

    names = ["id", "caption", "alt_captions", "split", "license"]
    with folder.reading(write.PARQUET) as path:
        rows = ds.dataset(path)
        count = rows.count_rows()
        places = np.linspace(0, count - 1, min(report.EXAMPLES, count)).astype(int)
        found: list[dict[str, Any]] = rows.take(np.unique(places), columns=names).to_pylist()
    return found


def _identities(table: pa.Table, names: pa.Array, splits: list[Any]) -> list[str]:
    rows = zip(table["id"].to_pylist(), names.to_pylist(), splits, strict=True)
    return ["\t".join(row) for row in rows]
