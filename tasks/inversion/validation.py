"""How well the prompts of concepts tell the codes of music that they were not learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.inversion.tokens import token
from tasks.inversion.examples import Segments
from tasks.inversion.templates import VALIDATION, prompt

if TYPE_CHECKING:
    from models.inversion.network import Learner

OWN = "cross_entropy"
OTHERS = "cross_entropy_of_others"


@dataclass(frozen=True)
class Validation:
    """Cross-entropy of segments that are set aside, under prompts that are.

    Attributes
    ----------
    own
        Segments of each concept.
    others
        For each concept, segments of other concepts of the dataset; none if it has no others.
        Under the concept's prompts their cross-entropy falls as well while a training learns
        what all music of the codec has in common; what falls more for the own ones was learnt
        of the concept.
    at_once
        Segments per call.
    """

    own: Sequence[Segments]
    others: Sequence[Segments]
    at_once: int

    def __call__(self, learner: Any) -> dict[str, float]:
        """Return the mean cross-entropy of a code in nats: of each concept, and of all."""
        found = {f"{OWN}/{each.concept}": self._mean(learner, each) for each in self.own}
        mean = float(np.mean(list(found.values())))
        beside = {f"{OTHERS}/{each.concept}": self._mean(learner, each) for each in self.others}
        return {OWN: mean, **found, **beside}

    def _mean(self, learner: "Learner", segments: Segments) -> float:
        import torch

        device = learner.generator.device
        word, values = token(segments.concept), []
        for start in range(0, len(segments), self.at_once):
            part = range(start, min(start + self.at_once, len(segments)))
            prompts = [
                prompt(VALIDATION[at % len(VALIDATION)], word, segments.descriptions[at])
                for at in part
            ]
            codes = torch.from_numpy(segments.codes[part.start : part.stop].astype(np.int32))
            ids, mask = learner.generator.tokens(prompts, learner.counts)
            values += learner(ids, mask, codes.to(device)).tolist()
        return float(np.mean(values))
