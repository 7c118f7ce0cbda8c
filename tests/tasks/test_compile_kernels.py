"""Kernels that are compiled ahead: all of them, for the types that the steps call them with."""

import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import tasks.audio
import tasks.dsp
from blocks.storage import Storage
from examples.songs import make_song, write_song
from flows.build_dataset_params import BuildDatasetParams
from tasks.chat import ChatTools
from tasks.engine.plan import plan, run_here
from tasks.song.discover import discover

ROOT = Path(__file__).parents[2]


def compiled() -> dict[str, set[tuple]]:
    """Types that each kernel is compiled for in this process."""
    from numba.core.dispatcher import Dispatcher

    modules = [
        import_module(f"{package.__name__}.{each.name}")
        for package in (tasks.audio, tasks.dsp)
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return {
        f"{module.__name__}.{name}": set(kernel.signatures)
        for module in modules
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher) and kernel.__module__ == module.__name__
    }


def check(folder: Path) -> None:
    """Compile ahead, build a song, and make sure that its steps compiled nothing more."""
    from tasks.compile_kernels import compile_kernels

    compile_kernels()
    ahead = compiled()
    # Those that only kernels call are compiled with their callers.
    called = {name.rpartition(".")[0] for name, types in ahead.items() if types}
    assert called == {name.rpartition(".")[0] for name in ahead}
    write_song(make_song(1, seconds=6, structure=("verse",)), folder, "song")
    source, tables, outputs = (Storage(str(folder / name)) for name in ("", "tables", "outputs"))
    tracks = discover(source, None, own=[tables, outputs], metadata=lambda path: {}).tracks
    stages = BuildDatasetParams(
        profile="offline", separator="repet", pitch={"method": "pyin"}
    ).stages()
    tools = ChatTools(source, outputs)
    planned = plan(stages, tracks, tables, tools, run_id="test", workers=1)
    run_here(planned)
    assert not list(planned.results.failures())
    assert compiled() == ahead


def test_none_is_left_to_the_steps(tmp_path: Path):
    command = [sys.executable, "-m", __name__, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    check(Path(sys.argv[1]))
