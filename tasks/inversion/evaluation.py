"""How well concepts were learnt: pieces with them are compared with the recordings of them.

The pieces are those of fixed seeds and of prompts that no training has seen, so that evaluations
of one training, and of several, differ by what was learnt alone. They are compared with the
recordings in the space of CLAP, as :mod:`tasks.inversion.comparison` says.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.inversion.tokens import token
from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks import audio
from tasks.embed.clap import ClapModelName
from tasks.fit import FitConfig, FitError
from tasks.inversion.comparison import LEAST, Comparison, averages, compared, metrics
from tasks.inversion.concepts import Concepts, Segment
from tasks.step import Tools, digest
from tasks.text import counted
from tasks.track import TrackError
from tasks.training import randomness
from tasks.training.session import Session
from tasks.weights import Weights

if TYPE_CHECKING:
    import torch

    from models.inversion.network import Learner

Float32 = npt.NDArray[np.float32]
Pieces = dict[str, list[Float32]]

FOLDER = "evaluation"
"""Of pieces and figures, in the outputs of the training."""

BEFORE = "before"
"""Name of the evaluation before anything was learnt."""

PLACEHOLDER = "%s"
"""Where the concept stands in a template."""

BEST = "fad_best_avg"


class EvaluationConfig(FitConfig):
    """How often it is heard how well concepts were learnt, and by how many pieces."""

    epochs: int = Field(
        10,
        ge=0,
        description="Epochs between evaluations by generated pieces; 0 for none.",
        json_schema_extra={"flag": "evaluate_epochs"},
    )
    pieces: int = Field(
        10,
        ge=LEAST,
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
        Of prompts, with ``%s`` for the concept; taken in turn, the same for each concept.
    seconds
        Length of a piece, and of what is heard of a recording; 10 s at most.
    guidance
        How much more the text counts than it does by itself.
    """

    templates: Sequence[str]
    seconds: float
    guidance: float


def check(config: EvaluationConfig, weights: Weights) -> None:
    """Make sure, before a training begins, that what its evaluations need is there.

    Raises
    ------
    FitError
        If CLAP is not.
    """
    for name in config.models:
        if weights.manifest(name) is None:
            raise FitError(
                "evaluation-model",
                f"Concepts are evaluated by {name}, which is not in {weights.address}: "
                f"`python flows/fetch_models.py pull --models {name}` fetches it; "
                "--evaluate_epochs 0 trains without evaluations by generated pieces.",
            )


class Evaluation:
    """Evaluates concepts while they are learnt; it changes nothing of the training.

    Pieces and figures are written below ``evaluation`` in the outputs of the training: of before
    it, ``before/<concept>-00.flac`` and so on and ``before.json``; of each evaluated epoch,
    ``epoch-0010`` likewise. What is there already for the same weights is not made again.

    Parameters
    ----------
    config
        How often, and by how many pieces.
    asked
        What the pieces are.
    recordings
        Segments that the pieces of each concept are compared with, by its name.
    dataset
        Where they lie.
    tools
        Has CLAP, and the ``outputs``.
    session
        Takes the first piece of each concept, before and after.
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
        self._session, self._batch_size = session, tools.batch_size
        self._place = tools.outputs.below(FOLDER)
        self._clap = tools.model(config.clap_model, AUDIO_TEXT_EMBEDDING)
        longest = self._clap.window_samples / self._clap.rate_hz
        if asked.seconds > longest:
            raise FitError(
                "evaluation-seconds",
                f"Pieces of {asked.seconds:g} s are longer than the {longest:g} s that CLAP hears "
                "at once: train on shorter segments, or with --evaluate_epochs 0.",
            )
        self._references = {
            name: self._embedded(self._heard(dataset, segment) for segment in segments)
            for name, segments in recordings.items()
        }
        for name, rows in self._references.items():
            if len(rows) < LEAST:
                session.note(
                    f"{token(name)} has {counted(len(rows), 'recording')} to compare pieces with, "
                    f"and a distance needs {LEAST}: its FAD and KAD are not told."
                )
        self._inputs = {
            "fit": session.provenance.get("key"),
            "config": config.model_dump(mode="json"),
            "asked": asdict(asked),
            "recordings": {name: digest(rows.tobytes()) for name, rows in self._references.items()},
        }
        self._initial = _state(learner)
        self._before: dict[str, Comparison] | None = None

    def __call__(
        self, learner: "Learner", epoch: int, step: int, *, is_last: bool = False
    ) -> dict[str, float]:
        """Evaluate what was learnt where it is due; to be called at every validation.

        The first call also evaluates what there was before.

        Parameters
        ----------
        learner
            What was learnt so far; it is as it was afterwards, and so is all randomness.
        epoch, step
            How many are done.
        is_last
            Whether nothing is learnt after: then it is due in any epoch.

        Returns
        -------
        dict
            Nothing between evaluations. Else of each concept ``fad/<concept>``,
            ``kad/<concept>``, ``n/<concept>`` and ``n_reference/<concept>`` (how many pieces and
            recordings these rest on), ``clap_similarity/<concept>`` and, to the recordings of
            other concepts, ``clap_similarity_to_others/<concept>``; their means over the concepts
            ``fad_avg`` and so on, the same of before ``fad_avg_before`` and so on, and
            ``fad_best_avg``, the least mean so far.
        """
        if self._before is None:
            with _with_state(learner, self._initial):
                self._before = self._evaluated(learner, BEFORE, step)
        if not is_last and epoch % self.config.epochs:
            return {}
        found = self._evaluated(learner, f"epoch-{epoch:04d}", step)
        now = averages(found)
        if "fad_avg" in now:
            past = self._session.curves.get(BEST)
            now[BEST] = min(now["fad_avg"], *(past.values[-1:] if past else [now["fad_avg"]]))
        before = {f"{name}_before": value for name, value in averages(self._before).items()}
        return metrics(found) | now | before

    def _evaluated(self, learner: "Learner", name: str, step: int) -> dict[str, Comparison]:
        """Return what is found of the present state, made now or before."""
        inputs = digest(json.dumps([self._inputs, _digests(learner)]).encode())
        stored = self._stored(name, inputs)
        if stored is not None:
            return stored
        pieces = self._generated(learner)
        rate_hz = learner.generator.sample_rate_hz
        found = compared(
            {
                concept: self._embedded(self._resampled(piece, rate_hz) for piece in each)
                for concept, each in pieces.items()
            },
            self._references,
        )
        for concept, each in pieces.items():
            for number, piece in enumerate(each):
                path = f"{name}/{concept}-{number:02d}.flac"
                audio.write_flac(self._place, path, piece, rate_hz)
            when = BEFORE if name == BEFORE else "after"
            self._session.audio(f"{concept}/{when}", each[0].clip(-1, 1), rate_hz, step)
        content = {
            "inputs": inputs,
            "concepts": {concept: asdict(each) for concept, each in found.items()},
        }
        # Last: figures that are there have their pieces.
        self._place.write_bytes(f"{name}.json", json.dumps(content, indent=1).encode())
        return found

    def _stored(self, name: str, inputs: str) -> dict[str, Comparison] | None:
        try:
            content = json.loads(self._place.read_bytes(f"{name}.json"))
        except FileNotFoundError:
            return None
        if content["inputs"] != inputs:
            return None
        return {concept: Comparison(**each) for concept, each in content["concepts"].items()}

    def _generated(self, learner: "Learner") -> Pieces:
        """Return the pieces of each concept, shape ``(channels, samples)`` each."""
        import torch

        from models.inversion.adapter import Learnt

        generator, count = learner.generator, self.config.pieces
        names = [name for name in learner.counts for _ in range(count)]
        seeds = [*range(count)] * len(learner.counts)
        templates = self.asked.templates
        prompts = [
            templates[seed % len(templates)].replace(PLACEHOLDER, token(name))
            for name, seed in zip(names, seeds, strict=True)
        ]
        vectors = {
            name: rows.detach().float().cpu().numpy() for name, rows in learner.by_concept().items()
        }
        pieces: Pieces = {name: [] for name in learner.counts}
        with (
            _at_rest(learner),
            # A validation may be in mixed precision, which is not enough for the codec.
            torch.autocast(generator.device.type, enabled=False),
            # The decoder draws which layers it leaves out, also where it leaves out none.
            randomness.seeded(0),
        ):
            made = generator.generate(
                prompts,
                seeds,
                seconds=self.asked.seconds,
                guidance=self.asked.guidance,
                concepts=Learnt(vectors, model="", model_revision=""),
                batch_size=self._batch_size,
            )
            for name, piece in zip(names, made, strict=True):
                pieces[name].append(piece)
        return pieces

    def _heard(self, dataset: Concepts, segment: Segment) -> Float32:
        try:
            (signal,) = audio.load(
                dataset.place, segment.audio_path, rate_hz=self._clap.rate_hz, channels=1
            )
        except TrackError as error:
            raise FitError(
                "recording",
                f"{dataset.place.address}/{segment.audio_path} cannot be compared with: "
                f"{error} Run prepare_concepts.py again.",
            ) from error
        return signal[: round(self.asked.seconds * self._clap.rate_hz)]

    def _resampled(self, piece: Float32, rate_hz: int) -> Float32:
        mono = piece.mean(axis=0, keepdims=True)
        blocks = audio.resampled([mono], rate_hz, self._clap.rate_hz, channels=1)
        return np.concatenate([*blocks], axis=1)[0, : self._clap.window_samples]

    def _embedded(self, signals: Iterable[Float32]) -> Float32:
        rows = [*self._clap.embed_audio(signals, self._batch_size)]
        return np.stack(rows) if rows else np.empty((0, self._clap.dimensions), np.float32)


@contextmanager
def _at_rest(learner: "Learner") -> Iterator[None]:
    """Let what learns be in evaluation within the block, and in training after if it was."""
    was_training = learner.training
    learner.eval()
    try:
        yield
    finally:
        learner.train(was_training)


def _state(learner: "Learner") -> "dict[str, torch.Tensor]":
    return {name: value.detach().cpu().clone() for name, value in learner.state_dict().items()}


@contextmanager
def _with_state(learner: "Learner", state: "Mapping[str, torch.Tensor]") -> Iterator[None]:
    present = _state(learner)
    learner.load_state_dict(state)
    try:
        yield
    finally:
        learner.load_state_dict(present)


def _digests(learner: "Learner") -> dict[str, str]:
    return {name: digest(value.numpy().tobytes()) for name, value in _state(learner).items()}
