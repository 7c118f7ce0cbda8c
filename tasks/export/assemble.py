"""From written shards to an export that is whole."""

from dataclasses import asdict
from typing import Any

import orjson

from blocks.storage import Storage
from tasks.dataset.failures import (
    FAILURES,
    Failure,
    count_by_reason,
    failure,
    write_failures,
)
from tasks.dataset.manifest import (
    MANIFEST,
    Manifest,
    declare_unfinished,
    now,
    unchanged,
    write_manifest,
)
from tasks.dataset.opened import Dataset
from tasks.dataset.selection import Choice, Selection, null_shares
from tasks.engine.results import Results
from tasks.export import card, record
from tasks.export.publishing.licences import LICENCE_FILE, sum_up
from tasks.export.rows import Source, schema
from tasks.export.shards import ShardItem
from tasks.export.target import Finished
from tasks.export.targets import TARGETS
from tasks.export.write_shard import STEP, ExportConfig
from tasks.step import Row, digest


def assemble(
    results: Results,
    dataset: Dataset,
    selection: Selection,
    config: ExportConfig,
    source: Source,
    output: Storage,
    choice: Choice,
) -> tuple[Manifest, list[Failure]]:
    """Finish an export, and return its manifest and what is not in it.

    Parameters
    ----------
    results
        What the run wrote.
    dataset, selection, config, source
        What of, which rows, as what, and where they come from.
    output
        Where the export goes.
    choice
        Which rows were asked for.
    """
    target = TARGETS[config.target]
    shards = [(_item(track), row) for track, row in results.rows(STEP.name)]
    failures = list(_failures(results, shards))
    rows = sum(row["rows"] for _, row in shards)
    keys = [results.key(STEP.name, item) for item, _ in shards]
    parts = [
        keys,
        asdict(choice),
        config.model_dump(),
        dataset.manifest.get("fingerprint"),
        failures,
    ]
    fingerprint = digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))
    # Files of shards were looked for before; those made of them all are looked for here.
    before = unchanged(output, fingerprint, lambda manifest: ())
    if before and all(output.exists(path) for path in before["made_at_the_end"]):
        return before, failures
    declare_unfinished(output)
    licences = sum_up(selection.licences)
    finished = Finished(
        name=dataset.name,
        kind=source.kind,
        segments=config.segments,
        audio=config.audio,
        vocals=config.vocals,
        output=output,
        shards=shards,
        dataset=dataset.manifest,
        licences=licences,
        columns=schema(source),
        parts=source.parts,
    )
    audio_seconds = round(sum(row["audio_seconds"] for _, row in shards), 3)
    if rows:
        target.finish(finished)
        nulls = null_shares(dataset.tables, choice)
        page = card.render(finished, target, choice, licences, nulls, audio_seconds, len(failures))
        finished.write_text(card.CARD, page)
        if licences.licence_file:
            finished.write_text(LICENCE_FILE, licences.licence_file)
    write_failures(output, failures)
    files = record.write(output, shards, finished.files)
    content: Manifest = {
        "created_at": now(),
        "fingerprint": fingerprint,
        "target": target.name,
        "target_version": target.version,
        "dataset": {
            "address": dataset.folder.address,
            "kind": source.kind,
            "fingerprint": dataset.manifest.get("fingerprint"),
        },
        "asked": asdict(choice),
        "audio": config.audio,
        "vocals": config.vocals,
        "segments": config.segments,
        "counts": {
            "rows": rows,
            **finished.splits,
            "failed": len(failures),
            "files": len(files),
            "bytes": sum(each["size_bytes"] or 0 for each in files),
        },
        "audio_seconds": audio_seconds,
        "licences": licences.by_identifier
        | licences.unrecognised
        | ({"": licences.unstated} if licences.unstated else {}),
        "failures_by_reason": count_by_reason(failures),
        "made_at_the_end": [each["path"] for each in finished.files],
    }
    if rows:
        write_manifest(output, content)
    return content, failures


def files_of(output: Storage) -> list[str]:
    """Return all files of an export, those that say what it is last."""
    return [*(each["path"] for each in record.files(output)), FAILURES, MANIFEST]


def _item(track: Any) -> ShardItem:
    assert isinstance(track, ShardItem)
    return track


def _failures(results: Results, shards: list[tuple[ShardItem, Row]]) -> list[Failure]:
    """Return a row for each row that is missing, and for each shard that is."""
    of_rows = [
        failure(
            each["id"], each["path"], STEP.name, each["reason"], each["message"], in_dataset=False
        )
        for _, row in shards
        for each in row["failures"]
    ]
    of_shards = [
        failure(track.track_id, track.path, step, entry.reason, entry.error, in_dataset=False)
        for track, step, entry in results.failures()
    ]
    return [*of_rows, *of_shards]
