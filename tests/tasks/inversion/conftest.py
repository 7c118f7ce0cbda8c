"""Trainings of concepts in the process of the tests."""

from tests.tasks.training.conftest import _fresh_accelerate, session

__all__ = ["_fresh_accelerate", "session"]
