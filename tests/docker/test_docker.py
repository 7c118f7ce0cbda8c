"""The images, as far as they can be tested without a Docker engine."""

import functools
import json
import os
import re
import runpy
import shlex
import ssl
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCKER = ROOT / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, continued lines joined."""
    lines = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\s*\\\n\s*", " ", lines)
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line]


def in_context(path: str) -> bool:
    """Whether Docker sees a file: the last pattern that matches it or its folder decides."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        inner = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{inner}(?:/.*)?", path):
            seen = line.startswith("!")
    return seen


# The Dockerfile


def test_hadolint_has_no_complaint() -> None:
    done = subprocess.run([BIN / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_are_pinned_and_nothing_comes_from_elsewhere() -> None:
    stages = set()
    for name, argument in instructions():
        assert name in {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "ARG", "USER", "CMD"}
        if name == "FROM":
            base, _, stage = argument.split()
            assert base in stages or re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)
            stages.add(stage)
        # No tool of a system, and no compiler, is ever there to be removed.
        assert not re.search(r"\b(apt|apt-get|curl|wget|git|gcc)\b", argument)
    assert {"cpu", "cuda"} <= stages


def test_every_image_ends_as_an_ordinary_user() -> None:
    users: dict[str, str] = {}
    for name, argument in instructions():
        if name == "FROM":
            base, _, stage = argument.split()
            users[stage] = users.get(base, "root")
        elif name == "USER":
            users[stage] = argument
    assert (users["cpu"], users["cuda"]) == ("10001:10001", "10001:10001")


def test_packages_come_before_the_code_and_only_pytorchs_own_index_goes_without_hashes() -> None:
    done = instructions()
    code = done.index(("COPY", "flows flows"))
    installs = [
        (at, command)
        for at, (name, argument) in enumerate(done)
        if name == "RUN"
        for command in re.findall(r"pip install [^;&]*", argument)
    ]
    cuda = done.index(("COPY", "docker/cuda.lock /pins/"))
    for at, command in installs:
        if "--editable ." in command:
            assert code < at
        else:
            assert at < code or at > cuda
            assert ("--require-hashes" in command) != ("$TORCH_INDEX_URL" in command)
    assert len(installs) == 7
    assert ("ARG", 'TORCH_INDEX_URL=""') in done


def test_command_is_given_as_a_list() -> None:
    [command] = [argument for name, argument in instructions() if name == "CMD"]
    program, script, _ = json.loads(command)
    assert program == "python"
    assert (ROOT / script).is_file()


def test_whatever_is_copied_is_there_and_not_ignored() -> None:
    sources = [
        source
        for name, argument in instructions()
        if name == "COPY" and not argument.startswith("--from")
        for source in argument.split()[:-1]
    ]
    for source in sources:
        assert (ROOT / source).exists(), source
        file = source if (ROOT / source).is_file() else f"{source}/module.py"
        assert in_context(file), source
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {package.rstrip("*") for package in packages} <= set(sources)


@pytest.mark.parametrize(
    "path",
    [
        "docker/.env", ".env", "flows/.env", ".git/config", ".venv/bin/python", "demo/songs/a.flac",
        "tests/conftest.py", "flows/__pycache__/cli.cpython-311.pyc", "songmill.egg-info/PKG-INFO",
        "docker/music/song.mp3", "README.md",
    ],
)  # fmt: skip
def test_secrets_and_clutter_stay_out_of_the_context(path: str) -> None:
    assert not in_context(path)


def test_one_certificate_is_made_of_the_bundle(tmp_path: Path) -> None:
    [command] = [argument for name, argument in instructions() if "certifi" in argument]
    target = tmp_path / "one.pem"
    path = f"{BIN}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", command.replace("/opt/one-certificate.pem", shlex.quote(str(target)))],
        env=os.environ | {"PATH": path},
        check=True,
    )
    assert len(ssl.create_default_context(cafile=str(target)).get_ca_certs()) == 1


# The packages


@functools.cache
def pins() -> dict[str, str]:
    select: dict[str, Any] = runpy.run_path(str(DOCKER / "select_pins.py"))
    parts: dict[str, str] = select["select_pins"](LOCK)
    return parts


def pinned(text: str) -> dict[str, str]:
    """Versions by name of the entries that hold for this interpreter."""
    found = re.findall(r"^([a-z0-9][^\\\n]*?)\s*\\?$", text, re.MULTILINE)
    wanted = [Requirement(line) for line in found]
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in wanted
        if not each.marker or each.marker.evaluate()
    }


def needed() -> set[str]:
    """What the project needs according to the packages installed here, down to the last."""
    overrides = map(Requirement, PROJECT["tool"]["uv"]["override-dependencies"])
    # By markers that never hold, as opposed to other versions.
    dropped = {each.name for each in overrides if each.marker and not each.marker.evaluate()}
    found: set[str] = set()
    waiting = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} if name not in dropped else ():
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found.add(name)
            for requirement in map(Requirement, metadata.requires(name) or []):
                if not requirement.marker or requirement.marker.evaluate({"extra": extra}):
                    waiting.append(requirement)
    return found


def test_images_hold_what_the_project_needs_and_nothing_for_developers() -> None:
    parts = pins()
    installed = {
        name for part in ("backend.txt", "torch.txt", "others.txt") for name in pinned(parts[part])
    }
    assert needed() <= installed
    # The lock serves every platform, and names askers that hold only on another.
    assert installed - needed() <= {"async-timeout", "colorama", "exceptiongroup"}
    assert not installed & {"pytest", "moto", "mypy", "ruff", "datasets"}


def test_every_pin_is_the_locks_word_for_word() -> None:
    parts = pins()
    for part in ("backend.txt", "torch.txt", "others.txt"):
        for entry in re.split(r"(?m)^(?=[a-z0-9])", parts[part])[1:]:
            assert entry in LOCK
            assert "--hash=sha256:" in entry
    assert list(pinned(parts["backend.txt"])) == ["setuptools"]
    assert pinned(parts["torch-versions.txt"]).items() <= pinned(LOCK).items()
    assert not [
        name for name in pinned(parts["others.txt"]) if re.match("nvidia|cuda|torch$", name)
    ]


def test_cuda_image_adds_what_the_extra_asks_for() -> None:
    lock = (DOCKER / "cuda.lock").read_text()
    versions = pinned(lock)
    for wanted in map(Requirement, PROJECT["project"]["optional-dependencies"]["cuda"]):
        assert wanted.specifier.contains(versions[wanted.name])
    assert not versions.keys() & pinned(LOCK).keys()
    assert lock.count("==") <= lock.count("--hash=sha256:")
