"""Which GPUs a run may use, and what is free of them; a stand-in for the driver tells."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from blocks import cluster, gpus
from blocks.cluster import ClusterError


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that lists three GPUs."""
    for bus in ("0000:01:00.0", "0000:41:00.0", "0000:81:00.0"):
        (tmp_path / bus).mkdir()
    monkeypatch.setattr(gpus, "DRIVER", tmp_path)
    monkeypatch.delenv(gpus.VISIBLE, raising=False)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("variable", "found"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("2,0", ("2", "0")),
        (" 1 ", ("1",)),
        ("0,3,1", ("0",)),  # CUDA ignores what follows a number that no GPU has
        ("-1", ()),
        ("GPU-8932f937-d72c-4106", ("GPU-8932f937-d72c-4106",)),
    ],
)
def test_only_gpus_that_cuda_would_show_are_used(
    variable: str | None, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    if variable is not None:
        monkeypatch.setenv(gpus.VISIBLE, variable)
    assert gpus.visible() == found
    assert cluster.gpus("auto") == len(found)
    assert cluster.gpus("cpu") == 0


@pytest.mark.usefixtures("three")
def test_gpus_that_are_all_hidden_are_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(gpus.VISIBLE, "")
    with pytest.raises(ClusterError, match=r"CUDA_VISIBLE_DEVICES hides every NVIDIA GPU\.$"):
        cluster.gpus("cuda")


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    monkeypatch.setenv(gpus.VISIBLE, "0")
    assert gpus.visible() == ()


def driver(monkeypatch: pytest.MonkeyPatch, free: dict[object, int], *, works: bool = True) -> None:
    """Let a library of the driver say how many bytes of each GPU are free."""

    class NVMLError(Exception):
        pass

    def start() -> None:
        if not works:
            raise NVMLError

    library = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(free=free[handle]),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)


def test_the_fullest_gpu_counts(monkeypatch: pytest.MonkeyPatch):
    driver(monkeypatch, {0: 80 * 2**30, 1: 20 * 2**30, "GPU-8932": 2**30})
    assert gpus.free_mb(["0"]) == 80 * 1024
    assert gpus.free_mb(["0", "1"]) == 20 * 1024
    assert gpus.free_mb(["GPU-8932", "0"]) == 1024


def test_a_driver_that_does_not_answer_tells_nothing(monkeypatch: pytest.MonkeyPatch):
    driver(monkeypatch, {}, works=False)
    assert gpus.free_mb(["0"]) is None
