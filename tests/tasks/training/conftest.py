"""Trainings in the process of the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.storage import Storage
from tasks.training.files import FitFiles
from tasks.training.session import FitOptions, Session

MakeSession = Callable[..., Session]


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """A process trains once, and accelerate keeps its precision; here it is many."""
    from accelerate.state import AcceleratorState, GradientState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture
def session(tmp_path: Path) -> MakeSession:
    """Makes sessions; those of one key are runs of one fit."""
    made = 0

    def make(key: str = "key", *, seed: int = 0, **values: Any) -> Session:
        nonlocal made
        made += 1
        options = FitOptions(threads=1, log_steps=1) if "options" not in values else None
        return Session(
            FitFiles(Storage(str(tmp_path / "fits")), key),
            seed=seed,
            scratch=tmp_path / f"scratch-{made}",
            attempt=f"attempt{made}",
            **({"options": options} if options else {}),
            **values,
        )

    return make
