"""From finished rows of steps to the files of a dataset of concepts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from blocks.storage import Storage
from tasks.dataset.failures import (
    FAILURES,
    Failure,
    count_by_reason,
    count_failed_files,
    failure,
    write_failures,
)
from tasks.dataset.manifest import Manifest, declare_unfinished, now, unchanged
from tasks.engine import provenance
from tasks.engine.results import Results
from tasks.inversion import concepts, report
from tasks.inversion.choice import Choice, Heard, choose
from tasks.inversion.concepts import CONCEPTS, FORMAT_VERSION, SPLITS, NewSegment, metadata_name
from tasks.inversion.encode_concept import CODEC_NAME, STEP
from tasks.inversion.known import known_of
from tasks.inversion.recordings import Recording, Recordings
from tasks.step import Row, digest
from tasks.text import counted
from tasks.weights import Weights

REPORT = "report.html"

TOLD = (
    "duration_seconds",
    "start_seconds",
    "silent_segments",
    "rest_seconds",
    "fingerprint",
    "codebooks",
    "codebook_size",
    "frame_rate_hz",
    "sample_rate_hz",
)
"""Columns of the step that choices are made by: all but the codes, and where the audio is."""


@dataclass(frozen=True)
class _Concept:
    """A concept of which something is left."""

    recordings: Sequence[Recording]
    rows: Sequence[Row]
    choice: Choice
    said: Mapping[str, Any]


def assemble(
    results: Results,
    found: Recordings,
    folder: Path,
    stored: Storage,
    weights: Weights,
    *,
    segment_seconds: float,
    validation_fraction: float,
    split_seed: int,
    described_by: str | None,
) -> Manifest:
    """Write the dataset of a run, and return its manifest.

    Nothing is written where the same lies there already; where nothing is left of any concept,
    nothing but the list of failures.

    Parameters
    ----------
    results
        What the run made.
    found
        What it was made of.
    folder
        Where the dataset goes.
    stored
        Where the steps have stored the audio of segments.
    weights
        Where the codec lies.
    segment_seconds
        Length of the segments.
    validation_fraction, split_seed
        As :func:`tasks.inversion.choice.choose` has them.
    described_by
        Step whose records say what is known of a recording, if one was run.
    """
    place = Storage(str(folder))
    rows = {track.track_id: row for track, row in results.rows(STEP.name, TOLD)}
    chosen = {
        name: concept
        for name in found.concepts
        if (
            concept := _concept(name, found, rows, segment_seconds, validation_fraction, split_seed)
        )
    }
    failures = [*found.failures, *_failures(results, found, rows, chosen)]
    known = dict(_known(results, described_by))
    fingerprint = _fingerprint(results, chosen, known, failures, weights)
    segments = [
        (recording, number, split)
        for concept in chosen.values()
        for (at, number), split in concept.choice.splits.items()
        for recording in [concept.recordings[at]]
    ]
    names = (*map(metadata_name, SPLITS), CONCEPTS, FAILURES, REPORT)
    if before := unchanged(
        place,
        fingerprint,
        lambda manifest: [folder / name for name in (*names, *manifest["files"])],
    ):
        return before
    counts = Counter(split for _, _, split in segments)
    manifest: Manifest = {
        "created_at": now(),
        "fingerprint": fingerprint,
        "codec": _codec(rows, weights),
        "segment_seconds": segment_seconds,
        # Of longer pieces, EnCodec gives other codes at the edges.
        "chunk_seconds": segment_seconds,
        "decoders": _decoders(results, rows),
        "validation_fraction": validation_fraction,
        "split_seed": split_seed,
        "counts": {
            "tracks": len({recording.item.track_id for recording, _, _ in segments}),
            "concepts": len(chosen),
            "train": counts["train"],
            "validation": counts["validation"],
            "failed": count_failed_files(failures),
        },
        "concepts": {name: concept.said for name, concept in chosen.items()},
        "failures_by_reason": count_by_reason(failures),
        "passed_over": found.passed_over,
        "steps": provenance.steps(results.stages, weights),
        "seconds_by_step": provenance.seconds(results),
    }
    said = manifest["concepts"]
    if chosen:
        declare_unfinished(place)
    write_failures(place, failures)
    if not chosen:
        return manifest
    page = report.render(manifest, said, failures)
    place.write_bytes(REPORT, page.encode())
    return concepts.write(
        place, _new_segments(results, segments, known, stored, segment_seconds), said, manifest
    )


def _concept(
    name: str,
    found: Recordings,
    rows: Mapping[str, Row],
    segment_seconds: float,
    validation_fraction: float,
    seed: int,
) -> _Concept | None:
    """Choose of the segments of a concept; None if there are none."""
    recordings = [
        each for each in found.recordings if each.concept == name and each.item.track_id in rows
    ]
    if not recordings:
        return None
    of_each = [rows[each.item.track_id] for each in recordings]
    heard = [
        Heard(
            track_id=recording.item.track_id,
            song_id=recording.song_id,
            fingerprint=np.frombuffer(row["fingerprint"], "<u4").astype(np.uint32),
            start_seconds=row["start_seconds"],
            segment_seconds=segment_seconds,
        )
        for recording, row in zip(recordings, of_each, strict=True)
    ]
    choice = choose(name, heard, validation_fraction, seed)
    used = {
        split: {at for (at, _), one in choice.splits.items() if one == split} for split in SPLITS
    }
    said = {
        "recordings": {"all": len(set.union(*used.values()))}
        | {split: len(used[split]) for split in SPLITS},
        "segments": {
            split: sum(one == split for one in choice.splits.values()) for split in SPLITS
        },
        "left_out": {
            "silent": sum(row["silent_segments"] for row in of_each),
            "repeated": choice.repeated,
            "gap": choice.gap,
            "copies": found.copies[name],
        },
        "notices": [*choice.notices, *_shared(name, recordings, found)],
    }
    return _Concept(recordings, of_each, choice, said)


def _shared(name: str, recordings: Sequence[Recording], found: Recordings) -> Iterator[str]:
    """Say which recordings are examples of other concepts too."""
    mine = {each.song_id for each in recordings}
    others = Counter(
        each.concept for each in found.recordings if each.concept != name and each.song_id in mine
    )
    for other, count in sorted(others.items()):
        yield (
            f"{counted(count, 'recording')} of {name} {'is' if count == 1 else 'are'} of {other} "
            "as well: what tells the two apart is learnt from the others."
        )


def _known(results: Results, described_by: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what was measured of each recording, by its identity."""
    if described_by:
        for track, row in results.rows(described_by, ["record"]):
            yield track.track_id, known_of(orjson.loads(row["record"]))


def _new_segments(
    results: Results,
    segments: Sequence[tuple[Recording, int, concepts.Split]],
    known: Mapping[str, Mapping[str, Any]],
    stored: Storage,
    segment_seconds: float,
) -> Iterator[NewSegment]:
    of: str | None = None
    row: Row = {}
    for recording, number, split in segments:
        item = recording.item
        if item.track_id != of:
            of, row = item.track_id, results.row(STEP.name, item)
        start = (item.start_seconds or 0.0) + row["start_seconds"][number]
        yield NewSegment(
            concept=recording.concept,
            split=split,
            track_id=recording.song_id,
            start_seconds=round(start, 3),
            duration_seconds=segment_seconds,
            # Segments are a second long at least.
            name=f"{recording.name}-{int(start + 1e-6):05d}",
            codes=np.frombuffer(row["codes"][number], "<u2").reshape(row["codebooks"], -1),
            audio=(stored, row["audio_paths"][number]),
            known=recording.known or known.get(item.track_id, {}),
        )


def _failures(
    results: Results,
    found: Recordings,
    rows: Mapping[str, Row],
    chosen: Mapping[str, _Concept],
) -> Iterator[Failure]:
    for track, step, entry in results.failures():
        yield failure(
            track.track_id,
            track.path,
            step,
            entry.reason,
            entry.error,
            in_dataset=track.track_id in rows,
        )
    for name in found.concepts:
        count = sum(each.concept == name for each in found.recordings)
        if count and name not in chosen:
            yield failure(
                None,
                name,
                "choose",
                "nothing-left",
                f"Nothing of {name} is left: {counted(count, 'recording')} failed, as the other "
                "rows of this list say. Add others.",
                in_dataset=False,
            )


def _codec(rows: Mapping[str, Row], weights: Weights) -> dict[str, Any]:
    """Return what is known of the codec; of no recording, only which it is."""
    names = ("sample_rate_hz", "frame_rate_hz", "codebooks", "codebook_size")
    told = [{name: row[name] for name in names} for row in rows.values()]
    return {"name": CODEC_NAME, "revision": weights.revision(CODEC_NAME)} | dict(*told[:1])


def _decoders(results: Results, rows: Mapping[str, Row]) -> dict[str, int]:
    """Count the recordings that each library decoded."""
    found = results.rows("probe", ["decoder"])
    return dict(Counter(row["decoder"] for track, row in found if track.track_id in rows))


def _fingerprint(
    results: Results,
    chosen: Mapping[str, _Concept],
    known: Mapping[str, Mapping[str, Any]],
    failures: Sequence[Failure],
    weights: Weights,
) -> str:
    """Digest of everything that the files depend on."""
    segments = [
        [
            name,
            recording.name,
            recording.song_id,
            recording.item.start_seconds,
            results.key(STEP.name, recording.item),
            number,
            split,
            dict(recording.known) or known.get(recording.item.track_id),
        ]
        for name, concept in chosen.items()
        for (at, number), split in concept.choice.splits.items()
        for recording in [concept.recordings[at]]
    ]
    said = [concept.said for concept in chosen.values()]
    parts = [FORMAT_VERSION, weights.revision(CODEC_NAME), segments, said, failures]
    return digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))
