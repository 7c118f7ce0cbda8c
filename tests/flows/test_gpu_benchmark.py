"""The benchmark of GPUs, on a machine that need not have one."""

import json
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pynvml
import pytest
import soundfile
import torch

from benchmarks import __main__ as every
from benchmarks import gpu, gpu_equality, gpu_material, gpu_runs, gpu_steps, gpu_watch
from benchmarks.gpu_steps import Done
from benchmarks.gpu_watch import Gpu, Watch
from blocks import gpus
from blocks.crew import GpuWorker
from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from tasks.audio import write_flac
from tests.flows.conftest import run_flow, standing_worker

H200 = Gpu("NVIDIA H200", 16_896, 139.7, 139.0)


def test_without_a_gpu_one_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(gpu_watch, "gpu", lambda: None)
    assert gpu.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no NVIDIA GPU" in said.err
    assert "--device cpu --songs 2 --seconds 8 --tiny" in said.err


def test_all_benchmarks_leave_it_out_without_a_gpu(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(every, "run", lambda name: (ran.append(name), (0, 0.0))[1])
    monkeypatch.setattr(every, "gpus", lambda device: 0)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert every.main() == 0
    assert "gpu is left out: this machine has no NVIDIA GPU." in capsys.readouterr().out
    assert "gpu" not in ran
    assert "pipeline" in ran
    monkeypatch.setattr(every, "gpus", lambda device: 1)
    assert every.main() == 0
    assert "gpu" in ran


def test_songs_are_as_long_as_said_and_the_same_every_time(tmp_path: Path):
    path = tmp_path / "000.flac"
    gpu_material.write_song(path, 0, 10.0)
    samples, rate_hz = soundfile.read(path)
    assert len(samples) == 10 * rate_hz
    assert [each.name for each in tmp_path.iterdir()] == ["000.flac"]
    again = tmp_path / "again.flac"
    gpu_material.write_song(again, 0, 10.0)
    assert again.read_bytes() == path.read_bytes()


@pytest.fixture
def cheap_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in processes of its own, by the suite's worker and in this process."""

    def forked(arguments: Sequence[str], environment: dict[str, str]) -> None:
        done = run_flow(*arguments, *standing_worker())
        assert done.status == 0, done.stderr

    monkeypatch.setattr(gpu_runs, "run_command", forked)
    for module in (gpu_steps, gpu_equality):
        monkeypatch.setattr(module, "in_own_process", gpu_steps.carry_out)


def test_all_parts_work_on_a_cpu(
    songs: Path, full_models: Path, tmp_path: Path, cheap_processes: None, capsys
):
    # A song that is there is not written anew.
    there = tmp_path / "songs of 6 s" / "000.flac"
    there.parent.mkdir()
    there.symlink_to(songs / "album 1" / "song-1.flac")
    report = tmp_path / "figures.json"
    arguments = [
        *("--device", "cpu", "--tiny", "--songs", "1", "--seconds", "6", "--processes", "1"),
        *("--models_dir", str(full_models), "--folder", str(tmp_path), "--json", str(report)),
    ]
    assert gpu.main(arguments) == 0
    said = capsys.readouterr().out
    content = json.loads(report.read_text())
    assert content["failures"] == []
    values = {figure["name"]: figure["value"] for figure in content["figures"]}
    assert all(name in said for name in values)

    run = "1 on the CPU: "
    ended, first = (
        values[run + "from the command to its end"],
        values[run + "to the first stored row"],
    )
    assert 0 < first < first + values[run + "per song from then on"] <= ended
    assert values[run + "most memory of a process"] > 0.1

    params = BuildDatasetParams(models_dir=str(full_models), device="cpu", llm=False)
    steps = gpu_steps.gpu_steps(params)
    assert {"separate", "pitch", "transcribe", "clap", "ecapa"} <= {*steps}
    busy = {name: values[f"{name}: busy by profiler"] for name in steps}
    assert all(busy[name] <= values[f"{name}: clock"] for name in steps)
    assert busy["separate"] > 0
    assert busy["transcribe"] < 0.01, "CTranslate2 is not torch's"
    assert values["all steps: busy"] == pytest.approx(sum(busy.values()))

    assert values["as it runs: cosine of clap_embedding"] == pytest.approx(1.0)
    assert values["as it runs: F0 within 10 cents"] == 100.0
    assert values["as it runs: SI-SDR of the vocals"] > 100
    assert values["as it runs: texts that are equal"] == 100.0

    assert "use and memory of a GPU are left out" in said
    assert not any("utilisation" in name or "NVML" in name for name in values)


def test_rows_that_differ_are_told(tmp_path: Path):
    """A cosine of 0.8, F0 wrong in a quarter of the frames, vocals with noise at -40 dB."""
    rng = np.random.default_rng(0)
    vocals = 0.1 * rng.standard_normal((2, 44_100)).astype(np.float32)
    noise = 0.001 * rng.standard_normal((2, 44_100)).astype(np.float32)
    places = []
    for name, samples in (("true", vocals), ("other", vocals + noise)):
        places.append(Storage(str(tmp_path / name)))
        write_flac(places[-1], "v.flac", [samples], 44_100)
    f0 = np.array([np.nan, 220, 330, 440, 550], np.float32)
    off = f0 * 2 ** (np.array([0, 4, -4, 15, 4]) / 1200)

    def rows(embedding: Sequence[float], pitch: object, text: str) -> Done:
        found = {
            "clap": {"clap_embedding": embedding},
            "ecapa": {"ecapa_embedding": None},
            "pitch": {"f0_hz": pitch},
            "separate": {"vocals_path": "v.flac"},
            "transcribe": {"text": text},
        }
        return Done(rows={step: {"song.flac": row} for step, row in found.items()})

    true, other = rows([1.0, 0.0], f0, "la"), rows([0.8, 0.6], off, "lo")
    figures = {each.name: each for each in gpu_equality.agreement("x", true, other, *places)}
    assert figures["x: cosine of clap_embedding"].value == pytest.approx(0.8)
    assert not figures["x: cosine of clap_embedding"].is_kept
    assert "x: cosine of ecapa_embedding" not in figures, "no voice, no embedding"
    assert figures["x: F0 within 10 cents"].value == pytest.approx(75)
    assert figures["x: SI-SDR of the vocals"].value == pytest.approx(40, abs=0.2)
    assert not figures["x: SI-SDR of the vocals"].is_kept
    assert figures["x: texts that are equal"].value == 0


def test_a_pitch_in_one_alone_is_a_disagreement():
    assert gpu_equality.near([220, np.nan, 220, np.nan], [220, 220, np.nan, np.nan]) == (
        pytest.approx(1 / 3)
    )


def test_kernels_at_once_count_once():
    assert gpu_steps.covered([(5, 6), (0, 4), (1, 2), (3, 4.5)]) == pytest.approx(5.5)
    assert gpu_steps.covered([]) == 0


def test_single_precision_also_under_autocast():
    rng = np.random.default_rng(1)
    one, other = (
        torch.from_numpy(rng.standard_normal((32, 32)).astype(np.float32)) for _ in range(2)
    )

    def product() -> torch.Tensor:
        # As the adapters ask for it.
        with torch.autocast("cpu", torch.float16):
            return (one @ other).float()

    assert not torch.equal(product(), one @ other)
    with gpu_steps.single_precision():
        assert torch.equal(product(), one @ other)
    assert not torch.equal(product(), one @ other)


@pytest.mark.parametrize(
    ("processes", "cores", "memory_gb", "said"),
    [
        (4, 16, 128, None),
        (16, 32, 128, "160 GB of the GPU's memory, of which 139 are there"),
        (8, 16, 32, "42 GB of memory, of which 32 are there"),
        (4, 4, 128, "5 cores, of which 4 are there"),
    ],
)
def test_what_a_machine_does_not_carry_is_said(processes, cores, memory_gb, said):
    worker = GpuWorker(memory_mb=3.5 * 1024, gpu_memory_mb=10 * 1024)
    assert gpu_runs.lacking(processes, worker, H200, cores, memory_gb) == said
    on_cpu = gpu_runs.lacking(processes, None, None, cores, memory_gb)
    assert on_cpu is None, "without a GPU, less is needed"


def test_a_run_that_fails_leaves_the_others_their_figures(tmp_path: Path, monkeypatch, capsys):
    def build(params: object, processes: int, folder: Path) -> gpu_runs.Run:
        if processes == 4:
            raise RuntimeError("CUDA is out of memory")
        figure = gpu.Figure(f"{processes} per GPU: per song from then on", 3 / processes)
        return gpu_runs.Run([figure], 3 / processes, 0.1 * processes)

    monkeypatch.setattr(gpu_watch, "gpu", lambda: H200)
    monkeypatch.setattr(gpu_watch, "use_one", lambda: None)
    monkeypatch.setattr(gpu_runs, "build", build)
    monkeypatch.setattr(
        gpu_runs, "lacking", lambda processes, *_: "cores" if processes > 8 else None
    )
    request = SimpleNamespace(gpu_worker=lambda: GpuWorker(), device="cuda")
    monkeypatch.setattr(gpu, "prepared", lambda options: request)
    monkeypatch.setattr(gpu, "cores", lambda: 16)
    report = tmp_path / "figures.json"
    options = ("--parts", "runs", "--processes", "1", "4", "8", "9", "--json", str(report))
    assert gpu.main(options) == 1
    content = json.loads(report.read_text())
    assert content["failures"] == ["4 per GPU: CUDA is out of memory"]
    values = {figure["name"]: figure["value"] for figure in content["figures"]}
    assert values["1 per GPU: per song from then on"] == 3
    assert values["fastest: per song"] == pytest.approx(3 / 8)
    assert values["fastest: utilisation of the GPU"] == pytest.approx(80)
    said = capsys.readouterr().out
    assert "9 per GPU: left out, since they need cores" in said
    assert "at most 1" in said


def test_whisper_counts_by_nvml_and_the_rest_by_the_profiler():
    done = Done(
        rows={"separate": {"a": {}, "b": {}}},
        wall_seconds={"separate": 4.0, "transcribe": 2.0, "align": 0.02},
        busy_seconds={"separate": 1.0, "transcribe": 0.0, "align": 0.01},
        watched_seconds={"separate": 1.4, "transcribe": 0.6, "align": math.nan},
        by_nvml={"transcribe", "align"},
    )
    figures = {each.name: each for each in gpu.step_figures(done, True)}
    assert figures["all steps: busy"].value == pytest.approx((1.0 + 0.6 + 0.01) / 2)
    assert not figures["all steps: busy"].is_kept
    assert "align: busy by NVML" not in figures, "too short to be seen"


def test_use_is_that_of_the_time_asked_for():
    watch = Watch([(0.0, 0.0, 1.0), (1.0, 1.0, 7.0), (2.0, 0.5, 3.0), (9.0, 0.0, 1.0)])
    assert watch.utilisation(1.0, 2.0) == pytest.approx(0.75)
    assert math.isnan(watch.utilisation(3.0, 4.0))
    assert watch.most_memory_gb == 7.0


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver of two GPUs, with one of which two processes work; returns what it is asked for."""
    asked: list[str] = []

    def by_index(index: int) -> str:
        asked.append(f"GPU {index}")
        return asked[-1]

    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByIndex": by_index,
        "nvmlDeviceGetHandleByUUID": lambda uuid: asked.append(uuid),
        "nvmlDeviceGetName": lambda handle: "H",
        "nvmlDeviceGetNumGpuCores": lambda handle: 100,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(
            total=8 * 2**30, free=5 * 2**30, used=3 * 2**30
        ),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=40),
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [
            SimpleNamespace(usedGpuMemory=memory) for memory in (2**29, 2**30, None)
        ],
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    monkeypatch.setattr(gpu_watch, "PERIOD_SECONDS", 0.001)
    for number in (0, 1):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(gpus, "DRIVER", tmp_path)
    monkeypatch.setenv(gpus.VISIBLE, "1,0")
    return asked


@contextmanager
def asked_often(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """End no sooner than the driver was asked for something twice."""
    answer, asked = getattr(pynvml, name), threading.Semaphore(0)

    def count(handle: object) -> object:
        asked.release()
        return answer(handle)

    monkeypatch.setattr(pynvml, name, count)
    yield
    for _ in range(2):
        assert asked.acquire(timeout=60)


def test_the_first_visible_gpu_is_watched(driver: list[str], monkeypatch):
    assert gpu_watch.gpu() == Gpu("H", 100, 8.0, 5.0)
    # Once it is asked again, the first sample is complete.
    with gpu_watch.watched() as watch, asked_often(monkeypatch, "nvmlDeviceGetMemoryInfo"):
        pass
    assert driver == ["GPU 1", "GPU 1"]
    assert (watch.utilisation(), watch.most_memory_gb, watch.most_per_process_gb) == (
        pytest.approx(0.4),
        3.0,
        1.0,
    )


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_gpu_that_does_not_tell_its_use_is_not_seen(driver: list[str], monkeypatch):
    refused = threading.Event()

    def refuse(handle: object) -> None:
        refused.set()
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", refuse)
    with gpu_watch.watched() as watch:
        assert refused.wait(60)
    assert math.isnan(watch.utilisation())
