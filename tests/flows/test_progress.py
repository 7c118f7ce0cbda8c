import time

import pytest

from flows import progress


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(progress, "LONG_QUIET_SECONDS", 0.05)


def test_a_long_file_that_finishes_nothing_is_spoken_of(capsys: pytest.CaptureFixture[str]):
    with progress.shown({"probe": 1, "separate": 1}):
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6, lines
    assert lines[0].startswith("0/2 track steps done, probe at 0/1 tracks, 0 failed, 0 s so far")


def test_fast_steps_say_nothing_of_the_time_that_slow_ones_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    lines = progress._Lines({"probe": 2, "separate": 2, "pitch": 2})
    lines.advance("probe", 2, 0)
    assert "left" not in lines._line(1.0).replace("time left unknown until separate", "")
    lines.advance("separate", 1, 1)
    lines.advance("pitch", 1, 0)
    # Four of six in 400 s: 200 s for the two that are left.
    assert lines._line(400.0) == (
        "4/6 track steps done, separate at 1/2 tracks, 1 failed, 6 min 40 s so far, 3 min 20 s left"
    )


def test_a_run_with_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]):
    with progress.shown({"probe": 0}) as advance:
        advance("probe", 0, 0)
    assert capsys.readouterr().err == ""
