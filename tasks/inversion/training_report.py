"""The report of what was learnt of concepts: figures, curves, and how near concepts are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.inversion.tokens import token
from tasks.dataset import page
from tasks.dataset.fit_charts import drawn
from tasks.inversion.validation import OTHERS, OWN
from tasks.training.curves import Curve

TEMPLATE = Path(__file__).with_name("training.html.j2")
REPORT = "report.html"

Float32 = npt.NDArray[np.float32]

CURVES = (
    (("loss",), "Loss of the batches"),
    (("train/cross_entropy", f"validation/{OWN}"), "Cross-entropy of training and of validation"),
    (("train/similarity",), "Vectors of a concept that are alike"),
    (("train/closeness",), "Concepts that are too near"),
    (("fad_avg",), "FAD of generated pieces"),
    (("kad_avg",), "KAD of generated pieces"),
    (("clap_similarity_avg",), "Similarity of generated pieces, CLAP"),
    (("learning_rate",), "Learning rate"),
)
"""Curves that are drawn together, and what they are called."""


@dataclass(frozen=True)
class Content:
    """What the report shows.

    Attributes
    ----------
    generator
        That the concepts were learnt with.
    segments
        How many segments each concept was learnt from and validated on, by name.
    vectors
        What was learnt, shape ``(vectors, dimensions)`` each.
    metrics, curves
        Of the fit, by name.
    steps, stopped_early, seconds
        How long it was trained.
    notes
        What happened to the training, a sentence each.
    """

    generator: str
    segments: Mapping[str, tuple[int, int]]
    vectors: Mapping[str, Float32]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve]
    steps: int
    stopped_early: bool
    seconds: float
    notes: Sequence[str]


def render(content: Content) -> str:
    """Render the report of a training as HTML."""
    names = list(content.segments)
    of_each = tuple(
        (
            (f"validation/{OWN}/{name}", f"validation/{OTHERS}/{name}"),
            f"Validation, {token(name)}: its own segments, and (second line) those of others",
        )
        for name in names
    )
    return page.render(
        TEMPLATE,
        facts=[
            (f"{len(names):,}", "concepts" if len(names) > 1 else "concept"),
            (f"{content.metrics['epochs']:,.0f}", "epochs"),
            (f"{content.steps:,}", "steps, stopped early" if content.stopped_early else "steps"),
            page.duration_fact(content.seconds),
        ],
        item="Concept",
        failures=[],
        steps=[],
        generator=content.generator,
        notes=[*content.notes, *([said] if (said := said_n(content.metrics, names)) else [])],
        figures=[_figures(content, name) for name in names],
        charts=drawn(content.curves, (*of_each, *CURVES)),
        distances=[
            (token(one), token(other), f"{_distance(content.vectors, one, other):.2f}")
            for one, other in combinations(names, 2)
        ],
    )


def said_n(metrics: Mapping[str, float], names: Sequence[str]) -> str | None:
    """Return what FAD and KAD of each concept rest on; None where none were told."""
    each = [
        f"{token(name)} {metrics[f'n/{name}']:.0f} against {metrics[f'n_reference/{name}']:.0f}"
        for name in names
        if f"n/{name}" in metrics
    ]
    return (
        f"FAD and KAD are of generated pieces against recordings: {', '.join(each)}."
        if each
        else None
    )


def fallen(metrics: Mapping[str, float], kind: str, concept: str) -> float | None:
    """Return by which share a cross-entropy fell in the training; None where there is none."""
    before = metrics.get(f"untrained/{kind}/{concept}")
    return None if before is None else 1 - metrics[f"validation/{kind}/{concept}"] / before


def _figures(content: Content, name: str) -> dict[str, str | int]:
    found = content.metrics
    learnt_from, validated_on = content.segments[name]
    row: dict[str, str | int] = {
        "concept": token(name),
        "vectors": len(content.vectors[name]),
        "epoch": f"{found[f'best_epoch/{name}']:.0f}",
        "segments": learnt_from,
        "validated": validated_on,
    }
    for column, kind in (("own", OWN), ("others", OTHERS)):
        share = fallen(found, kind, name)
        row[column] = (
            ""
            if share is None
            else f"{found[f'untrained/{kind}/{name}']:.3f} → "
            f"{found[f'validation/{kind}/{name}']:.3f} ({-100 * share:+.1f} %)"
        )
    return row


def _distance(vectors: Mapping[str, Float32], one: str, other: str) -> float:
    return float(np.linalg.norm(vectors[one].mean(0) - vectors[other].mean(0)))
