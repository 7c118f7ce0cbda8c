"""The table and the page of a sweep's runs."""

import csv
from html import unescape
from pathlib import Path

import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.sweep import report, search_space, table
from tasks.sweep.report import Content
from tasks.sweep.table import Run

RUNS = [
    Run(0, "failed", {"loss": "l1", "on": ["a"]}, error="It <broke>."),
    Run(1, "finished", {"loss": "l1", "on": ["a"]}, 0.5, {"loss": 0.5}, 2.0, 3, "k1", "m1"),
    Run(2, "finished", {"loss": 2, "on": ["a", "b"]}, 0.25, {"loss": 0.25}, 1.0, 3, "k2", "m2"),
]


def test_the_best_come_first_and_those_without_a_metric_last():
    assert [run.number for run in table.ranked(RUNS, "minimize")] == [2, 1, 0]
    assert [run.number for run in table.ranked(RUNS, "maximize")] == [1, 2, 0]


def test_parameters_and_metrics_of_one_name_have_columns_of_their_own(tmp_path: Path):
    table.write(Storage(str(tmp_path)), RUNS)
    rows = pq.read_table(tmp_path / "sweep.parquet").to_pylist()
    assert [row["metrics.loss"] for row in rows] == [None, 0.5, 0.25]
    assert [row["parameters.loss"] for row in rows] == ['"l1"', '"l1"', "2"]
    assert [row["parameters.on"] for row in rows] == [["a"], ["a"], ["a", "b"]]
    with (tmp_path / "sweep.csv").open() as file:
        text = list(csv.DictReader(file))
    assert [row["parameters.on"] for row in text] == ['["a"]', '["a"]', '["a", "b"]']
    assert [row["metric"] for row in text] == ["", "0.5", "0.25"]


def test_the_page_draws_runs_and_escapes_what_comes_from_outside():
    space = search_space.parse(
        {
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {
                "loss": {"values": ["l1", 2]},
                "on": {"values": [["a"], ["a", "b"]]},
                "same": {"value": 7},
            },
        }
    )
    runs = table.ranked(RUNS, "minimize")
    failures = [{"file_path": "run 0", "step": "fit", "reason": "odd", "message": "It <broke>."}]
    page = report.render(
        Content("toy", space, runs, {"loss": 0.9, "on": 0.1}, failures, ["A note & more."])
    )
    assert "It <broke>." not in page
    assert "It <broke>." in unescape(page)
    assert "A note &amp; more." in page
    assert page.count("<path") == 2 + 2, "a line per run with a metric, and two of the history"
    assert "Importance of the parameters" in page
    assert "same=7" in page
