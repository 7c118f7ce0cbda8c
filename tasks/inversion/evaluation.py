"""How well concepts were learnt: pieces with them are compared with the recordings of them.

The pieces are those of fixed seeds and of prompts that no training has seen, so that evaluations
of one training, and of several, differ by what was learnt alone. Sounds are compared in the space
of CLAP: by the Fréchet and the kernel distance of the pieces from the concept's recordings, and by
the similarity to the recordings of this and of the other concepts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blocks.storage import Storage
from models.inversion.adapter import Learnt
from models.inversion.tokens import token
from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks import audio
from tasks.dsp.embedding_distances import Distance, frechet_distance, kernel_distance
from tasks.embed.clap import ClapModelName
from tasks.fit import FitConfig, FitError
from tasks.inversion.concepts import Concepts, Segment
from tasks.step import Tools, digest
from tasks.text import counted
from tasks.track import TrackError
from tasks.training.session import Session

if TYPE_CHECKING:
    from models.inversion.network import Learner

Float32 = npt.NDArray[np.float32]

FOLDER = "evaluation"
"""Of the pieces and figures, in the outputs of the training."""

BEFORE = "before"
"""The evaluation of what nothing was learnt by."""

PLACEHOLDER = "%s"
"""Where the concept stands in a template."""

BEST = "fad_best_avg"
"""The least mean of the Fréchet distances so far."""

AVERAGES = ("fad", "kad", "clap_similarity")
"""Figures whose means over the concepts are told."""


class EvaluationConfig(FitConfig):
    """How often, and by how many pieces, it is heard how well concepts were learnt."""

    epochs: int = Field(
        10,
        ge=0,
        description="Epochs between evaluations by generated pieces; 0 for none.",
        json_schema_extra={"flag": "evaluate_epochs"},
    )
    pieces: int = Field(
        10,
        ge=2,
        description="Pieces of each concept that an evaluation generates.",
        json_schema_extra={"flag": "evaluate_pieces"},
    )
    clap_model: ClapModelName = Field(
        "clap-music-and-speech",
        description="CLAP model that pieces and recordings are compared by.",
        json_schema_extra={"flag": "clap_model"},
    )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that evaluations need."""
        return (self.clap_model,) if self.epochs else ()


@dataclass(frozen=True)
class Asked:
    """What the pieces of an evaluation are.

    Attributes
    ----------
    templates
        Of prompts, with ``%s`` for the concept; the first for the first piece of each concept.
    seconds
        Length of a piece, and of what is heard of a recording; 10 s at most.
    guidance
        How much more the text counts than it does by itself.
    """

    templates: Sequence[str]
    seconds: float
    guidance: float


class Evaluation:
    """Evaluates concepts while they are learnt; it changes nothing of the training.

    Parameters
    ----------
    config
        How often, and by how many pieces.
    asked
        What the pieces are.
    recordings
        Segments of each concept that its pieces are compared with, by name.
    dataset
        Where they lie.
    tools
        Has CLAP, and ``outputs``, where pieces and figures are written.
    session
        Takes the pieces before and after.
    learner
        As it is before anything was learnt: its state is copied.

    Raises
    ------
    FitError
        If a recording cannot be read, or pieces would be longer than CLAP hears at once.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        asked: Asked,
        recordings: Mapping[str, Sequence[Segment]],
        dataset: Concepts,
        tools: Tools,
        session: Session,
        learner: "Learner",
    ) -> None:
        self.config, self.asked = config, asked
        self._tools, self._session = tools, session
        self._place: Storage = tools.outputs.below(FOLDER)

    def __call__(
        self, learner: "Learner", epoch: int, step: int, *, is_last: bool = False
    ) -> dict[str, float]:
        """Evaluate what was learnt where it is due; to be called at every validation.

        Parameters
        ----------
        learner
            What was learnt so far; it is as it was afterwards, and so is all randomness.
        epoch
            Epochs that are done.
        step
            Steps that are done, for the logs.
        is_last
            Whether nothing is learnt after: then it is due in any epoch.

        Returns
        -------
        dict
            Nothing between evaluations. Else of each concept ``fad/<concept>``,
            ``kad/<concept>``, ``n/<concept>`` and ``n_reference/<concept>`` (how many pieces and
            recordings these rest on), ``clap_similarity/<concept>`` and, to the recordings of
            other concepts, ``clap_similarity_to_others/<concept>``; their means over the concepts
            ``fad_avg``, ``kad_avg`` and ``clap_similarity_avg``, the same of before anything was
            learnt, ``fad_avg_before`` and so on, and ``fad_best_avg``, the least mean so far.
        """
        raise NotImplementedError
