"""What a training of concepts made: its figures, its model and its report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models import trained as models
from models.inversion import embeds
from models.inversion.adapter import Method
from models.protocols import CONCEPTS
from tasks.inversion import training_report
from tasks.inversion.epochs import Epoch, Epochs
from tasks.inversion.validation import OWN
from tasks.training.session import Session
from tasks.training.training import Trained

if TYPE_CHECKING:
    from models.inversion.network import Learner

METRICS = "metrics.json"
LICENCE = "as the recordings of the concepts"

UNTRAINED = "untrained"
"""What metrics of before the first step begin with."""


def figures(
    epochs: Epochs, best: Mapping[str, Epoch], last: int, untrained: Mapping[str, float]
) -> dict[str, float]:
    """Return figures of the best epoch of each concept, and of before the first step."""
    validated = {
        name: epoch.metrics[name]
        for concept, epoch in best.items()
        for name in untrained
        if name.endswith(f"/{concept}")
    }
    own = [validated[f"{OWN}/{name}"] for name in best]
    evaluated = [epoch.metrics for epoch in epochs.upto(last) if "fad_avg" in epoch.metrics]
    return {
        f"validation/{OWN}": sum(own) / len(own),
        **{f"validation/{name}": value for name, value in validated.items()},
        **{f"{UNTRAINED}/{name}": value for name, value in untrained.items()},
        **{f"best_epoch/{name}": float(epoch.number) for name, epoch in best.items()},
        "epochs": float(last),
        **{
            name: value
            for name, value in (evaluated[-1] if evaluated else {}).items()
            if name not in untrained
        },
    }


@dataclass(frozen=True)
class Made:
    """What a training made, to be written.

    Attributes
    ----------
    method, learner
        How it learnt, and with what, which has the best weights where these are of all concepts.
    about
        Names and revisions: ``model``, ``model_revision``.
    segments
        How many segments each concept was learnt from and validated on, by name.
    epochs, best
        All that are stored, and that of each concept.
    result, metrics
        Of the training.
    """

    method: Method
    learner: "Learner"
    about: Mapping[str, str]
    segments: Mapping[str, tuple[int, int]]
    epochs: Epochs
    best: Mapping[str, Epoch]
    result: Trained
    metrics: Mapping[str, float]


def write(made: Made, session: Session) -> None:
    """Write the model of each concept's best epoch, its figures and the report."""
    from models.inversion import learners

    folder, about = session.model_folder, made.about
    vectors = made.epochs.vectors(made.best)
    if made.method == "lora":
        learners.write(made.learner, folder, about)
    else:
        embeds.write(folder / embeds.FILE, vectors, about)
    (folder / METRICS).write_text(json.dumps(dict(made.metrics), indent=2))
    page = training_report.render(
        training_report.Content(
            generator=about["model"],
            segments=made.segments,
            vectors=vectors,
            metrics=made.metrics,
            curves=session.curves,
            steps=made.result.steps,
            stopped_early=made.result.stopped_early,
            seconds=session.seconds,
            notes=session.notes,
        )
    )
    (folder / training_report.REPORT).write_text(page, encoding="utf-8")
    models.write(
        folder,
        name="inversion",
        task=CONCEPTS.name,
        adapter="models.inversion.adapter:load",
        arguments={
            "model": about["model"],
            "model_revision": about["model_revision"],
            "method": made.method,
            "tokens": {name: len(rows) for name, rows in vectors.items()},
        },
        licence=LICENCE,
        fit=session.provenance,
        metrics=made.metrics,
    )
