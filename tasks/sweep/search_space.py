"""What a sweep goes through: the file, in the format of wandb's sweeps, read and checked.

https://docs.wandb.ai/models/sweeps/sweep-config-keys describes the format.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tasks.sweep import parameters
from tasks.sweep.error import SweepError, unknown
from tasks.sweep.parameters import Choice, Parameter

Method = Literal["grid", "random", "bayes"]
Goal = Literal["minimize", "maximize"]

UNUSED = ("program", "command", "name", "entity", "description")
"""Keys that say how wandb runs a sweep and what it calls it."""

KEYS = ("method", "metric", "parameters", "early_terminate", "run_cap", "project", *UNUSED)

HYPERBAND_ETA = 3
"""Of the runs that reach a rung one in so many goes on, unless the file says otherwise: wandb's."""


@dataclass(frozen=True)
class Metric:
    """What runs are compared by."""

    name: str
    goal: Goal = "minimize"


@dataclass(frozen=True)
class EarlyTermination:
    """When runs are ended that do worse than others: after so many validations, and `eta` times."""

    min_iter: int
    eta: int = HYPERBAND_ETA


@dataclass(frozen=True)
class SearchSpace:
    """A sweep's file.

    Attributes
    ----------
    method, metric, parameters
        How values are chosen, what runs are compared by, and what is varied, by dotted names.
    early_terminate
        When runs are ended early; None for never.
    run_cap
        Most runs; None for all of a grid.
    project
        What trackers call the whole; None if the file does not say.
    unused
        Keys of the file that only wandb uses.
    """

    method: Method
    metric: Metric
    parameters: Mapping[str, Parameter]
    early_terminate: EarlyTermination | None = None
    run_cap: int | None = None
    project: str | None = None
    unused: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this sweep from others, as JSON: not how many runs it may have."""
        early = self.early_terminate
        return {
            "method": self.method,
            "metric": asdict(self.metric),
            "parameters": {name: asdict(each) for name, each in self.parameters.items()},
            "early_terminate": None if early is None else asdict(early),
        }

    @property
    def varied(self) -> dict[str, Parameter]:
        """Parameters that are not the same in all runs."""
        return {name: each for name, each in self.parameters.items() if not each.is_constant}

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the other parameters."""
        found = {}
        for name, each in self.parameters.items():
            if isinstance(each, Choice) and each.is_constant:
                (found[name],) = each.values
        return found

    @property
    def runs(self) -> int:
        """How many runs the sweep has."""
        if self.method != "grid":
            assert self.run_cap is not None
            return self.run_cap
        count = math.prod(len(points) for points in self._axes().values())
        return min(count, self.run_cap or count)

    def grid(self, number: int) -> dict[str, Any]:
        """Return the values of a run of a grid: the last parameter varies fastest."""
        axes = self._axes()
        rows = itertools.product(*axes.values())
        return dict(zip(axes, next(itertools.islice(rows, number, None)), strict=True))

    def _axes(self) -> dict[str, Sequence[Any]]:
        axes = {}
        for name, each in self.varied.items():
            points = each.points()
            if points is None:
                raise SweepError(
                    f"A grid has no end over the parameter {name}, which is any number of a range: "
                    "give values, a q with q_uniform, or method random."
                )
            axes[name] = points
        return axes


def read(path: Path) -> SearchSpace:
    """Read the file of a sweep.

    Raises
    ------
    SweepError
        If it cannot be read, or is not understood.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place is not None else ""
        raise SweepError(f"{path}{where} is no YAML: correct it.") from error
    try:
        return parse(content)
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from error


def parse(content: Any) -> SearchSpace:
    """Return what the content of a sweep's file means.

    Raises
    ------
    SweepError
        If it is not understood.
    """
    given = _table(content, "A sweep")
    for key in given:
        if key not in KEYS:
            raise unknown(key, "key", KEYS)
    if "method" not in given:
        raise SweepError("There is no method: give grid, random or bayes.")
    method = given["method"]
    if method not in get_args(Method):
        raise unknown(method, "method", get_args(Method))
    space = SearchSpace(
        method=method,
        metric=_metric(given.get("metric")),
        parameters=_parameters(_table(given.get("parameters"), "parameters")),
        early_terminate=_early(given["early_terminate"]) if "early_terminate" in given else None,
        run_cap=None if given.get("run_cap") is None else _whole(given["run_cap"], "run_cap", 1),
        project=given.get("project"),
        unused=tuple(key for key in UNUSED if key in given),
    )
    if method == "grid":
        _ = space.runs
    elif space.run_cap is None:
        raise SweepError(f"method {method} has no end of its own: give run_cap.")
    weighted = [n for n, each in space.parameters.items() if getattr(each, "probabilities", None)]
    if weighted and method != "random":
        raise SweepError(
            f"probabilities of the parameter {weighted[0]} are for method random, not {method}."
        )
    return space


def _metric(given: Any) -> Metric:
    table = _table(given, "metric")
    for key in table:
        if key == "target":
            raise SweepError("metric.target is not supported: leave it out, and give run_cap.")
        if key not in ("name", "goal"):
            raise unknown(key, "key of metric:", ("name", "goal"))
    if not isinstance(table.get("name"), str):
        raise SweepError("metric has no name: give that of a metric of the training.")
    goal = table.get("goal", "minimize")
    if goal not in get_args(Goal):
        raise unknown(goal, "goal of metric:", get_args(Goal))
    return Metric(table["name"], goal)


def _parameters(given: Mapping[str, Any], above: str = "") -> dict[str, Parameter]:
    """Return parameters by dotted names; those of nested groups follow each other."""
    found: dict[str, Parameter] = {}
    for key, value in given.items():
        name = f"{above}{key}"
        table = _table(value, f"The parameter {name}")
        if "parameters" in table:
            if len(table) > 1:
                raise SweepError(f"The parameter {name} has parameters, and so nothing else.")
            nested = _table(table["parameters"], f"parameters of {name}")
            found |= _parameters(nested, f"{name}.")
        else:
            found[name] = parameters.parse(name, table)
    return found


def _early(given: Any) -> EarlyTermination:
    """Return when runs are ended early, which wandb writes in two ways.

    ``min_iter``: the first rung, and each further one `eta` times as high; ``max_iter`` and ``s``:
    the last of `s` rungs is an `eta`-th of it. Both are asynchronous successive halving.
    """
    table = _table(given, "early_terminate")
    known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    for key in table:
        if key not in known:
            raise unknown(key, "key of early_terminate:", known)
    if table.get("type") != "hyperband":
        raise unknown(table.get("type"), "type of early_terminate:", ("hyperband",))
    if table.get("strict"):
        raise SweepError("early_terminate.strict is not supported: leave it out.")
    eta = _whole(table.get("eta", HYPERBAND_ETA), "early_terminate.eta", 2)
    if ("min_iter" in table) == ("max_iter" in table):
        raise SweepError("early_terminate needs either min_iter, or max_iter and s.")
    if "min_iter" in table:
        return EarlyTermination(_whole(table["min_iter"], "early_terminate.min_iter", 1), eta)
    if "s" not in table:
        raise SweepError("early_terminate.max_iter needs s, the number of rungs.")
    most = _whole(table["max_iter"], "early_terminate.max_iter", 1)
    rungs = _whole(table["s"], "early_terminate.s", 1)
    if most // eta**rungs < 1:
        raise SweepError(
            f"early_terminate has no rung below max_iter {most} / {eta}**{rungs}: give a smaller s."
        )
    return EarlyTermination(most // eta**rungs, eta)


def _whole(value: Any, name: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise SweepError(f"{name} has to be a whole number of at least {least}, not {value}.")
    return value


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise SweepError(f"{name} has to have keys and values.")
    return {str(key): each for key, each in value.items()}
