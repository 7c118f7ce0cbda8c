"""Shards that were built apart, merged into the dataset that one build would have made."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from tasks.dataset import corrections
from tasks.dataset.failures import (
    Failure,
    count_by_reason,
    count_failed_files,
    read_failures,
    write_failures,
)
from tasks.dataset.manifest import declare_unfinished, now, read_manifest
from tasks.dataset.near_duplicates import Words
from tasks.dataset.passed_over import in_order
from tasks.song import assemble, corrected, dataset, fingerprints, splits
from tasks.song.dataset import Paths, Record
from tasks.song.splits import Splitting


class ShardError(Exception):
    """Shards that cannot be merged; one sentence."""


def merge_shards(
    shards: Sequence[Paths], target: Paths, splitting: Splitting | None = None
) -> Record:
    """Merge datasets into one, each track once, and return its manifest.

    Nothing but one track of each shard is in memory, and the acoustic fingerprints of all: copies
    of one recording may lie in different shards.

    Parameters
    ----------
    shards
        Datasets to merge.
    target
        Where the merged dataset goes.
    splitting
        How its tracks are split; as the shards were, if not given.

    Raises
    ------
    ShardError
        If one of them is missing, damaged, or was made in another way.
    """
    manifests = [_manifest(shard) for shard in shards]
    first = manifests[0]
    for shard, content in zip(shards, manifests, strict=True):
        for aspect in ("format_version", "profile", "columns"):
            if content[aspect] != first[aspect]:
                raise ShardError(
                    f"{shard.json} was made with other {aspect} than {shards[0].json}: build it "
                    "again with the same version and options."
                )
    copies: dict[str, str] = {}
    made = corrections.read(target.storage)
    try:
        words = _fingerprints(shards, first)
        artists = corrected.artists(dataset.artists(shards), made)
        placed = splits.place(artists, words, splitting or _splitting(first))
        declare_unfinished(target.storage)
        failures = _without_repetition(
            failure for shard in shards for failure in read_failures(shard.storage)
        )
        records = dataset.merged([dataset.read(shard.json) for shard in shards], copies)
        merge = corrected.Merge(made)
        count = assemble.write(target, filter(None, map(merge, records)), placed, words)
    except ValueError as error:
        raise ShardError(f"{error}: build that shard again.") from error
    failures = merge.seen_by(failures)
    write_failures(target.storage, failures)
    for each in manifests:
        for path, original in each["duplicates"].items():
            copies[path] = copies.get(original, original)
    content = first | {
        "created_at": now(),
        "counts": {
            "tracks": count,
            "failed": count_failed_files(failures),
            "duplicates": len(copies),
            "videos": sum(each["counts"].get("videos", 0) for each in manifests),
        },
        "failures_by_reason": count_by_reason(failures),
        "passed_over": in_order(
            sum((Counter(each.get("passed_over", {})) for each in manifests), Counter())
        ),
        "corrections": corrected.added(
            [*(each.get("corrections", {}) for each in manifests), merge.summary()]
        ),
        "duplicates": dict(sorted(copies.items())),
        "seconds_by_step": _summed([each["seconds_by_step"] for each in manifests]),
        "peak_memory_mb_by_step": _largest([each["peak_memory_mb_by_step"] for each in manifests]),
        "columns": placed.made(first["columns"]),
        "splits": placed.summary(),
        "vocals_dir": None,
        "shards": [
            {"json": str(shard.json), "vocals_dir": each["vocals_dir"], **each["counts"]}
            for shard, each in zip(shards, manifests, strict=True)
        ],
        "fingerprint": None,
    }
    return assemble.finish(target, content)


def _fingerprints(shards: Sequence[Paths], manifest: Record) -> dict[str, Words] | None:
    """Return the acoustic fingerprints of all tracks; None if none were made."""
    if "absent" in manifest["columns"]["tracks.duplicate_group"]:
        return None
    return dict(chain.from_iterable(fingerprints.read(shard.fingerprints) for shard in shards))


def _splitting(manifest: Record) -> Splitting:
    said = manifest["splits"]
    return Splitting(said["seed"], tuple(said["fractions"]))


def _manifest(shard: Paths) -> Record:
    if not shard.json.exists():
        raise ShardError(f"{shard.json} does not exist: --merge_shards takes the JSON files.")
    manifest = read_manifest(shard.storage)
    if manifest is None or manifest.get("fingerprint", "") == "":
        raise ShardError(
            f"{shard.manifest} is missing or damaged: run the build of that shard to its end."
        )
    return manifest


def _without_repetition(failures: Iterable[Failure]) -> list[Failure]:
    """Failures in the order of their paths; shards may overlap."""
    by_path = {(failure["file_path"], failure["step"]): failure for failure in failures}
    return sorted(by_path.values(), key=lambda failure: failure["file_path"])


def _summed(parts: Sequence[dict[str, float]]) -> dict[str, Any]:
    return {name: round(sum(part.get(name, 0.0) for part in parts), 3) for name in parts[0]}


def _largest(parts: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        step: {
            where: max(part[step][where] for part in parts if where in part.get(step, {}))
            for where in sorted({where for part in parts for where in part.get(step, {})})
        }
        for step in parts[0]
    }
