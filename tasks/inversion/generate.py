"""Music that prompts describe, with what a generator of music was taught."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from models.inversion.tokens import ConceptError, check_known
from models.protocols import CONCEPTS, GENERATION, LearntConcepts
from tasks import audio
from tasks.audio.levels import FULL_SCALE
from tasks.inversion.piece import Piece
from tasks.step import Row, Step, StepConfig, Tools, TrackError, column, digest, on_gpu
from tasks.track import Samples
from tasks.weights import ModelError


class GenerateConfig(StepConfig):
    """How music is made.

    Attributes
    ----------
    generator
        A registered generator of music, or one of the user's own by the name that
        :meth:`tasks.weights.Weights.with_own` gives it.
    concepts
        What it was taught, by such a name; None for nothing.
    length_seconds
        Length of each piece.
    guidance
        How much more the text counts than by itself; 1 for no more.
    temperature, top_k
        How daring the music is: the distribution that codes are drawn from is made flatter by
        a temperature over 1, and cut to the `top_k` most probable codes; 0 for all of them.
    """

    generator: str
    concepts: str | None = None
    length_seconds: float = 10.0
    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250


def generate(
    pieces: Sequence[Piece],
    upstream: Mapping[str, Sequence[Row | None]],
    config: GenerateConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Store a piece of music for each item, as loud as it was made.

    Raises
    ------
    ModelError
        If the generator cannot be used, was not taught these concepts, or needs more memory than
        its GPU has.
    """
    with enough_memory(config):
        return _generated(pieces, config, tools)


@contextmanager
def enough_memory(config: GenerateConfig) -> Iterator[None]:
    """Say in a sentence, if a block that generates finds the memory full, what helps.

    Raises
    ------
    ModelError
        If it does.
    """
    try:
        yield
    except RuntimeError as error:
        from models.batching import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"There is not enough free memory for a piece of {config.length_seconds:g} s by "
            f"{config.generator}: end what else uses it, or choose a smaller --model_name, a "
            "shorter --length, or --device cpu."
        ) from error


def concepts_of(config: GenerateConfig, tools: Tools) -> LearntConcepts | None:
    """Return what the generator of a configuration was taught; None for nothing.

    Raises
    ------
    ModelError
        If that cannot be used, or another model was taught it.
    """
    if config.concepts is None:
        return None
    concepts = tools.model(config.concepts, CONCEPTS)
    place = tools.weights.trained.get(config.concepts, config.concepts)
    if concepts.model != config.generator:
        raise ModelError(
            f"{place} holds concepts that were learnt with {concepts.model}, and to "
            f"{config.generator} they mean nothing: generate with {concepts.model}, or train them "
            f"with {config.generator}."
        )
    here = tools.weights.revision(config.generator)
    if concepts.model_revision != here:
        raise ModelError(
            f"{place} holds concepts that were learnt with {concepts.model} at revision "
            f"{concepts.model_revision}, and here it is at {here}: generate with those weights "
            "(--models_dir says where they lie), or train the concepts anew."
        )
    return concepts


def _generated(
    pieces: Sequence[Piece], config: GenerateConfig, tools: Tools
) -> list[Row | TrackError]:
    concepts = concepts_of(config, tools)
    generator = tools.model(config.generator, GENERATION)
    known = list(concepts.vectors) if concepts else []
    results: dict[int, Row | TrackError] = {}
    asked: list[int] = []
    for at, piece in enumerate(pieces):
        try:
            check_known([piece.prompt], known)
        except ConceptError as error:
            results[at] = TrackError("unknown-concept", str(error))
        else:
            asked.append(at)
    music = generator.generate(
        [pieces[at].prompt for at in asked],
        [pieces[at].seed for at in asked],
        seconds=config.length_seconds,
        guidance=config.guidance,
        temperature=config.temperature,
        top_k=config.top_k,
        concepts=concepts,
        batch_size=tools.batch_size,
    )
    names_end = made_by(config, tools)
    for at, samples in zip(asked, music, strict=True):
        path = f"{pieces[at].track_id}-{names_end}.wav"
        try:
            results[at] = stored(samples, path, generator.sample_rate_hz, tools)
        except TrackError as error:
            results[at] = error
    return [results[at] for at in range(len(pieces))]


def stored(samples: Samples, path: str, rate_hz: int, tools: Tools) -> Row:
    """Store a piece of shape ``(channels, samples)``, quieter if it would be clipped.

    Returns its row.

    Raises
    ------
    TrackError
        If it is no sound.
    """
    if not np.isfinite(samples).all():
        raise TrackError(
            "not-finite",
            "The model made samples that are no numbers, as damaged weights or a --cfg_coef far "
            "too high do: fetch the model again, or ask for less.",
        )
    peak = float(np.abs(samples).max())
    # Of a peak beyond full scale all is made quieter: a limiter would change the sound.
    gain = FULL_SCALE / peak if peak > 1 else 1.0
    with audio.writing_sound(tools.outputs, path, rate_hz, len(samples), "wav") as write:
        write(samples * np.float32(gain))
    return {
        "path": path,
        "peak_dbfs": 20 * float(np.log10(peak)) if peak else None,
        "gain_db": 20 * float(np.log10(gain)),
        "sample_rate_hz": rate_hz,
        "channels": len(samples),
        "duration_seconds": samples.shape[1] / rate_hz,
    }


def made_by(config: GenerateConfig, tools: Tools) -> str:
    """Return what files of a configuration are named by: a digest of all that they depend on."""
    revisions = [tools.weights.revision(name) for name in _models(config)]
    return digest(json.dumps([STEP.version, config.keyed(), revisions]).encode())[:8]


def _models(config: GenerateConfig) -> tuple[str, ...]:
    return (config.generator,) if config.concepts is None else (config.generator, config.concepts)


STEP = Step(
    name="generate",
    version=1,
    config=GenerateConfig,
    columns=pa.schema(
        [
            column("path", pa.string(), "File of the piece, below the outputs"),
            column(
                "peak_dbfs", pa.float64(), "Largest sample as it was made; null for silence", "dB"
            ),
            column("gain_db", pa.float64(), "Gain of the file; 0 unless it would be clipped", "dB"),
            column("sample_rate_hz", pa.int32(), "Sample rate", "Hz"),
            column("channels", pa.int32(), "Channels"),
            column("duration_seconds", pa.float64(), "Duration", "s"),
        ]
    ),
    run=generate,
    resource=on_gpu,
    models=_models,
    attributes=("prompt", "seed"),
)
