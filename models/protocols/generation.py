"""What makes music, and what it was taught."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@runtime_checkable
class LearntConcepts(Protocol):
    """Words that a generator of music was taught.

    Attributes
    ----------
    vectors
        Of each concept, by its name, shape ``(vectors, dimensions)``.
    model, model_revision
        The generator that they were learnt with: to another one they mean nothing.
    decoder
        Folder of low-rank weights that the generator's decoder needs as well; None for none.
    """

    vectors: Mapping[str, Float32]
    model: str
    model_revision: str
    decoder: Path | None


@runtime_checkable
class MusicGenerator(Protocol):
    """Makes music that a text describes.

    Attributes
    ----------
    sample_rate_hz, channels
        Of the music.
    frame_rate_hz
        Frames of codes per second.
    text_dimensions
        Of a vector that stands for a word.
    max_seconds
        Of a piece: longer ones than it was trained on lose their thread.
    """

    sample_rate_hz: int
    channels: int
    frame_rate_hz: float
    text_dimensions: int
    max_seconds: float

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        seconds: float,
        guidance: float = 3.0,
        temperature: float = 1.0,
        top_k: int = 250,
        concepts: LearntConcepts | None = None,
        batch_size: int | None = None,
        on_frame: Callable[[int, int], None] | None = None,
    ) -> Iterator[Float32]:
        """Return a piece per prompt and seed, shape ``(channels, samples)`` each."""
        ...
