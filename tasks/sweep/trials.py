"""The runs of a sweep as Optuna's trials, in a database that survives.

A trial that was begun is in the study with its values before its fit is submitted, in one
transaction; one that has failed or was interrupted stays open, and the next command takes it up.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.step import digest
from tasks.sweep.error import SweepError
from tasks.sweep.parameters import Parameter
from tasks.sweep.search_space import SearchSpace

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

FILE = "study.db"
"""Name of the SQLite database of an output folder's sweeps; Optuna's own tools read it."""

SEED_HEX_DIGITS = 8
"""Seeds of NumPy's RandomState, which Optuna uses, have 32 bits."""

LEAST_FOR_IMPORTANCE = 10
"""Fewest finished runs of which importances are told, which ask what the best tenth is like."""

State = Literal["open", "finished", "pruned"]


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes
    ----------
    number
        From 0 on.
    values
        Of all parameters of the sweep, constants too.
    state
        ``open`` until it has finished, or was ended early.
    metric
        What it came to, if it has finished.
    """

    number: int
    values: Mapping[str, Any]
    state: State
    metric: float | None = None


class Trials:
    """The trials of one sweep, which are found again by what the sweep is.

    Parameters
    ----------
    folder
        Where the database lies.
    space
        What is searched.
    seed
        Of everything that is drawn.
    depends_on
        What else the results depend on: of another dataset, the sweep begins anew.

    Raises
    ------
    SweepError
        If the database cannot be used.
    """

    def __init__(self, folder: Path, space: SearchSpace, seed: int, depends_on: str = "") -> None:
        self.space = space
        self._seed = seed
        said = json.dumps([space.identity, seed, depends_on], sort_keys=True, default=str)
        self._study = _open(folder / FILE, digest(said.encode())[:16], space)

    def all(self) -> list[Trial]:
        """Return all trials that were begun, in order."""
        from optuna.trial import TrialState

        states: dict[TrialState, State]
        states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned"}
        return [
            Trial(
                each.number,
                _values(self.space, each.params),
                states.get(each.state, "open"),
                each.value if each.state == TrialState.COMPLETE else None,
            )
            for each in self._frozen()
        ]

    def begin(self) -> Trial:
        """Draw the values of the next trial, write them down, and return it.

        Of a grid and at random, those of the trial of a number are always the same. ``bayes``
        considers what is known now, and draws the first ten at random.
        """
        from optuna.trial import TrialState, create_trial

        before = self._frozen()
        drawn = _drawn(self.space, self._seed, len(before), before)
        new = create_trial(
            state=TrialState.RUNNING, params=drawn, distributions=_distributions(self.space)
        )
        self._study.add_trial(new)
        return Trial(len(before), _values(self.space, drawn), "open")

    def report(self, number: int, values: Sequence[float], count: int) -> bool:
        """Take up the validations of a trial, and return whether to end it.

        Parameters
        ----------
        number
            Of the trial.
        values
            What the validations came to, in order; of many some are left out, never the last.
        count
            How many there were.
        """
        import optuna

        known = self._frozen()[number]
        trial = optuna.trial.Trial(self._study, known._trial_id)
        every = list(enumerate(values, 1)) if len(values) == count else [(count, values[-1])]
        for at, value in every:
            if at > (known.last_step or 0):
                trial.report(value, at)
                if self.space.early_terminate is not None and trial.should_prune():
                    return True
        return False

    def validations(self, number: int) -> int:
        """Return how many validations of a trial were reported."""
        return self._frozen()[number].last_step or 0

    def finish(self, number: int, metric: float) -> None:
        """Write down what a trial came to."""
        self._study.tell(number, metric)

    def prune(self, number: int) -> None:
        """Write down that a trial was ended early."""
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.PRUNED)

    def importance(self) -> dict[str, float]:
        """Return the importance of each parameter, in all 1, the highest first.

        By PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023): how much a parameter sets the best
        tenth of the runs apart. Empty where there are too few runs, or nothing varies.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        finished = [each for each in self.all() if each.state == "finished"]
        if len(finished) < LEAST_FOR_IMPORTANCE or len(self.space.varied) < 2:
            return {}
        if len({each.metric for each in finished}) < 2:
            return {}
        found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _frozen(self) -> list["FrozenTrial"]:
        found: list[FrozenTrial] = self._study.get_trials(deepcopy=False)
        return found


def first_values(space: SearchSpace, seed: int, number: int) -> dict[str, Any]:
    """Return the values of a trial as they are while nothing is known of others."""
    return _values(space, _drawn(space, seed, number, ()))


def _drawn(
    space: SearchSpace, seed: int, number: int, before: Sequence["FrozenTrial"]
) -> dict[str, Any]:
    """Return what Optuna keeps of the values of a trial."""
    if space.method == "grid":
        return {name: json.dumps(value) for name, value in space.grid(number).items()}
    import optuna

    # A sampler of its own for each, so that trials are the same after an interruption. A study
    # in memory asks, since asking of the database would leave trials with half of their values.
    own_seed = int(digest(f"{seed}:{number}".encode())[:SEED_HEX_DIGITS], 16)
    sampler = (
        optuna.samplers.RandomSampler(seed=own_seed)
        if space.method == "random"
        else optuna.samplers.TPESampler(seed=own_seed)
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=space.metric.goal, sampler=sampler)
    study.add_trials(before)
    params: dict[str, Any] = study.ask(_distributions(space)).params
    return params


def _values(space: SearchSpace, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters, in the order of the file."""
    constants, is_grid = space.constants, space.method == "grid"

    def value(name: str, parameter: Parameter) -> Any:
        if name in constants:
            return constants[name]
        return json.loads(drawn[name]) if is_grid else parameter.value(drawn[name])

    return {name: value(name, each) for name, each in space.parameters.items()}


def _open(path: Path, name: str, space: SearchSpace) -> "Study":
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    early = space.early_terminate
    # wandb's hyperband has one bracket, which is asynchronous successive halving.
    pruner = (
        optuna.pruners.NopPruner()
        if early is None
        else optuna.pruners.SuccessiveHalvingPruner(
            min_resource=early.min_iter, reduction_factor=early.eta
        )
    )
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path.absolute()}",
            study_name=name,
            direction=space.metric.goal,
            pruner=pruner,
            load_if_exists=True,
        )
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise SweepError(
            f"{path} is no database of sweeps that can be read and written: move it away, and what "
            "has finished is found all the same."
        ) from error


def _distributions(space: SearchSpace) -> dict[str, Any]:
    if space.method != "grid":
        return {name: each.distribution() for name, each in space.varied.items()}
    from optuna.distributions import CategoricalDistribution

    return {
        name: CategoricalDistribution([json.dumps(value) for value in each.points() or ()])
        for name, each in space.varied.items()
    }
