"""Parameters of generate_music, and the step that they add up to."""

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from blocks.storage import Storage
from flows.compute_params import FILES, RESULTS, Group, ModelParams
from flows.generator_params import MODEL_NAME, with_generator
from flows.place_params import OptionalLocalPath, OptionalPlace, Place
from models.protocols import CONCEPTS
from tasks.engine.stage import Stage
from tasks.inversion import generate
from tasks.inversion.generate import GenerateConfig
from tasks.inversion.piece import MAX_SEED
from tasks.step import Tools
from tasks.weights import ModelError, Weights

MUSIC: Group = {"group": "Music"}

MAX_SECONDS = 30
"""Length of the pieces that MusicGen was trained on."""


class GenerateMusicParams(ModelParams):
    """Make music that prompts describe, with concepts that a model was taught or without.

    Takes PROMPT: one or several, each in quotes. Writes <output>/<prompt>-<seed>-<key>.wav and
    a table of all pieces, generated.parquet and generated.csv. Run the same command again with a
    larger --count or with more prompts: only the new pieces are made.
    """

    examples: ClassVar[str] = """examples:
  python flows/generate_music.py "calm piano" "a loud rock song" --count 2
  python flows/generate_music.py "a song in the style of <8bit>" --embeds runs/8bit --count 4
  python flows/generate_music.py "<8bit> and <synthwave>" --embeds runs/both --cfg_coef 5 --seed 7
  python flows/generate_music.py --prompts prompts.txt --model_name medium --length 30
"""

    prompt: tuple[str, ...] = Field(
        (),
        description="What the music is to be; <concept> stands for one of --embeds.",
        json_schema_extra={**FILES, "positional": True},
    )
    prompts: OptionalLocalPath = Field(
        None,
        description="Text file of further prompts, one per line.",
        json_schema_extra=FILES,
    )
    embeds: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) of learnt concepts (default: none).",
        json_schema_extra=FILES,
    )
    output: Place = Field(
        "generated",
        description="Folder (or s3://bucket/prefix) for the music.",
        json_schema_extra=FILES,
    )
    model_name: Place = Field(
        "small",
        description=MODEL_NAME,
        json_schema_extra=MUSIC,
    )
    length: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description=f"Length of each piece, {MAX_SECONDS} s at most.",
        json_schema_extra={**MUSIC, "unit": "s"},
    )
    count: int = Field(1, ge=1, description="Pieces of each prompt.", json_schema_extra=MUSIC)
    cfg_coef: float = Field(
        3.0,
        ge=1,
        description="How much more the text counts than by itself; 1 for no more.",
        json_schema_extra=MUSIC,
    )
    temperature: float = Field(
        1.0, gt=0, description="How daring the music is.", json_schema_extra=MUSIC
    )
    top_k: int = Field(
        250,
        ge=0,
        description="Codes to draw from, the most probable ones; 0 for all.",
        json_schema_extra=MUSIC,
    )
    seed: int = Field(
        0,
        ge=0,
        description="Seed of the first piece of each prompt; the others have the next ones.",
        json_schema_extra=MUSIC,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output).",
        json_schema_extra=RESULTS,
    )

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("prompt")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(each.strip() for each in value):
            raise ValueError("an empty prompt describes no music")
        return tuple(each.strip() for each in value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.seed + self.count - 1 > MAX_SEED:
            raise ValueError(f"--seed {self.seed} is too large: {MAX_SEED} is the last seed")
        return self

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        if self.run_name:
            return self.run_name
        more = f" and {len(self.prompt) - 1} more" if len(self.prompt) > 1 else ""
        return f"{self.prompt[0]}{more}" if self.prompt else f"music of {self.prompts}"

    @property
    def place(self) -> Storage:
        """Where the music goes."""
        return Storage(self.output)

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = self.place.below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def stored(self) -> Storage:
        """Where the music lies under names made of its content's keys."""
        return self.results_place.below("music")

    @property
    def resolved(self) -> tuple[Weights, str, str | None]:
        """Where the weights of models lie, and the names of the generator and of the concepts.

        Raises
        ------
        ModelError
            If one is no such model.
        """
        weights, generator = with_generator(super().weights, self.model_name)
        concepts = None
        if self.embeds is not None:
            try:
                weights, concepts = weights.with_own(self.embeds, CONCEPTS)
            except ModelError as error:
                raise ModelError(f"--embeds {error}") from error
        return weights, generator, concepts

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie, the user's own among them."""
        return self.resolved[0]

    def tools(self) -> Tools:
        """Return what the step may reach for."""
        return Tools(
            # Prompts are all that goes in.
            source=self.stored,
            outputs=self.stored,
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    @property
    def config(self) -> GenerateConfig:
        """How the music is made."""
        _, generator, concepts = self.resolved
        return GenerateConfig(
            generator=generator,
            concepts=concepts,
            length_seconds=self.length,
            guidance=self.cfg_coef,
            temperature=self.temperature,
            top_k=self.top_k,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [Stage(generate.STEP, self.config)]
