"""What takes sound apart, or makes it smaller."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from models.encodec import Encoded

Float32 = npt.NDArray[np.float32]


@runtime_checkable
class Separator(Protocol):
    """Tells the sources of a mix apart.

    Attributes
    ----------
    sources
        Names of what it tells apart.
    sample_rate_hz
        Rate of the audio that it takes and returns.
    needs_level
        Whether it normalises a track by the level of all of it.
    """

    sources: tuple[str, ...]
    sample_rate_hz: int
    needs_level: bool

    def separate(
        self,
        blocks: Iterable[Float32],
        stems: Sequence[str],
        *,
        mean: float,
        std: float,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Return the stems of a track, from blocks ``(2, n)`` to blocks ``(len(stems), 2, n)``.

        `mean` and `std` are those of the mono mix of the whole track, for one that needs them.
        """
        ...


@runtime_checkable
class SeparatorOfMany(Separator, Protocol):
    """Tells the sources of several mixes apart, whose windows share a GPU's batches."""

    def separate_each(
        self,
        streams: Iterable[Iterable[Float32]],
        stems: Sequence[str],
        *,
        batch_size: int | None = None,
    ) -> Iterator[tuple[int, Float32]]:
        """Return the stems of tracks, one after the other, each block with its track's place."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Turns audio into codes, and back.

    Attributes
    ----------
    sample_rate_hz, channels
        Of the signals.
    frame_rate_hz
        Frames per second.
    codebook_size
        Entries of a codebook.
    bandwidths_kbps
        Bandwidths to choose from, ascending.
    dimensions
        Of what is quantised.
    """

    sample_rate_hz: int
    channels: int
    frame_rate_hz: float
    codebook_size: int
    bandwidths_kbps: tuple[float, ...]
    dimensions: int

    def codebooks(self, bandwidth_kbps: float | None = None) -> int:
        """Return the number of codebooks of a bandwidth; None for the lowest."""
        ...

    def encode(
        self,
        signals: Iterable[Float32],
        *,
        bandwidth_kbps: float | None = None,
        batch_size: int | None = None,
    ) -> "Iterator[Encoded]":
        """Return the codes of signals, shape ``(channels, samples)`` each."""
        ...

    def latents(
        self, signals: Iterable[Float32], batch_size: int | None = None
    ) -> Iterator[Float32]:
        """Return what would be quantised of signals, shape ``(frames, dimensions)`` each."""
        ...

    def decode(self, encoded: "Encoded") -> Float32:
        """Return the audio of a signal's codes, shape ``(channels, samples)``."""
        ...
