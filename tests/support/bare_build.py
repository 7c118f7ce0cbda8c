"""A build by the offline profile in a process that finds no program beside Python's.

Kernels are compiled ahead there, as ``make`` does it. What the process imports takes most of its
time, so that there is one for all that is said of it.
"""

import json
import os
import pkgutil
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.shared import made_once

ROOT = Path(__file__).parents[2]
PROGRAMS = ("ffmpeg", "ffprobe", "espeak-ng", "espeak", "sox")
SAID = "said.json"


def bare_build(factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the process said of itself; it runs once for all processes of the tests."""
    said: dict[str, Any] = json.loads((made_once(factory, "bare-build", _start) / SAID).read_text())
    assert said["programs"] == [], "the programs are not hidden"
    return said


def _start(folder: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PHONEMIZER_")}
    finished = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        cwd=ROOT,
        env=environment | {"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def _build(folder: Path) -> dict[str, Any]:
    """Build a song that is stored as AAC, and one as FLAC: other decoders, other types."""
    from blocks.storage import Storage
    from examples.songs import make_song, write_song
    from flows.build_dataset_params import BuildDatasetParams
    from tasks import audio
    from tasks.compile_kernels import compile_kernels
    from tasks.engine.plan import plan, run_here
    from tasks.song.discover import discover

    compile_kernels()
    ahead = _compiled()
    songs = folder / "songs"
    song = make_song(3, seconds=6, structure=("verse",))
    write_song(make_song(1, seconds=6, structure=("verse",)), songs, "plain")
    _write_m4a(songs / "song.m4a", song.mix)
    (songs / "song.lrc").write_text(song.lrc())
    params = BuildDatasetParams(
        audio_dir=str(songs),
        output=folder / "X.json",
        profile="offline",
        separator="repet",
        pitch={"method": "pyin"},
        phonemes={"backend": "espeak"},
    )
    found = discover(Storage(str(songs)), params.results_place, metadata=lambda path: {})
    tables = params.results_place.below("steps")
    made = plan(params.stages(), found.tracks, tables, params.tools(), run_id="run", workers=1)
    run_here(made)
    (track,) = [track for track in found.tracks if track.path == "song.m4a"]
    row = made.results.row("merge", track)
    assert row is not None
    return {
        "programs": [name for name in PROGRAMS if shutil.which(name)],
        "tracks": [track.path for track in found.tracks],
        "failures": [entry.error for _, _, entry in made.results.failures()],
        "status": row["status"],
        "record": json.loads(row["record"] or "null"),
        "samples": audio.load(Storage(str(songs)), track.path, rate_hz=22_050, channels=1).size,
        "seconds": song.duration_seconds,
        "kernels_ahead": ahead,
        "kernels": _compiled(),
    }


def _write_m4a(path: Path, mix: Any) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mix), "fltp", "stereo")
        frame.sample_rate = 44_100
        for part in av.AudioResampler("fltp", "stereo", 44_100, 1024).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def _compiled() -> dict[str, list[str]]:
    """Types that each kernel is compiled for in this process."""
    from numba.core.dispatcher import Dispatcher

    import tasks.audio
    import tasks.dsp

    modules = [
        import_module(f"{package.__name__}.{each.name}")
        for package in (tasks.audio, tasks.dsp)
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return {
        f"{module.__name__}.{name}": sorted(map(str, kernel.signatures))
        for module in modules
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher) and kernel.__module__ == module.__name__
    }


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    (_folder / SAID).write_text(json.dumps(_build(_folder)))
