"""One page that shows what is in a dataset of concepts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.dataset import page
from tasks.inversion.concepts import SPLITS


def render(
    manifest: Mapping[str, Any],
    concepts: Mapping[str, Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
) -> str:
    """Return the page, as HTML.

    Parameters
    ----------
    manifest
        Content of ``manifest.json``.
    concepts
        Content of ``metadata_concepts.json``.
    failures
        Rows of ``failures.jsonl``.
    """
    counts, seconds = manifest["counts"], manifest["segment_seconds"]
    steps = [
        {
            "name": step["step"],
            "version": step["step_version"],
            "columns": [],
            "config": step["config"],
            "models": step["models"],
        }
        for step in manifest["steps"]
    ]
    return page.render(
        Path(__file__).with_name("report.html.j2"),
        facts=[
            (f"{counts['concepts']:,}", "concepts"),
            (f"{counts['tracks']:,}", "recordings"),
            *((f"{counts[split]:,}", f"segments to {verb}") for split, verb in _VERBS.items()),
            page.duration_fact(seconds * sum(counts[split] for split in SPLITS)),
            (f"{counts['failed']:,}", "failed"),
        ],
        item="Recording",
        failures=failures,
        steps=page.with_costs(steps, manifest["seconds_by_step"]),
        created_at=manifest["created_at"],
        codec=manifest["codec"],
        segment_seconds=f"{seconds:g}",
        concepts=[(name, said, left_out(said)) for name, said in concepts.items()],
    )


_VERBS = {"train": "train", "validation": "validate"}

_LEFT_OUT = {
    "silent": "silent",
    "repeated": "repeated",
    "gap": "between training and validation",
}


def left_out(said: Mapping[str, Any]) -> str:
    """Return what of a concept was left out and why; empty if nothing was."""
    counts = said["left_out"]
    parts = [f"{counts[name]:,} {why}" for name, why in _LEFT_OUT.items() if counts[name]]
    if copies := counts["copies"]:
        parts.append(f"{copies:,} {'copy' if copies == 1 else 'copies'} of other files")
    return ", ".join(parts)
