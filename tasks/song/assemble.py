"""From finished rows to the dataset's files."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from tasks.dataset import corrections
from tasks.dataset.corrections import Corrections
from tasks.dataset.failures import (
    Failure,
    count_by_reason,
    count_failed_files,
    failure,
    read_failures,
    write_failures,
)
from tasks.dataset.manifest import declare_unfinished, now, unchanged, write_manifest
from tasks.dataset.near_duplicates import Words
from tasks.embed import fingerprint as acoustic
from tasks.engine import provenance
from tasks.engine.results import Results
from tasks.song import (
    corrected,
    dataset,
    fingerprints,
    manifest,
    prompts,
    report,
    schema,
    splits,
)
from tasks.song.dataset import Paths, Record
from tasks.song.discover import Discovery
from tasks.song.splits import Placed, Splitting
from tasks.step import Row, Track, digest
from tasks.text import printable
from tasks.weights import Weights


def assemble(
    results: Results,
    found: Discovery,
    paths: Paths,
    audio_dir: str,
    settings: Mapping[str, Any],
    weights: Weights,
    splitting: Splitting,
) -> Record:
    """Write the dataset of a run, and return its manifest.

    Nothing is written when what lies there already was made of the same rows.

    Parameters
    ----------
    results
        What the run made.
    found
        The tracks and the files that are none.
    paths
        Where the dataset goes.
    audio_dir
        What the paths of the tracks are shown below.
    settings
        What else the manifest is to hold: profile, folder of the vocals.
    weights
        Where the models of its steps lie.
    splitting
        How its tracks are split.
    """
    failures = list(_failures(results, found, audio_dir))
    finished = [
        (track, key)
        for track, key, entry in results.final()
        if entry is not None and entry.status != "failed"
    ]
    made = corrections.read(paths.storage)
    keys = acoustic.keys(results)
    steps = provenance.steps(results.stages, weights)
    of_all = [splitting.options(), keys, steps]
    fingerprint = _fingerprint(finished, failures, found, audio_dir, settings, made, of_all)
    files = [paths.json, *paths.tables, paths.failures, paths.report]
    files += [] if keys is None else [paths.fingerprints]
    if before := unchanged(paths.storage, fingerprint, lambda _: files):
        return before
    artists = corrected.artists(
        ((track.track_id, track.metadata.get("artist")) for track, _ in finished), made
    )
    words = acoustic.of_tracks(results)
    placed = splits.place(artists, words, splitting)
    declare_unfinished(paths.storage)
    merge = corrected.Merge(made, partial(_prompts, results))
    count = write(paths, filter(None, map(merge, _records(results, audio_dir))), placed, words)
    failures = merge.seen_by(failures)
    write_failures(paths.storage, failures)
    content = {
        "format_version": manifest.FORMAT_VERSION,
        **settings,
        "created_at": now(),
        "counts": {
            "tracks": count,
            "failed": count_failed_files(failures),
            "duplicates": len(found.duplicates),
            "videos": found.videos,
        },
        "failures_by_reason": count_by_reason(failures),
        "passed_over": found.passed_over,
        "corrections": merge.summary(),
        "duplicates": {
            _shown(audio_dir, path): _shown(audio_dir, original)
            for path, original in sorted(found.duplicates.items())
        },
        "seconds_by_step": provenance.seconds(results),
        "peak_memory_mb_by_step": provenance.peak_memory_mb(results),
        "steps": steps,
        "columns": placed.made(manifest.columns(results.stages, weights)),
        "splits": placed.summary(),
        "fingerprint": fingerprint,
    }
    return finish(paths, content)


def write(
    paths: Paths, records: Iterable[Record], placed: Placed, words: Mapping[str, Words] | None
) -> int:
    """Write the tables of a dataset, and return how many tracks it has.

    Parameters
    ----------
    paths
        Where to.
    records
        Entries of the tracks, in order.
    placed
        What they have beside each other.
    words
        Acoustic fingerprints, of other tracks as well; None if none were made.
    """
    count = dataset.write(paths, map(placed.onto, records))
    if words is None:
        paths.storage.delete(fingerprints.FINGERPRINTS)
    else:
        of_tracks = {name: words[name] for name in placed.of_track if name in words}
        fingerprints.write(paths.storage, of_tracks)
    return count


def finish(paths: Paths, content: Record) -> Record:
    """Write the report and, last of all, the manifest that declares the dataset whole."""
    failures = read_failures(paths.storage)
    page = report.render(dataset.read(paths.json), failures, content)
    paths.report.write_text(page, encoding="utf-8")
    write_manifest(paths.storage, content)
    return content


def _failures(results: Results, found: Discovery, audio_dir: str) -> Iterator[Failure]:
    """Rows of ``failures.jsonl``: files that are no songs, then steps that failed."""
    for file in found.failures:
        path = _below(audio_dir, file.path)
        yield failure(None, path, "discover", file.reason, file.message, in_dataset=False)
    copies: dict[str, list[str]] = {}
    for path, original in found.duplicates.items():
        copies.setdefault(original, []).append(path)
    present = {
        track.track_id for track, _, entry in results.final() if entry and entry.status != "failed"
    }
    for track, step, entry in results.failures():
        for path in (track.path, *copies.get(track.path, ())):
            yield failure(
                track.track_id,
                _below(audio_dir, path),
                step,
                entry.reason,
                _naming(path, track.path, entry.error),
                in_dataset=track.track_id in present,
            )


def _naming(path: str, original: str, message: str | None) -> str | None:
    """Return what was said of a file, said of a copy of it."""
    if message is None or path == original:
        return message
    name = re.escape(printable(original))
    return re.sub(rf"(?<![\w/]){name}(?!\w)", lambda _: printable(path), message)


def _records(results: Results, audio_dir: str) -> Iterator[Record]:
    for track, row in results.rows(results.stages[-1].step.name, columns=["record"]):
        record = _head(track, audio_dir) | orjson.loads(row["record"])
        for segment in record["segments"]:
            segment["corrected"] = []
        yield record


def _prompts(results: Results, track_id: str, record: Record) -> Row | None:
    """Make the prompts of a corrected record; None if the rows that they rest on are gone."""
    track = results.track(track_id)
    asked = {stage.step.name for stage in results.stages}
    step = prompts.STEP
    if step.name not in asked:
        return None
    upstream: dict[str, Row | None] = {}
    for name in (*step.upstream, *step.optional_upstream):
        if name in asked:
            entry = results.index(name).get(results.key(name, track))
            if entry is None and name in step.upstream:
                return None
            usable = entry is not None and entry.status != "failed"
            upstream[name] = results.row(name, track) if usable else None
    return prompts.of_corrected(track, upstream, record)


def _head(track: Track, audio_dir: str) -> Record:
    """Return what a record says of where a track comes from; no row depends on it."""
    return {
        "track_id": track.track_id,
        "source_id": printable(os.path.splitext(os.path.basename(track.path))[0]),
        "file_path": _shown(audio_dir, track.path),
        **{name: track.metadata.get(name) for name in schema.METADATA_COLUMNS},
        "corrected": [],
        **dict.fromkeys(splits.COLUMNS),
    }


def _shown(audio_dir: str, path: str) -> str:
    return printable(_below(audio_dir, path))


def _below(audio_dir: str, path: str) -> str:
    return f"{audio_dir.rstrip('/')}/{path}"


def _fingerprint(
    finished: Sequence[tuple[Track, str]],
    failures: Sequence[Failure],
    found: Discovery,
    audio_dir: str,
    settings: Mapping[str, Any],
    made: Corrections,
    of_all: Sequence[Any],
) -> str:
    """Digest of everything that the files depend on."""
    rows = [[key, _head(track, audio_dir)] for track, key in finished]
    beside = [sorted(map(printable, found.duplicates)), found.passed_over, found.videos]
    by_people = [
        made.left_out,
        {name: list(map(asdict, each)) for name, each in made.by_track.items()},
    ]
    parts = [manifest.FORMAT_VERSION, rows, failures, settings, beside, by_people, of_all]
    return digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))
