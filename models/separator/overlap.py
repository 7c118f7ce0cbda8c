"""A signal of any length as windows that overlap, and their results as one signal again.

Where two windows meet, each has heard the seam with some context beyond it, and one fades into
the other. What adds up to the mixture in every window adds up to it there as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

CONTEXT_SECONDS = 0.1
"""What a window hears beyond a seam: the U-Net reaches 0.06 s to each side."""

FADE_SECONDS = 0.05
"""Length of a crossfade: a period of 20 Hz, below which nothing is heard as a click."""

MOST_OVERLAP = 0.25
"""Share of a window that overlaps at most, where windows are short."""

LEAST = 0.2
"""Share of a window that the last one of a track has at least, if the track has it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a signal is cut.

    Attributes
    ----------
    window
        Samples of a window.
    context
        Samples at each end that are not heard where another window is beside it.
    fade
        Samples of a crossfade, next to the context.
    """

    window: int
    context: int
    fade: int

    @classmethod
    def of(cls, window_seconds: float, rate_hz: int) -> "Cut":
        """Return how windows of some seconds are cut at a rate."""
        overlap_seconds = 2 * CONTEXT_SECONDS + FADE_SECONDS
        scale = min(1.0, MOST_OVERLAP * window_seconds / overlap_seconds) * rate_hz
        return cls(
            max(1, round(window_seconds * rate_hz)),
            int(CONTEXT_SECONDS * scale),
            int(FADE_SECONDS * scale),
        )

    @property
    def overlap(self) -> int:
        """Samples that two windows share."""
        return 2 * self.context + self.fade

    @property
    def stride(self) -> int:
        """Samples from the begin of a window to that of the next."""
        return self.window - self.overlap


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a signal.

    Attributes
    ----------
    mix
        Shape ``(channels, n)``.
    begin
        Where the window begins in `mix`; the last one has more before it, so that a network never
        hears a fragment only.
    is_last
        Whether the signal ends with it.
    stream
        Which signal it is of.
    """

    mix: Float32
    begin: int
    is_last: bool
    stream: int


def windows(blocks: Iterable[Float32], cut: Cut, stream: int = 0) -> Iterator[Window]:
    """Cut a signal into windows; the last is as long as there is signal for it.

    Parameters
    ----------
    blocks
        The signal, shape ``(channels, n)`` each, however it is cut. Empty, it has no windows.
    cut
        How long windows are.
    stream
        Which signal it is.
    """
    least = int(LEAST * cut.window)
    waiting: list[Float32] = []
    there = begin = 0  # samples that wait, and where among them the next window begins
    for block in blocks:
        waiting.append(block)
        there += block.shape[1]
        if there <= begin + cut.window:
            continue
        mix = np.concatenate(waiting, axis=1)
        # A window is only known not to be the last when there is something after it.
        while mix.shape[1] > begin + cut.window:
            yield Window(mix[:, begin : begin + cut.window], 0, False, stream)
            begin += cut.stride
        passed = max(0, begin - least)
        mix, begin = mix[:, passed:], begin - passed
        waiting, there = [mix], mix.shape[1]
    if there:
        mix = np.concatenate(waiting, axis=1)
        first = max(0, min(begin, mix.shape[1] - least))
        yield Window(mix[:, first:], begin - first, True, stream)


def overlapped(
    results: Iterable[tuple[Window, Float32]], cut: Cut
) -> Iterator[tuple[int, Float32]]:
    """Put the results of windows together, of one signal after the other.

    Parameters
    ----------
    results
        Each window with its result, shape ``(..., n)``, as long as its mix.
    cut
        How the windows were cut.

    Yields
    ------
    int, ndarray of shape (..., m)
        Which signal, and a part of it, in order of time; as many samples in all as it has.
    """
    rising = np.arange(1, cut.fade + 1, dtype=np.float32) / np.float32(cut.fade + 1)
    fading: Float32 | None = None  # end of the window before, from the crossfade on
    for window, result in results:
        heard = result[..., window.begin :]
        begin = 0
        if fading is not None:
            begin = cut.context + cut.fade
            # A part of its own: to put it before the rest would copy the window.
            yield window.stream, fading + rising * (heard[..., cut.context : begin] - fading)
        end = heard.shape[-1] if window.is_last else cut.stride + cut.context
        fading = None if window.is_last else heard[..., end : end + cut.fade].copy()
        yield window.stream, heard[..., begin:end]
