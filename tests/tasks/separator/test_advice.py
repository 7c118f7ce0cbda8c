"""What fits a machine: measured once, and drawn out by hand."""

import pytest

from tasks.separator import advice
from tasks.separator.advice import Fitting, Measured, described, fitting, measure
from tasks.separator.segments import SegmentConfig
from tests.tasks.separator.test_fit import config


def test_steps_are_measured_and_the_network_trains():
    made = measure(config(), "cpu", 0.2)
    assert len(made.step_seconds) == 2
    assert all(0 < seconds < 10 for seconds in made.step_seconds)
    assert all(peak is None or 50 < peak < 20_000 for peak in made.peak_mb)


@pytest.mark.parametrize(
    ("made", "device", "fits"),
    [
        # 1 GB for one, 0.5 GB for each more, of 8: 15 fit, of which 8 is a power of two.
        (Measured(6.0, (0.1, 0.15), (1024.0, 1536.0)), "cuda", Fitting(8, 0.45)),
        (Measured(6.0, (0.1, 0.15), (1024.0, 1025.0)), "cuda", Fitting(64, 3.25)),
        (Measured(6.0, (0.1,), (1024.0,)), "cuda", Fitting(1, 0.1)),
        (Measured(6.0, (), ()), "cuda", Fitting(0, None)),
        # On a CPU time is what is short: 2 s for a step.
        (Measured(6.0, (0.5, 1.0), (1024.0, 1025.0)), "cpu", Fitting(4, 2.0)),
        (Measured(6.0, (0.5, 1.0), (None, None)), "cpu", Fitting(4, 2.0)),
        (Measured(6.0, (3.0, 6.0), (1024.0, 1025.0)), "cpu", Fitting(1, 3.0)),
    ],
)
def test_what_fits_is_what_memory_and_time_leave(made: Measured, device: str, fits: Fitting):
    found = fitting(made, 8192.0, device)
    assert found.batch == fits.batch
    assert found.step_seconds == pytest.approx(fits.step_seconds)


def test_the_advice_is_the_longest_segment_that_is_asked_for_and_fits():
    found = [
        Measured(2.0, (0.1, 0.15), (1024.0, 1536.0)),
        Measured(4.0, (0.2, 0.3), (2048.0, 3072.0)),
        Measured(10.0, (0.4, 0.6), (5120.0, 7680.0)),
    ]
    asked = config(segment=SegmentConfig(seconds=6.0))
    lines = described(found, asked, "cuda", 8192.0).splitlines()
    assert lines[-1] == "Advice: --segment_seconds 4 --batch_size 4"
    assert lines[2].split() == ["2", "s", "1,024", "MB", "1,536", "MB", "8", "0.45", "s"]
    nothing = described([Measured(2.0, (), ())], asked, "cuda", 8192.0)
    assert nothing.splitlines()[-1].startswith("Nothing fits: choose --model_size small")


def test_longer_segments_are_not_tried_where_shorter_ones_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
):
    tried = []

    def slow(made: object, device: str, seconds: float) -> Measured:
        tried.append(seconds)
        return Measured(seconds, (seconds, 2 * seconds), (None, None))

    monkeypatch.setattr(advice, "measure", slow)
    said = advice.advise(config(), "cpu")
    assert tried == [0.4, 1.0, 2.0, 4.0]
    assert "Advice: --segment_seconds 0.4 --batch_size 4" in said
