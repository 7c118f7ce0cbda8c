"""What is heard in a track, and where."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@runtime_checkable
class EventDetector(Protocol):
    """Hears which kinds of sound there are at each time.

    Attributes
    ----------
    events
        Kinds of sound, of which several may be heard at once.
    sample_rate_hz
        Rate of the audio that it hears.
    hop_seconds
        Between its frames.
    """

    events: tuple[str, ...]
    sample_rate_hz: int
    hop_seconds: float

    def probabilities(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Return probabilities, ``(frames, len(events))`` each, of a mono track in blocks."""
        ...


@runtime_checkable
class Tagger(Protocol):
    """Says how likely listeners would give music each tag.

    Attributes
    ----------
    tags
        What it knows.
    sample_rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once.
    """

    tags: tuple[str, ...]
    sample_rate_hz: int
    window_samples: int

    def bands(self, windows: Float32) -> Float32:
        """Return what :meth:`scores` takes of mono windows, shape ``(n, window_samples)``.

        Taggers of the same library take the same.
        """
        ...

    def scores(self, bands: Float32) -> Float32:
        """Return how likely each tag is in each window, shape ``(n, len(tags))``."""
        ...


@runtime_checkable
class PitchTracker(Protocol):
    """Hears how likely each pitch is."""

    def activations(self, blocks: Iterable[Float32], hop_samples: int) -> Iterator[Float32]:
        """Return activations of pitch bins, ``(frames, bins)`` each, of a mono signal in blocks."""
        ...


@runtime_checkable
class VoicedPitchTracker(Protocol):
    """Hears the pitch of each frame, and how sure it is that there is one."""

    def track(
        self,
        blocks: Iterable[Float32],
        hop_samples: int,
        *,
        fmax_hz: float = np.inf,
        gain: float = 1.0,
    ) -> tuple[Float32, Float32]:
        """Return F0 up to `fmax_hz`, and confidence, ``(frames,)`` each; `gain` is a factor."""
        ...


class BeatFrames(NamedTuple):
    """What a tracker of beats hears in some frames.

    Attributes
    ----------
    activations
        Probabilities of a beat that is no downbeat, and of a downbeat, shape ``(frames, 2)``.
    levels
        Levels of bands, ``log10(1 + magnitude)``, shape ``(frames, bands)``.
    """

    activations: Float32
    levels: Float32


@runtime_checkable
class BeatTracker(Protocol):
    """Hears how likely each moment is a beat, and a downbeat.

    Attributes
    ----------
    sample_rate_hz
        Rate of the audio that it hears.
    frame_rate_hz
        Frames per second.
    band_hz
        Centres of the bands of its levels, shape ``(bands,)``.
    """

    sample_rate_hz: int
    frame_rate_hz: float
    band_hz: Float64

    def hear(self, blocks: Iterable[Float32]) -> Iterator[BeatFrames]:
        """Return what is heard in a mono signal, given in blocks of shape ``(n,)``."""
        ...


@runtime_checkable
class VoiceRater(Protocol):
    """Says how good a recording of a voice sounds, as listeners would.

    Attributes
    ----------
    scales
        What is scored.
    sample_rate_hz
        Rate of the audio that is scored.
    window_samples
        What is scored at once.
    """

    scales: tuple[str, ...]
    sample_rate_hz: int
    window_samples: int

    def scores(self, windows: Iterable[Float32]) -> Iterator[Float32]:
        """Return scores, ``(len(scales),)`` each, of mono windows ``(window_samples,)``."""
        ...
