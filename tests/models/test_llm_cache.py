import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from models.llm_cache import Reply, ReplyCache

ROUNDS = 300
BUDGET_USD = 400.0

WRITER = """
import sys
from pathlib import Path
from models.llm_cache import Reply, ReplyCache
with ReplyCache(Path(sys.argv[1])) as cache:
    number = 0
    while True:
        entry = cache.reserve("m", 1.0, None)
        cache.put(f"key{number}", Reply("text" * 1000, "m"))
        cache.settle(entry, 1.0)
        print(number, flush=True)
        number += 1
"""


def test_replies_told_as_written_survive_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(20):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with ReplyCache(path) as cache:
            for number in range(told + 1):
                assert cache.get(f"key{number}") == Reply("text" * 1000, "m")
            assert cache.spent_usd() >= 20


def spend(path: Path, name: str, start: Barrier) -> None:
    with ReplyCache(path) as cache:
        start.wait(300)
        for number in range(ROUNDS):
            entry = cache.reserve("m", 1.0, budget_usd=BUDGET_USD)
            if entry is not None:
                cache.settle(entry, 1.0, 10, 5)
            cache.put(f"shared{number}", Reply(name, "m"))
            cache.put(f"{name}{number}", Reply(name, "m"))


def open_at_once(folder: Path, start: Barrier, files: int) -> None:
    for number in range(files):
        start.wait(300)
        with ReplyCache(folder / str(number)):
            pass


def test_processes_may_create_one_file_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    processes = [context.Process(target=open_at_once, args=(tmp_path, start, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def test_processes_share_replies_and_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=spend, args=(path, f"p{i}", start)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with ReplyCache(path) as cache:
        assert cache.spent_usd() == BUDGET_USD
        for number in range(ROUNDS):
            assert cache.get(f"p0{number}") == Reply("p0", "m")
            assert cache.get(f"p1{number}") == Reply("p1", "m")
            assert cache.get(f"shared{number}") in (Reply("p0", "m"), Reply("p1", "m"))


def test_of_two_replies_the_first_stays(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "cache") as cache, ReplyCache(tmp_path / "cache") as other:
        assert cache.put("k", Reply("one", "m")) == Reply("one", "m")
        assert other.put("k", Reply("two", "m")) == Reply("one", "m")
        assert cache.get("missing") is None


def test_a_reservation_counts_until_it_is_settled(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "cache") as cache:
        entry = cache.reserve("m", 0.8, budget_usd=1.0)
        assert entry is not None
        assert cache.reserve("m", 0.8, budget_usd=1.0) is None
        cache.settle(entry, 0.1, 10, 5)
        assert cache.reserve("m", 0.8, budget_usd=1.0) is not None
