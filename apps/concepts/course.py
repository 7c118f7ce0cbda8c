"""The course of a training as a page shows it: a sentence, figures and curves."""

from collections.abc import Mapping
from html import escape
from typing import Any

from apps.concepts.said import alert, status
from apps.concepts.trainings import State
from tasks.dataset.fit_charts import drawn as charts
from tasks.inversion.training_report import together
from tasks.inversion.validation import OWN
from tasks.text import duration
from tasks.training.curves import Curve

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
        said = f"Started in another window. {said}"
    return status(said)


def drawn(state: State) -> str:
    """Return figures, curves and the command of a training."""
    if state.stage == "none":
        return ""
    parts = [_facts(state)]
    progress = state.progress or {}
    parts += [f'<p class="note">{escape(note)}</p>' for note in progress.get("notes", ())]
    parts += [f'<div class="chart">{svg}</div>' for _, svg in charts(*_curves(progress))]
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


def _curves(progress: Mapping[str, Any]) -> tuple[dict[str, Curve], Any]:
    steps = progress.get("curve_steps", {})
    curves = {
        name: Curve(steps[name], values) for name, values in progress.get("curves", {}).items()
    }
    prefix = f"validation/{OWN}/"
    names = [name.removeprefix(prefix) for name in curves if name.startswith(prefix)]
    return curves, together(names)
