"""Cuts requirements.lock into the parts that the images install one after the other.

Run while an image is built, by an interpreter that has nothing but the standard
library: ``python select_pins.py requirements.lock FOLDER``.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

TORCH = ("torch", "torchaudio", "torchvision")
"""Packages that PyTorch builds in several variants, of the same version."""

ENTRY = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)
VIA = re.compile(r"^ +# +(?:via +)?(\S.*)$", re.MULTILINE)
BUILD_BACKEND = "setuptools"
PROJECT = "songmill (pyproject.toml)"


def select_pins(lock: str) -> dict[str, str]:
    """Parts of a lock without its development packages.

    Parameters
    ----------
    lock
        Content of requirements.lock, as ``uv pip compile`` writes it: entries with
        hashes, each followed by the names of the packages that ask for it.

    Returns
    -------
    dict
        Content of a requirements file by its name. ``backend.txt``: what packages
        without wheels are built by. ``torch.txt``: PyTorch and the CUDA libraries that
        only it needs, more than half of all bytes. ``others.txt``: all other packages.
        ``torch-versions.txt``: PyTorch's versions without hashes, for the build of it
        that the lock does not have.

    Raises
    ------
    ValueError
        If the lock does not have the expected form.
    """
    # A package may have several entries, for several versions of Python.
    entries = [(entry.split("==")[0], entry) for entry in ENTRY.split(lock)[1:]]
    runtime = _runtime(entries)
    if missing := {BUILD_BACKEND, *TORCH} - runtime:
        raise ValueError(f"requirements.lock lacks {', '.join(sorted(missing))}")
    parts = {"backend.txt": "", "torch.txt": "", "others.txt": "", "torch-versions.txt": ""}
    for name, entry in entries:
        if name in TORCH:
            parts["torch-versions.txt"] += entry.split()[0] + "\n"
        if name == BUILD_BACKEND:
            parts["backend.txt"] += entry
        elif name in TORCH or name == "triton" or name.startswith(("nvidia-", "cuda-")):
            parts["torch.txt"] += entry
        elif name in runtime:
            parts["others.txt"] += entry
    return parts


def _runtime(entries: Iterable[tuple[str, str]]) -> set[str]:
    """Names of the packages that the project needs, directly or not, when it runs."""
    asked_by = [(name, set(VIA.findall(entry))) for name, entry in entries]
    wanted: set[str] = set()
    while more := {
        name
        for name, askers in asked_by
        if name not in wanted and (PROJECT in askers or askers & wanted)
    }:
        wanted |= more
    return wanted


if __name__ == "__main__":
    lock_file, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, content in select_pins(lock_file.read_text()).items():
        (folder / file_name).write_text(content)
