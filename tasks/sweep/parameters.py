"""One parameter of a sweep: what wandb's distributions draw, in terms of Optuna's.

The distributions are those of https://docs.wandb.ai/models/sweeps/sweep-config-keys. Optuna draws
numbers that are uniform, on a linear or logarithmic scale, and choices; the others are functions of
these, exactly: a normal one of a uniform quantile, a rounded one of what is rounded.
"""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tasks.sweep.error import SweepError, unknown

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers that YAML 1.1 takes for text, since they have no point or no sign: ``1e-4``."""

LEAST_QUANTILE = 1e-9
"""Distance of quantiles from 0 and 1, where a normal distribution is infinite: 6 sigma."""

DIGITS = 12
"""Significant digits of a number that was rounded to multiples: 0.3, not 0.30000000000000004."""

GRID_POINTS = 10_000
"""Most values of one parameter of a grid: more is a mistake."""


@dataclass(frozen=True)
class Choice:
    """One of some values, of any type.

    Attributes
    ----------
    values
        At least one; a constant has one.
    probabilities
        Of each; None if all are the same.
    """

    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.values) == 1

    def points(self) -> Sequence[Any] | None:
        """Return all values there are."""
        return self.values

    def distribution(self) -> "BaseDistribution":
        """Return what Optuna draws."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        if self.probabilities is not None:
            return FloatDistribution(0.0, 1.0)
        # Optuna's choices are of simple types; lists are values here.
        return CategoricalDistribution([json.dumps(each) for each in self.values])

    def value(self, drawn: Any) -> Any:
        """Return the value that something drawn stands for."""
        if self.probabilities is None:
            return json.loads(drawn)
        ends = list(itertools.accumulate(self.probabilities))
        return next(
            (each for each, end in zip(self.values, ends, strict=True) if drawn < end),
            self.values[-1],
        )


@dataclass(frozen=True)
class Range:
    """A number that is drawn uniformly, and what is made of it.

    Attributes
    ----------
    low, high
        Ends of what is drawn, both included.
    is_whole, is_log
        Whether it is a whole number, and whether its logarithm is uniform.
    normal
        Mean and standard deviation of the normal distribution of which the drawn number is a
        quantile; None if it is the number itself.
    is_exponential
        Whether e to the power of it is meant.
    multiple
        What the result is rounded to multiples of.
    """

    low: float
    high: float
    is_whole: bool = False
    is_log: bool = False
    normal: tuple[float, float] | None = None
    is_exponential: bool = False
    multiple: float | None = None

    is_constant = False

    def points(self) -> Sequence[Any] | None:
        """Return all values there are; None where they are without number."""
        if self.is_whole:
            first, last, step = int(self.low), int(self.high), 1.0
        elif self.multiple and not self.is_log and not self.normal:
            step = self.multiple
            first, last = round(self.low / step), round(self.high / step)
        else:
            return None
        if last - first >= GRID_POINTS:
            raise SweepError(
                f"A grid over {last - first + 1:,} values of one parameter has no end: take fewer, "
                "or method random."
            )
        if self.is_whole:
            return range(first, last + 1)
        return [_multiple(at, step) for at in range(first, last + 1)]

    def distribution(self) -> "BaseDistribution":
        """Return what Optuna draws."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high))
        return FloatDistribution(self.low, self.high, log=self.is_log)

    def value(self, drawn: Any) -> Any:
        """Return the value that something drawn stands for."""
        found = drawn
        if self.normal is not None:
            found = NormalDist(*self.normal).inv_cdf(found)
        if self.is_exponential:
            found = math.exp(found)
        if self.multiple is not None:
            found = _multiple(round(found / self.multiple), self.multiple)
        return found


Parameter = Choice | Range


def _multiple(times: int, of: float) -> float:
    if float(of).is_integer():
        return times * int(of)
    return float(f"{times * of:.{DIGITS}g}")


BOUNDS = ("min", "max")
NORMAL: Mapping[str, float] = {"mu": 0.0, "sigma": 1.0}
ROUNDED: Mapping[str, float] = {"q": 1.0}

DISTRIBUTIONS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "constant": (("value",), {}),
    "categorical": (("values",), {"probabilities": None}),
    "int_uniform": (BOUNDS, {}),
    "uniform": (BOUNDS, {}),
    "q_uniform": (BOUNDS, ROUNDED),
    "log_uniform": (BOUNDS, {}),
    "log_uniform_values": (BOUNDS, {}),
    "q_log_uniform": (BOUNDS, ROUNDED),
    "q_log_uniform_values": (BOUNDS, ROUNDED),
    "inv_log_uniform": (BOUNDS, {}),
    "inv_log_uniform_values": (BOUNDS, {}),
    "normal": ((), NORMAL),
    "q_normal": ((), {**NORMAL, **ROUNDED}),
    "log_normal": ((), NORMAL),
    "q_log_normal": ((), {**NORMAL, **ROUNDED}),
}
"""Of each distribution the keys that it needs, and those that it may have with their defaults."""

KEYS = {"distribution", *(key for need, may in DISTRIBUTIONS.values() for key in (*need, *may))}


def parse(name: str, given: Mapping[str, Any]) -> Parameter:
    """Return a parameter as a sweep's file describes it.

    Parameters
    ----------
    name
        For people.
    given
        Its keys and values.

    Raises
    ------
    SweepError
        If it cannot be understood.
    """
    for key in given:
        if key not in KEYS:
            raise unknown(key, f"key of the parameter {name}:", {*KEYS, "parameters"})
    given = {key: numbers(value) for key, value in given.items()}
    distribution = given.get("distribution", _usual(name, given))
    if distribution not in DISTRIBUTIONS:
        raise unknown(distribution, f"distribution of the parameter {name}:", DISTRIBUTIONS)
    need, may = DISTRIBUTIONS[distribution]
    if missing := [key for key in need if key not in given]:
        raise SweepError(f"The parameter {name} is {distribution}: give it {missing[0]}.")
    known = {"distribution", *need, *may}
    if surplus := [key for key in given if key not in known]:
        raise SweepError(
            f"The parameter {name} is {distribution}, which has no {surplus[0]}: leave it out."
        )
    if distribution == "constant":
        return Choice((given["value"],))
    if distribution == "categorical":
        return _choice(name, given)
    return _range(name, distribution, {**may, **given})


def numbers(value: Any) -> Any:
    """Return a value where texts that are numbers with an exponent are numbers."""
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    return [numbers(each) for each in value] if isinstance(value, list) else value


def _usual(name: str, given: Mapping[str, Any]) -> str:
    """Return the distribution of a parameter that names none, as wandb takes it."""
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical"
    if "min" in given and "max" in given:
        whole = all(type(given[key]) is int for key in BOUNDS)
        return "int_uniform" if whole else "uniform"
    if "mu" in given or "sigma" in given:
        return "normal"
    raise SweepError(f"The parameter {name} has no values: give value, values, or min and max.")


def _choice(name: str, given: Mapping[str, Any]) -> Choice:
    values, probabilities = given["values"], given.get("probabilities")
    if not isinstance(values, list) or not values:
        raise SweepError(f"values of the parameter {name} are a list of at least one: [1, 2].")
    if probabilities is None:
        return Choice(tuple(values))
    is_list = isinstance(probabilities, list) and len(probabilities) == len(values)
    if not is_list or not all(_is_number(each) and each >= 0 for each in probabilities):
        raise SweepError(f"The parameter {name} needs a probability for each of its values.")
    if not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise SweepError(
            f"The probabilities of the parameter {name} add up to {sum(probabilities):g}, not 1."
        )
    return Choice(tuple(values), tuple(map(float, probabilities)))


def _range(name: str, distribution: str, given: Mapping[str, Any]) -> Range:
    for key, value in given.items():
        if key != "distribution" and not _is_number(value):
            raise SweepError(f"{key} of the parameter {name} is no number: {value}.")
    multiple = given.get("q")
    for key in ("q", "sigma"):
        if given.get(key, 1.0) <= 0:
            raise SweepError(f"{key} of the parameter {name} has to be above 0.")
    if distribution.endswith("normal"):
        return Range(
            LEAST_QUANTILE,
            1.0 - LEAST_QUANTILE,
            normal=(float(given["mu"]), float(given["sigma"])),
            is_exponential="log" in distribution,
            multiple=multiple,
        )
    low, high = given["min"], given["max"]
    if low >= high:
        raise SweepError(f"min of the parameter {name} has to be below its max.")
    if distribution == "int_uniform":
        if not (float(low).is_integer() and float(high).is_integer()):
            raise SweepError(f"min and max of the parameter {name} have to be whole numbers.")
        return Range(low, high, is_whole=True)
    is_log = "log" in distribution
    if is_log and not distribution.endswith("values"):
        # Its ends are natural logarithms; those of the inverse are of one by the value.
        low, high = (-high, -low) if distribution.startswith("inv") else (low, high)
        low, high = math.exp(low), math.exp(high)
    if is_log and low <= 0:
        raise SweepError(f"min of the parameter {name} has to be above 0: its scale has no zero.")
    return Range(float(low), float(high), is_log=is_log, multiple=multiple)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
