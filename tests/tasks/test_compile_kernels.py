"""Kernels that are compiled ahead: all of them, for the types that the steps call them with."""

from typing import Any

import pytest

from tests.support.bare_build import bare_build


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return bare_build(tmp_path_factory)


def test_none_is_left_to_the_steps(build: dict[str, Any]):
    assert (build["tracks"], build["failures"]) == (["plain.flac", "song.m4a"], [])
    assert build["kernels"] == build["kernels_ahead"]


def test_every_module_of_kernels_is_called(build: dict[str, Any]):
    # Those that only kernels call are compiled with their callers.
    ahead = build["kernels_ahead"]
    called = {name.rpartition(".")[0] for name, types in ahead.items() if types}
    assert called == {name.rpartition(".")[0] for name in ahead} != set()
