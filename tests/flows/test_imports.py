"""Importing a flow, or asking it for help, stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.catalogue import DEPLOYMENTS

ROOT = Path(__file__).parents[2]

HEAVY = {
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


MODULES = sorted({deployment.flow.__module__ for deployment in DEPLOYMENTS})


def test_every_flow_is_in_the_catalogue():
    flows = {
        f"flows.{path.stem}"
        for path in (ROOT / "flows").glob("*.py")
        if re.search(r"^@flow\(", path.read_text(), re.MULTILINE)
    }
    assert flows == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_wait_until_a_step_needs_them(module: str) -> None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    loaded = loaded_by(
        f"import {module}, runpy; sys.argv = [{path.name!r}, '--help']\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    assert "prefect" in loaded  # the flow was there
    assert not loaded & HEAVY
