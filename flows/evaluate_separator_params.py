"""Parameters of evaluate-separator, and the steps that they add up to."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, field_validator

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, RESULTS, ModelParams
from flows.place_params import LocalPath, OptionalPlace, Place
from models import registry
from models.protocols import SEPARATION
from tasks.engine.stage import Stage
from tasks.separator import decode, score
from tasks.separator.candidates import WITHOUT_MODEL
from tasks.separator.decode import DecodeConfig
from tasks.separator.score import ScoreConfig
from tasks.separator.songs import place_of
from tasks.separator.training_song import MIXTURE, SOURCES
from tasks.step import Tools
from tasks.weights import Weights

BESIDE_IF_THERE = ("spleeter", "htdemucs")
"""Registered separators that are scored too where their weights are."""

RATE_HZ = 44_100
"""Of registered separators."""

REGISTERED = tuple(card.name for card in registry.CARDS.values() if card.task == SEPARATION.name)


class EvaluateSeparatorParams(ModelParams):
    """Score separators on songs whose sources are known.

    Separates the test songs of --data_root with every CHECKPOINT, and scores each source
    beside the mixture, ideal masks, the split without weights, and the registered separators
    that are there: SI-SDR, SDR, the metrics of BSS Eval, bleedless, fullness, log-WMSE.
    Writes a table, a summary with intervals, and a page with the worst excerpts to listen
    to. Nothing is computed twice: add a checkpoint, and only that one is scored.
    """

    examples: ClassVar[str] = """examples:
  python flows/evaluate_separator.py runs/unet1d --data_root musdb18
  python flows/evaluate_separator.py runs/a runs/b/checkpoints/step_002000.pt --data_root songs
  python flows/evaluate_separator.py spleeter --data_root songs --split all --beside mixture irm
"""

    checkpoints: tuple[Place, ...] = Field(
        description="Folders of trained separators, checkpoints, or names of registered ones.",
        json_schema_extra=FILES,
    )
    data_root: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) with songs as sources, or a CSV of paths: what "
        "train_separator.py takes.",
        json_schema_extra=FILES,
    )
    output: LocalPath = Field(
        Path("runs/evaluation"),
        description="Folder for the table, the summary and the page.",
        json_schema_extra=FILES,
    )
    split: Literal["test", "validation", "train", "all"] = Field(
        "test", description="Songs to score.", json_schema_extra=COMPUTE
    )
    beside: tuple[str, ...] | None = Field(
        None,
        description="What to score besides: mixture, irm, ibm, repet-centre or registered "
        "separators (default: these four, and spleeter and htdemucs where their weights are); "
        "none for nothing.",
        json_schema_extra=COMPUTE,
    )
    sources: tuple[str, ...] = Field(
        SOURCES,
        min_length=2,
        description="Sources that the songs are made of; one of them is other or accompaniment.",
        json_schema_extra=COMPUTE,
    )
    mixture: Literal["sum", "own"] = Field(
        "sum",
        description="What is separated: the sum of the sources, or the corpus's own mixture.",
        json_schema_extra=COMPUTE,
    )
    sample_rate_hz: int = Field(
        RATE_HZ,
        ge=8_000,
        le=192_000,
        description="Rate at which everything is scored: the separators' own.",
        json_schema_extra={**COMPUTE, "unit": "Hz"},
    )
    channels: int = Field(
        2, ge=1, le=2, description="1 for mono, 2 for stereo.", json_schema_extra=COMPUTE
    )
    max_songs: int | None = Field(
        None, ge=1, description="Take only the first so many songs.", json_schema_extra=COMPUTE
    )
    split_seed: int = Field(
        42,
        description="Changes which songs are for the test, where the corpus does not say, and "
        "what the intervals draw.",
        json_schema_extra=COMPUTE,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results and decoded songs (default: checkpoints/ in "
        "--output).",
        json_schema_extra=RESULTS,
    )

    _candidate: str = PrivateAttr(default=MIXTURE)

    @field_validator("beside")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ("none",):
            return ()
        known = (*WITHOUT_MODEL, *REGISTERED)
        if unknown := sorted(set(value or ()) - set(known)):
            raise ValueError(f"{', '.join(unknown)} is none of {', '.join(known)}")
        return value

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"separators on {self.data_root}"

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = Storage(str(self.output)).below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie, the user's own separators among them.

        Raises
        ------
        ModelError
            If a checkpoint is no separator.
        """
        weights = super().weights
        for address in self._own:
            weights, _ = weights.with_own(address, SEPARATION)
        return weights

    @property
    def asked_for(self) -> dict[str, str]:
        """Candidates of the checkpoints, with where each lies.

        Raises
        ------
        ModelError
            If one of them is no separator.
        """
        found, weights = {}, super().weights
        for each in self.checkpoints:
            name = weights.with_own(each, SEPARATION)[1] if each in self._own else each
            found[name] = each
        return found

    @property
    def candidates(self) -> list[str]:
        """All that is scored, the checkpoints first."""
        beside, weights = self.beside, super().weights
        if beside is None:
            there = [name for name in BESIDE_IF_THERE if not weights.problems(name)]
            beside = (*WITHOUT_MODEL, *(there if self.sample_rate_hz == RATE_HZ else ()))
        return list(dict.fromkeys([*self.asked_for, *beside]))

    @property
    def _own(self) -> list[str]:
        known = {*WITHOUT_MODEL, *REGISTERED}
        return [each for each in self.checkpoints if each not in known]

    @property
    def candidate(self) -> str:
        """The one that the steps score."""
        return self._candidate

    def scoring(self, candidate: str) -> Self:
        """Return the same parameters, whose steps score one candidate."""
        chosen = self.model_copy()
        chosen._candidate = candidate
        return chosen

    def tools(self) -> Tools:
        """Return what the steps may reach for."""
        assert self.data_root is not None
        return Tools(
            source=place_of(self.data_root),
            outputs=self.results_place.below("artifacts"),
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        decoding = DecodeConfig(
            sources=self.sources,
            sample_rate_hz=self.sample_rate_hz,
            channels=2 if self.channels == 2 else 1,
            mixture=self.mixture,
        )
        scoring = ScoreConfig(
            candidate=self._candidate,
            sources=self.sources,
            sample_rate_hz=self.sample_rate_hz,
            mixture=self.mixture,
        )
        return [Stage(decode.STEP, decoding), Stage(score.STEP, scoring)]
