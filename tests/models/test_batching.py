import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.batching import Batcher, gpu_turn, is_out_of_memory, to_device


def doubled(batch: list[int]) -> list[int]:
    return [2 * item for item in batch]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_every_item_has_its_result_in_order(count: int, ahead: bool):
    sizes = []

    def infer(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        return doubled(batch)

    assert list(Batcher(4, ahead=ahead).map(infer, range(count))) == [2 * i for i in range(count)]
    assert sizes == [4] * (count // 4) + ([count % 4] if count % 4 else [])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), RuntimeError("out of memory")])
def test_out_of_memory_halves_the_batch_for_good_and_says_so_once(error, caplog):
    sizes = []

    def infer(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise error
        return doubled(batch)

    batcher = Batcher(8)
    with caplog.at_level(logging.WARNING):
        assert list(batcher.map(infer, range(10))) == [2 * item for item in range(10)]
        assert list(batcher.map(infer, range(4))) == [0, 2, 4, 6]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2]
    assert batcher.size == 2
    assert [record.getMessage() for record in caplog.records] == [
        "Out of GPU memory at 8 items at once: 4 now.",
        "Out of GPU memory at 4 items at once: 2 now.",
    ]


def test_an_item_that_does_not_fit_alone_raises():
    def infer(batch: list[int]) -> list[int]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(Batcher(4).map(infer, range(4)))


def test_other_errors_of_the_network_are_not_retried():
    calls = []

    def infer(batch: list[int]) -> list[int]:
        calls.append(batch)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Batcher(4).map(infer, range(4)))
    assert len(calls) == 1


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = Batcher(4).map(doubled, items())
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]


def test_a_thread_takes_items_ahead_but_not_far():
    taken = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            if item >= 8:
                enough.set()
            yield item

    before = threading.active_count()
    results = Batcher(4, ahead=True).map(doubled, items())
    assert next(results) == 0
    assert enough.wait(60), "items of the next batches are taken while the network works"
    assert len(taken) <= 4 + 8 + 2
    results.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(0.2)
    assert threading.active_count() <= before


def test_an_error_of_the_source_arrives_where_the_items_are_used():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(Batcher(4, ahead=True).map(doubled, items()))


def test_out_of_memory_is_told_by_class_or_by_words():
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("CUDA failed with error out of memory"))
    assert not is_out_of_memory(RuntimeError("invalid argument"))


def test_an_array_goes_to_the_device_as_it_is():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    assert np.array_equal(to_device(array, torch.device("cpu")).numpy(), array)


def test_threads_that_run_out_of_memory_together_halve_the_batch_once(caplog):
    together = threading.Barrier(2)
    batcher = Batcher(8)

    def infer(batch: list[int]) -> list[int]:
        if len(batch) == 8:
            together.wait(30)  # both threads are in this call
            raise torch.OutOfMemoryError("CUDA")
        return doubled(batch)

    results: dict[int, list[int]] = {}

    def run(first: int) -> None:
        results[first] = list(batcher.map(infer, range(first, first + 10)))

    threads = [threading.Thread(target=run, args=(first,)) for first in (0, 100)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == {first: [2 * (first + at) for at in range(10)] for first in (0, 100)}
    assert batcher.size == 4
    assert len(caplog.records) == 1


def test_networks_take_turns_and_preparation_does_not_wait_for_one():
    prepared, done = threading.Event(), []

    def other() -> None:
        prepared.set()
        with gpu_turn():
            done.append("other")

    thread = threading.Thread(target=other)
    with gpu_turn():
        thread.start()
        assert prepared.wait(30)
        thread.join(0.05)
        done.append("first")
    thread.join(30)
    assert done == ["first", "other"]
