"""The dataset of songs and the exports that those of tests/tasks/export are made with."""

from tests.tasks.export.conftest import export, songs

__all__ = ["export", "songs"]
