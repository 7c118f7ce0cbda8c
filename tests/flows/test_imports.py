"""Importing a flow, or asking it for help, stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "flows" / "build_dataset.py"

HEAVY = {
    "librosa",
    "matplotlib",
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


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import flows.build_dataset", id="import"),
        pytest.param(
            f"import runpy; sys.argv = ['build_dataset.py', '--help']\n"
            f"runpy.run_path({str(FLOW)!r}, run_name='__main__')",
            id="help",
        ),
    ],
)
def test_heavy_libraries_wait_until_a_step_needs_them(code: str) -> None:
    loaded = loaded_by(code)
    assert "prefect" in loaded  # the flow was there
    assert not loaded & HEAVY
