"""What a terminal and a log show of fits."""

import sys
from pathlib import Path

import pytest

from flows import fit_progress
from tests.tasks.training.proof import proof_job

PROGRESS = {
    "step": 30,
    "total": 120,
    "steps_per_second": 0.0123456,
    "seconds_left": 7320.0,
    "scalars": {"loss": 0.123456, "validation/loss": 1.0},
    "curves": {"loss": [4.0, 2.0, 1.0]},
}
SAID = "loss 0.1235, validation/loss 1, 0.0123 steps/s, 2 h 2 min left █▃▁"


def test_a_log_has_a_line_now_and_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    job = proof_job(tmp_path, label="width 32")
    with fit_progress.shown([job]) as show:
        for step in (30, 31, 120):
            show(job, PROGRESS | {"step": step})
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"width 32: step {step}/120, {SAID}" for step in (30, 120)]


def test_a_terminal_has_bars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    jobs = [proof_job(tmp_path, label="first"), proof_job(tmp_path, seed=1, label="second")]
    with fit_progress.shown(jobs) as show:
        show(jobs[0], PROGRESS)
    shown = capsys.readouterr().err
    assert "30/120" in shown
    assert SAID in shown
    assert "waits" in shown


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_people_should_know_is_said_once(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_terminal: bool,
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", "160")
    job = proof_job(tmp_path, label="width 32")
    with fit_progress.shown([job]) as show:
        show(job, PROGRESS)
        show(job, PROGRESS | {"step": 31, "notes": ["Half of [it] is gone."]})
        show(job, PROGRESS | {"step": 32, "notes": ["Half of [it] is gone.", "So is the rest."]})
    shown = capsys.readouterr().err
    assert shown.count("width 32: Half of [it] is gone.") == 1
    assert shown.count("width 32: So is the rest.") == 1
