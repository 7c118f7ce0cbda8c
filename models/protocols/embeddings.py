"""What makes vectors of sound and texts."""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


class VoicedSignal(Protocol):
    """What is voice in a mono signal; iterated over, in blocks of shape ``(n,)``."""

    @property
    def samples(self) -> int:
        """How many samples are voice."""
        ...

    def __iter__(self) -> Iterator[Float32]:
        """Iterate over the blocks, as often as is wanted."""
        ...


@runtime_checkable
class VoiceEmbedder(Protocol):
    """Embeds the voice of an utterance, in which it finds the voice itself."""

    def voiced(self, blocks: Iterable[Float32]) -> VoicedSignal:
        """Find what is voice in a mono signal; `blocks` may be iterated over more than once."""
        ...

    def embed(self, voiced: VoicedSignal, partials_per_second: float) -> Float32:
        """Return the embedding of what :meth:`voiced` returned, of unit norm."""
        ...


@runtime_checkable
class SpeakerEmbedder(Protocol):
    """Embeds who speaks or sings, signal by signal."""

    def embed(self, signals: Iterable[Float32], batch_size: int | None = None) -> Iterator[Float32]:
        """Return the embeddings of mono signals, shape ``(samples,)`` each, of unit norm."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """Embeds texts.

    Attributes
    ----------
    dimensions
        Of the space.
    """

    dimensions: int

    def embed_text(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Float32]:
        """Return the embeddings of texts, shape ``(dimensions,)`` each."""
        ...


@runtime_checkable
class AudioTextEmbedder(TextEmbedder, Protocol):
    """Embeds sounds and texts in one space.

    Attributes
    ----------
    rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once.
    """

    rate_hz: int
    window_samples: int

    def embed_audio(
        self, windows: Iterable[Float32], batch_size: int | None = None
    ) -> Iterator[Float32]:
        """Return the embeddings of mono windows, shape ``(samples,)`` each."""
        ...


@runtime_checkable
class MusicEmbedder(Protocol):
    """Describes music frame by frame.

    Attributes
    ----------
    sample_rate_hz
        Rate of the audio that it hears.
    dimensions
        Numbers per frame.
    frame_rate_hz
        Frames per second.
    layers
        Layers to choose from.
    min_samples
        Samples of the shortest window that has a frame.
    """

    sample_rate_hz: int
    dimensions: int
    frame_rate_hz: float
    layers: int
    min_samples: int

    def embed(
        self,
        windows: Iterable[Float32],
        *,
        layer: int | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Return the features of mono windows, shape ``(frames, dimensions)`` each."""
        ...


@runtime_checkable
class EmbeddingProjector(Protocol):
    """Projects embeddings of one encoder of audio and one of texts into one space.

    Attributes
    ----------
    dimensions
        Of the space.
    encoders
        Of ``audio`` and ``text``: ``name``, ``model`` and ``revision`` of what made the embeddings.
    """

    dimensions: int
    encoders: dict[str, dict[str, str]]

    def project_audio(self, embeddings: Float32) -> Float32:
        """Return unit vectors, shape ``(n, dimensions)``, of embeddings of audio."""
        ...

    def project_text(self, embeddings: Float32) -> Float32:
        """Return unit vectors, shape ``(n, dimensions)``, of embeddings of texts."""
        ...
