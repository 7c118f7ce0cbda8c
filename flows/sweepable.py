"""The trainings that can be swept: a row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import cli, run, train_inversion, train_projection, train_separator
from flows.compute_params import TrainingParams
from flows.train_inversion_params import TrainInversionParams
from flows.train_projection_params import TrainProjectionParams
from flows.train_separator_params import TrainSeparatorParams
from tasks.engine.fit_job import FitJob

JobOf = Callable[[Any], FitJob]
"""From a training's parameters to its fit; raises UsageError if it cannot be."""


@dataclass(frozen=True)
class Sweepable:
    """A training that can be swept.

    Attributes
    ----------
    params
        Its parameters: what is varied are its command's options.
    folder
        Option that names its output folder, which is the sweep's.
    check
        Finds what is wrong with its parameters before any work.
    jobs
        Returns what makes fits of parameters, in a flow run; it keeps what fits share.
    use
        Command that uses a model which was trained so, by the model's folder.
    own
        Other options that are none of a sweep's.
    """

    params: type[TrainingParams]
    folder: str
    check: Callable[[Any], object]
    jobs: Callable[[], JobOf]
    use: Callable[[str], str]
    own: tuple[str, ...] = ("resume",)

    @property
    def not_swept(self) -> frozenset[str]:
        """Options that are the sweep's own, or that no sweep has."""
        return frozenset({self.folder, *self.own, *TrainingParams.model_fields})

    def params_of(self, values: Mapping[str, Any], params: TrainingParams, folder: Path) -> Any:
        """Return the parameters of one training of a sweep.

        Parameters
        ----------
        values
            By the names of options.
        params
            The sweep's, which say where it runs.
        folder
            For what the training writes besides its fit.

        Raises
        ------
        UsageError
            If there is no such option, or a value is wrong.
        """
        where = {name: getattr(params, name) for name in TrainingParams.model_fields}
        own = {**where, self.folder: folder}
        return cli.of_options(self.params, {**values, **own})


def _projections() -> JobOf:
    return lambda params: train_projection.plan(params).job


def _separators() -> JobOf:
    indices: dict[Any, str] = {}

    def job_of(params: TrainSeparatorParams) -> FitJob:
        # Songs are decoded once for all trainings that hear them alike.
        heard = (params.data_root, params.store_dir, params.max_songs, params.decoding)
        if heard not in indices:
            decoded = run.carry_out(train_separator.DECODE, params)
            indices[heard] = decoded[train_separator.INDEX]
        return train_separator.plan(params, indices[heard])[0]

    return job_of


SWEEPABLE: Mapping[str, Sweepable] = {
    "inversion": Sweepable(
        TrainInversionParams,
        folder="output",
        check=train_inversion.plan,
        jobs=lambda: train_inversion.plan,
        use=lambda model: "python flows/generate_music.py PROMPT " + cli.option("embeds", model),
        own=(),
    ),
    "projection": Sweepable(
        TrainProjectionParams,
        folder="output",
        check=train_projection.plan,
        jobs=_projections,
        use=lambda model: "python flows/search_music.py TEXT " + cli.option("projection", model),
    ),
    "separator": Sweepable(
        TrainSeparatorParams,
        folder="workdir",
        check=train_separator.check,
        jobs=_separators,
        use=lambda model: "python flows/separate.py SONG " + cli.option("checkpoint", model),
    ),
}
"""By the name that the sweep's command has for it."""
