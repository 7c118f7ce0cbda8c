"""The course of a training as a page shows it: a sentence, figures and curves."""

from collections.abc import Mapping
from html import escape
from typing import Any

from apps.concepts.said import alert, status
from apps.concepts.trainings import State
from models.inversion.tokens import token
from tasks.dataset.fit_charts import drawn as charts
from tasks.inversion.validation import OTHERS, OWN
from tasks.text import duration
from tasks.training.curves import Curve

OF_LOSS = (
    (("loss",), "Loss"),
    (("train/cross_entropy", f"validation/{OWN}"), "Cross-entropy: training, validation"),
)
OF_EVALUATION = (
    (("fad_avg",), "FAD of generated pieces"),
    (("kad_avg",), "KAD of generated pieces"),
    (("clap_similarity_avg",), "Similarity of generated pieces, CLAP"),
)
"""Curves that are drawn together, and what they are called."""

LEGEND = (
    '<p class="note"><i></i> what stands first, <i class="second"></i> second. Validation of a '
    "concept: cross-entropy of its own segments, and of the other concepts' under its prompts.</p>"
)

SENTENCES = {
    "none": "No training was started yet.",
    "running": "Training.",
    "stopping": "It ends after the present step, and keeps what was learned…",
    "finished": "Finished. What was learned is in the tab Generate, after a refresh.",
    "stopped": "Stopped. What was learned of every epoch is in the tab Generate, after a refresh; "
    "Start training with the same options goes on from here.",
}


def described(state: State, *, is_own: bool) -> str:
    """Return how things stand, in a sentence.

    Parameters
    ----------
    state
        Of the last training.
    is_own
        Whether it was started in this window.
    """
    if state.stage == "failed":
        return alert(f"It failed. {state.said}")
    said = SENTENCES[state.stage]
    if state.stage == "running" and state.progress is None:
        said = "The training begins: the model is loaded…"
    if state.is_running and not is_own:
        said = f"This training was started in another window. {said}"
    return status(said)


def drawn(state: State) -> str:
    """Return figures, curves and the command of a training."""
    if state.stage == "none":
        return ""
    parts = [_facts(state)]
    progress = state.progress or {}
    parts += [f'<p class="note">{escape(note)}</p>' for note in progress.get("notes", ())]
    figures = [f'<div class="chart">{svg}</div>' for _, svg in _charts(progress)]
    if figures:
        parts.append(f'<div class="charts">{"".join(figures)}</div>{LEGEND}')
    parts.append(f'<p class="note">The same from a terminal:</p><pre>{escape(state.command)}</pre>')
    return "".join(parts)


def _facts(state: State) -> str:
    progress = state.progress or {}
    facts = [("Time", duration(state.seconds))]
    if progress:
        facts.insert(0, ("Step", f"{progress['step']:,} of {progress['total']:,}"))
        left = progress["seconds_left"]
        if state.is_running and left is not None:
            facts.append(("Left", duration(left)))
        scalars = progress["scalars"]
        facts += [
            (label, f"{scalars[name]:.4g}")
            for name, label in (("loss", "Loss"), (f"validation/{OWN}", "Validation"))
            if name in scalars
        ]
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
        + "</dl>"
    )


def _charts(progress: Mapping[str, Any]) -> list[tuple[str, str]]:
    steps = progress.get("curve_steps", {})
    curves = {
        name: Curve(steps[name], values) for name, values in progress.get("curves", {}).items()
    }
    prefix = f"validation/{OWN}/"
    concepts = [name.removeprefix(prefix) for name in curves if name.startswith(prefix)]
    of_each = (
        ((f"{prefix}{name}", f"validation/{OTHERS}/{name}"), f"Validation: {token(name)}, others")
        for name in concepts
    )
    return charts(curves, (*OF_LOSS, *of_each, *OF_EVALUATION))
