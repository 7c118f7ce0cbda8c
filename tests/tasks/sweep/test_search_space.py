"""Files of sweeps in wandb's format: what is drawn of them, and what is refused."""

import math
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import pytest

from tasks.sweep import parameters, search_space
from tasks.sweep.error import SweepError
from tasks.sweep.search_space import EarlyTermination, SearchSpace

DRAWS = 400


def space(method: str = "random", **given: Any) -> SearchSpace:
    usual = {"metric": {"name": "loss"}, "parameters": {"lr": {"min": 0.0, "max": 1.0}}}
    return search_space.parse({"method": method, "run_cap": 4, **usual, **given})


def drawn(**given: Any) -> list[Any]:
    """What a parameter is where what Optuna draws is spread evenly."""
    parameter = parameters.parse("x", given)
    low, high = parameter.distribution().low, parameter.distribution().high
    is_log = getattr(parameter.distribution(), "log", False)
    low, high = (math.log(low), math.log(high)) if is_log else (low, high)
    even = [low + (high - low) * (at + 0.5) / DRAWS for at in range(DRAWS)]
    return [parameter.value(math.exp(each) if is_log else each) for each in even]


def test_distributions_are_those_of_wandb():
    normal = drawn(distribution="normal", mu=3, sigma=2)
    assert (mean(normal), stdev(normal)) == pytest.approx((3, 2), abs=0.02)
    rounded = drawn(distribution="q_normal", mu=0, sigma=1, q=0.5)
    assert {each % 0.5 for each in rounded} == {0.0}
    assert median(drawn(distribution="log_normal", mu=2)) == pytest.approx(math.exp(2), rel=0.01)
    # Ends of log_uniform are natural logarithms, those of log_uniform_values values.
    logs = drawn(distribution="log_uniform", min=-4, max=-2)
    assert (min(logs), max(logs)) == pytest.approx((math.exp(-4), math.exp(-2)), rel=0.01)
    values = drawn(distribution="log_uniform_values", min=1e-4, max="1e-2")
    assert median(values) == pytest.approx(1e-3, rel=0.01)
    inverse = drawn(distribution="inv_log_uniform", min=2, max=4)
    assert (min(inverse), max(inverse)) == pytest.approx((min(logs), max(logs)))
    assert set(drawn(distribution="q_uniform", min=0, max=1, q=0.1)) == {
        0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
    }  # fmt: skip
    assert set(drawn(distribution="q_log_uniform_values", min=1, max=8, q=2)) <= {0, 2, 4, 6, 8}
    weighted = {"values": ["a", "b"], "probabilities": [0.25, 0.75]}
    assert drawn(**weighted).count("b") == 0.75 * DRAWS


def test_a_parameter_without_a_distribution_is_what_its_values_say():
    found = space(
        parameters={
            "whole": {"min": 1, "max": 3},
            "real": {"min": 1.0, "max": 3},
            "list": {"values": [["a"], ["a", "b"]]},
            "same": {"value": "1e-3"},
            "segment": {"parameters": {"remix": {"values": ["none", "any"]}}},
        }
    )
    assert found.parameters["whole"].points() == range(1, 4)
    assert found.parameters["real"].points() is None
    assert found.parameters["list"].points() == (["a"], ["a", "b"])
    assert found.constants == {"same": 0.001}
    assert "segment.remix" in found.varied


def test_a_grid_goes_through_all_values_the_last_the_fastest():
    given = {
        "a": {"values": ["x", "y"]},
        "b": {"distribution": "q_uniform", "min": 0, "max": 0.2, "q": 0.1},
    }
    grid = space("grid", run_cap=None, parameters=given)
    assert grid.runs == 6
    assert [tuple(grid.grid(at).values()) for at in range(6)] == [
        ("x", 0.0), ("x", 0.1), ("x", 0.2), ("y", 0.0), ("y", 0.1), ("y", 0.2),
    ]  # fmt: skip
    assert space("grid", run_cap=4, parameters=given).runs == 4


def test_hyperband_is_written_in_two_ways():
    first = space(early_terminate={"type": "hyperband", "min_iter": 3})
    last = space(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2, "eta": 3})
    assert first.early_terminate == last.early_terminate == EarlyTermination(3, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metod": "grid"}, "Unknown key metod; did you mean method"),
        ({"method": "gird"}, "Unknown method gird; did you mean grid"),
        ({"metric": {"name": "a", "gaol": "minimize"}}, "metric: gaol; did you mean goal"),
        ({"metric": {"name": "a", "target": 1}}, "metric.target is not supported"),
        ({"run_cap": None}, "method random has no end of its own: give run_cap"),
        ({"run_cap": 0}, "run_cap has to be a whole number of at least 1"),
        ({"parameters": {"x": {"vals": [1]}}}, "parameter x: vals; did you mean values"),
        ({"parameters": {"x": {"values": []}}}, "are a list of at least one"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "min of the parameter x has to be below"),
        ({"parameters": {"x": {"min": 1}}}, "The parameter x has no values"),
        (
            {"parameters": {"x": {"distribution": "beta", "min": 1, "max": 2}}},
            "distribution of the parameter x: beta",
        ),
        (
            {"parameters": {"x": {"distribution": "log_uniform_values", "min": 0, "max": 1}}},
            "has to be above 0",
        ),
        ({"method": "grid"}, "A grid has no end over the parameter lr"),
        (
            {"method": "bayes", "parameters": {"x": {"values": [1, 2], "probabilities": [0, 1]}}},
            "probabilities of the parameter x are for method random",
        ),
        (
            {"parameters": {"x": {"values": [1, 2], "probabilities": [0.5, 0.6]}}},
            "add up to 1.1, not 1",
        ),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "max_iter needs s"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9, "s": 3}}, "no rung below"),
        (
            {"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": True}},
            "strict is not supported",
        ),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence(given: dict[str, Any], said: str):
    with pytest.raises(SweepError) as caught:
        space(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_sweep_is_named(tmp_path: Path):
    path = tmp_path / "sweep.yaml"
    for text, said in (("a: [", "line 1 is no YAML"), ("", "has to have keys and values")):
        path.write_text(text)
        with pytest.raises(SweepError, match=said) as caught:
            search_space.read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(SweepError, match="cannot be read"):
        search_space.read(tmp_path / "none.yaml")
