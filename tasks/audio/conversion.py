"""Decoded audio to one rate and one number of channels, put right on the way."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

from tasks.audio.downmix import to_channels
from tasks.audio.readers import Block
from tasks.audio.repair import AS_FOUND, Repair
from tasks.track import Samples


def converted(
    blocks: Iterable[Block], *, rate_hz: int, channels: Literal[1, 2], repair: Repair = AS_FOUND
) -> Iterator[Samples]:
    """Repaired blocks of shape ``(channels, n)`` at one rate, of such as were decoded."""
    conversion = Conversion(rate_hz, channels, repair)
    for block in blocks:
        yield from conversion.take(block)
    yield from conversion.end()


def resampled(
    blocks: Iterable[Samples], source_rate_hz: int, rate_hz: int, channels: int
) -> Iterator[Samples]:
    """Blocks of a signal, shape ``(channels, n)`` each, at another rate."""
    resampler = _Resampler(source_rate_hz, rate_hz, channels)
    for block in blocks:
        yield resampler.take(np.ascontiguousarray(block.T)).T
    for rest in resampler.end():
        yield rest.T


def resampled_mono(
    blocks: Iterable[Samples], source_rate_hz: int, rate_hz: int
) -> Iterator[Samples]:
    """Blocks of a signal, shape ``(n,)`` each, at another rate."""
    for block in resampled((block[None] for block in blocks), source_rate_hz, rate_hz, 1):
        yield block[0]


class Conversion:
    """A stream on its way to a rate, to mono or to stereo, block by block.

    Where the rate changes midway, each part is resampled for itself.

    Parameters
    ----------
    rate_hz, channels
        What is wanted.
    repair
        What is put right before.
    """

    def __init__(self, rate_hz: int, channels: Literal[1, 2], repair: Repair = AS_FOUND) -> None:
        self._rate_hz = rate_hz
        self._channels: Literal[1, 2] = channels
        self._repair = repair
        self._resampler: _Resampler | None = None

    def take(self, block: Block) -> Iterator[Samples]:
        """Yield what a block makes ready, shape ``(channels, n)``."""
        if self._resampler is None or self._resampler.source_rate_hz != block.rate_hz:
            yield from self.end()
            self._resampler = _Resampler(block.rate_hz, self._rate_hz, self._channels)
        yield self._resampler.take(_repaired(block, self._channels, self._repair)).T

    def end(self) -> Iterator[Samples]:
        """Yield what is left when all blocks were taken."""
        if self._resampler is not None:
            for rest in self._resampler.end():
                yield rest.T
            self._resampler = None


class _Resampler:
    """Blocks of shape ``(frames, channels)`` to another rate."""

    def __init__(self, source_rate_hz: int, rate_hz: int, channels: int) -> None:
        self.source_rate_hz = source_rate_hz
        self._channels = channels
        self._stream: Any = None
        if source_rate_hz != rate_hz:
            import soxr

            self._stream = soxr.ResampleStream(source_rate_hz, rate_hz, channels, dtype="float32")

    def take(self, frames: Samples) -> Samples:
        """Return as much as can be said after these frames."""
        return frames if self._stream is None else self._stream.resample_chunk(frames)

    def end(self) -> Iterator[Samples]:
        """Yield the rest."""
        if self._stream is not None:
            yield self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True)


def _repaired(block: Block, channels: Literal[1, 2], repair: Repair) -> Samples:
    """Audio of a block as it should be, shape ``(frames, channels)``."""
    samples = repair.cleaned(block.samples)
    if repair.is_of_stereo:
        samples = repair.applied(to_channels(samples, 2, block.layout))
        samples = to_channels(samples, channels)
    else:
        samples = repair.applied(to_channels(samples, channels, block.layout))
    return np.ascontiguousarray(samples)
