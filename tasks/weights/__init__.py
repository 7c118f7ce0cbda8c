"""Weights of models: where they lie, and how they get there."""

from tasks.weights.places import ModelError, Weights, WeightsError, default_address

__all__ = ["ModelError", "Weights", "WeightsError", "default_address"]
