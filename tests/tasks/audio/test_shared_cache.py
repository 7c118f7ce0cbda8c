"""The cache of decoded audio, used by several threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from blocks.storage import Storage
from tasks import audio
from tasks.audio import files
from tasks.audio.shared_cache import SharedCache
from tests.conftest import write_tone


def test_threads_that_ask_for_the_same_file_decode_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a", "b"):
        write_tone(tmp_path / f"{name}.wav", seconds=0.25)
    storage = Storage(str(tmp_path))
    monkeypatch.setattr(files, "_CACHE", SharedCache(10**6, getsizeof=files._CACHE.getsizeof))
    decoded: list[str] = []
    both = threading.Barrier(2)
    opened = files.opened

    def watched(storage, path, *rest):
        decoded.append(path)
        both.wait(30)  # one of each file: other files are not waited for
        return opened(storage, path, *rest)

    monkeypatch.setattr(files, "opened", watched)

    def load(name: str) -> np.ndarray:
        return audio.load(storage, name, rate_hz=16_000, channels=1)

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(load, ["a.wav", "b.wav"] * 3))
    assert sorted(decoded) == ["a.wav", "b.wav"]
    assert all(each is found[at % 2] for at, each in enumerate(found))


def test_a_file_that_failed_is_tried_again_by_who_waited():
    cache = SharedCache(10)
    tries = []

    def make(fails: bool) -> int:
        with cache.making("key"):
            if "key" not in cache:
                tries.append(fails)
                if fails:
                    raise ValueError("cannot be made")
                cache["key"] = 1
            return cache["key"]

    with pytest.raises(ValueError, match="cannot be made"):
        make(True)
    assert make(False) == make(True) == 1
    assert tries == [True, False]
    assert not cache._under_way, "nothing is kept of what is made"
