"""When a network's work is recorded, replayed, and done as ever: by recordings of Python calls.

What records on a GPU, ``CudaGraph``, takes a GPU to run.
"""

import logging

import pytest
import torch

from models.replay import Replayed


class Rerun:
    """A recording that runs the call again: what it reads is what the input holds by then."""

    made = 0

    def __init__(self, run):
        type(self).made += 1
        self._run = run
        self.output = torch.full_like(run(), torch.nan)
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.output.copy_(self._run())


@pytest.fixture
def recordings(monkeypatch):
    monkeypatch.setattr(Rerun, "made", 0)
    return lambda: Rerun.made


class Doubling:
    """Twice the values; counts the calls that are not replayed."""

    def __init__(self):
        self.shapes = []

    def __call__(self, batch):
        self.shapes.append(tuple(batch.shape))
        return 2 * batch


def batch(items, start=0, length=3):
    return torch.arange(start, start + items * length).reshape(items, length).float()


def test_the_second_full_batch_is_recorded_and_later_ones_replayed(recordings):
    replayed = Replayed(Doubling(), Rerun)
    for number, made in enumerate((0, 1, 1, 1)):
        values = batch(4, start=number)
        assert torch.equal(replayed(values, 4), 2 * values)
        assert recordings() == made
    assert replayed._recording.replays == 3


def test_a_batch_is_filled_up_with_zeros_if_it_is_half_full(recordings):
    function = Doubling()
    replayed = Replayed(function, Rerun)
    for _ in range(3):
        replayed(batch(4), 4)
    function.shapes.clear()
    assert torch.equal(replayed(batch(2, start=5), 4), 2 * batch(2, start=5))
    assert function.shapes == [(4, 3)]
    assert torch.equal(replayed._recording.output[2:], torch.zeros(2, 3))
    assert torch.equal(replayed(batch(1, start=5), 4), 2 * batch(1, start=5))
    assert function.shapes == [(4, 3), (1, 3)]
    assert recordings() == 1


def test_short_batches_alone_are_never_recorded(recordings):
    replayed = Replayed(Doubling(), Rerun)
    for _ in range(4):
        assert torch.equal(replayed(batch(3), 4), 2 * batch(3))
    assert recordings() == 0


def test_another_shape_is_recorded_anew_and_the_old_recording_goes(recordings):
    replayed = Replayed(Doubling(), Rerun)
    for full in (4, 4, 4, 2, 2, 2):
        assert torch.equal(replayed(batch(full, start=full), full), 2 * batch(full, start=full))
    assert recordings() == 2
    assert replayed._recording.output.shape == (2, 3)
    replayed(batch(2, length=5), 2)
    assert replayed._recording is None


def test_what_cannot_be_recorded_is_said_once_and_computed_as_ever(caplog):
    def refuse(run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    replayed = Replayed(Doubling(), refuse)
    for start in range(4):
        assert torch.equal(replayed(batch(4, start), 4), 2 * batch(4, start))
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.getMessage().endswith(": operation not permitted when stream is capturing")
    assert replayed._input is None


def test_a_replay_that_differs_is_not_used(caplog):
    class Wrong(Rerun):
        def replay(self):
            self.output.copy_(1.01 * self._run())

    replayed = Replayed(Doubling(), Wrong)
    for start in range(1, 4):
        assert torch.equal(replayed(batch(4, start), 4), 2 * batch(4, start))
    assert "its first replay differs by 1.0e-02" in caplog.text
    assert len(caplog.records) == 1


def test_a_batch_out_of_range_is_nothing_to_compare_with(recordings, caplog):
    replayed = Replayed(Doubling(), Rerun)
    replayed(batch(4), 4)
    assert replayed(batch(4) / 0, 4).isinf().any()
    assert recordings() == 0
    replayed(batch(4), 4)
    assert recordings() == 1
    assert not caplog.records


def test_memory_that_is_given_back_is_not_taken_again(recordings):
    replayed = Replayed(Doubling(), Rerun)
    for _ in range(2):
        replayed(batch(4), 4)
    replayed.give_up()
    assert replayed._recording is None
    for start in range(3):
        assert torch.equal(replayed(batch(4, start), 4), 2 * batch(4, start))
    assert recordings() == 1
