"""Imports point one way, and jobs do not know each other."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_layers_are_kept():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_room_of_tasks_has_its_layer():
    named = {name for layer in LAYERS for name in re.split(r" [:|] ", layer)}
    rooms = {
        f"tasks.{path.stem}"
        for path in (ROOT / "tasks").iterdir()
        if path.suffix == ".py" or path.is_dir()
        if not path.name.startswith("__")
    }
    assert rooms <= named


def test_a_job_that_imports_another_is_found(tmp_path: Path):
    for package in ("apps", "deployments", "flows", "tasks", "models", "blocks"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(tmp_path / "tasks" / "song" / "probe.py", "a") as file:
        file.write("\nimport tasks.stems.encode\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "tasks.song is not allowed to import tasks.stems" in done.stdout
