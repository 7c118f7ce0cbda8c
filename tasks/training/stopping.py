"""Which validation was the best, and whether it is time to stop."""

import math
from dataclasses import dataclass
from typing import Any

from tasks.training.config import LoopConfig


@dataclass
class EarlyStopping:
    """The best value of a metric, and how long ago it was.

    Attributes
    ----------
    config
        Direction, least improvement and patience.
    best
        Best value so far; None before the first.
    waited
        Validations since the last improvement.
    """

    config: LoopConfig
    best: float | None = None
    waited: int = 0

    def update(self, value: float) -> bool:
        """Take up a validation, and return whether it is the best so far; NaN never is."""
        gain = -value if self.config.direction == "min" else value
        before = (
            self.best
            if self.best is None
            else (-self.best if self.config.direction == "min" else self.best)
        )
        improved = not math.isnan(value) and (
            before is None or gain > before + self.config.min_delta
        )
        if improved:
            self.best = value
        self.waited = 0 if improved else self.waited + 1
        return improved

    @property
    def is_exhausted(self) -> bool:
        """Whether patience is over."""
        return self.config.patience is not None and self.waited >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be saved."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best, self.waited = state["best"], state["waited"]
