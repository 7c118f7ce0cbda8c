"""Importing a flow, or asking it for help, stays light."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.catalogue import DEPLOYMENTS

ROOT = Path(__file__).parents[2]

HEAVY = {
    "distributed",
    "duckdb",
    "gradio",
    "librosa",
    "numba",
    "openai",
    "pandas",
    "scipy",
    "sklearn",
    "soundfile",
    "torch",
    "torchaudio",
    "transformers",
}
"""Each takes from a tenth of a second to four, in every worker and at every command."""

REPORT_MODULES = """
import atexit, sys
atexit.register(lambda: print("LOADED", *{name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(code: str) -> set[str]:
    """Top-level modules of a fresh interpreter that has run `code`."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT_MODULES + code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


ASK = """
import json, os, runpy, sys
import flows.fit_runs, flows.run
for path in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:
        # Help ends by an exit.
        sys.argv = [path, "--help"]
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit:
            pass
        names = {name.partition(".")[0] for name in sys.modules}
        print("LOADED", json.dumps([path, sorted(names)]), flush=True)
        os._exit(0)
    os.wait()
"""
"""Asks each of some flows for help, in a process that holds what most of them share and no more:
what that loads is counted for each."""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Top-level modules that the help of each flow has loaded."""
    paths = [f"{module.replace('.', '/')}.py" for module in (*MODULES, *APPS)]
    done = subprocess.run(
        [sys.executable, "-c", ASK, *paths], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = (line for line in done.stdout.splitlines() if line.startswith("LOADED "))
    return {path: set(names) for path, names in (json.loads(line[7:]) for line in found)}


MODULES = sorted({deployment.flow.__module__ for deployment in DEPLOYMENTS})
APPS = sorted(
    f"apps.{path.stem}"
    for path in (ROOT / "apps").glob("*.py")
    if "__main__" in path.read_text("utf-8")
)


def test_every_flow_is_in_the_catalogue():
    flows = {
        f"flows.{path.stem}"
        for path in (ROOT / "flows").glob("*.py")
        if re.search(r"^@flow\(", path.read_text(), re.MULTILINE)
    }
    assert flows == set(MODULES)


@pytest.mark.parametrize("module", [*MODULES, *APPS])
def test_heavy_libraries_wait_until_a_step_needs_them(
    module: str, loaded: dict[str, set[str]]
) -> None:
    names = loaded[f"{module.replace('.', '/')}.py"]
    assert {"prefect", "flows"} <= names  # the flow was there
    assert not names & HEAVY
