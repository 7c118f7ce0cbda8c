"""What is put right of a file before every step alike."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tasks.audio.readers import Decoder
from tasks.track import Samples

ChannelMap = Literal["as-found", "left", "right", "right-inverted"]


@dataclass(frozen=True, slots=True)
class Repair:
    """How a file is read: by which decoder, and what of its audio is put right.

    :func:`tasks.audio.inspect` finds it out; :func:`tasks.audio.stream` and
    :func:`tasks.audio.load` apply it, before they resample.

    Attributes
    ----------
    decoder
        Library that reads the whole of the file; None for the first that reads anything.
    limit
        Samples beyond it, as decoded, are no audio, and are zero; those that are no finite
        number always are.
    gain
        Factor of all samples.
    left_offset, right_offset
        What is taken off the channels of the stereo downmix after the gain: their mean.
    channel_map
        Where left and right of the downmix come from: ``"left"`` and ``"right"`` take one for
        both, ``"right-inverted"`` turns the polarity of the right one.
    """

    decoder: Decoder | None = None
    limit: float | None = None
    gain: float = 1.0
    left_offset: float = 0.0
    right_offset: float = 0.0
    channel_map: ChannelMap = "as-found"

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> "Repair":
        """Return what a row of ``probe`` says; of a file that was not inspected, nothing."""
        if row is None or row.get("repair") is None:
            return cls()
        return cls(decoder=row["decoder"], **row["repair"])

    def amplified(self, gain: float) -> "Repair":
        """Return the same repair, and a gain after it."""
        return replace(
            self,
            gain=self.gain * gain,
            left_offset=self.left_offset * gain,
            right_offset=self.right_offset * gain,
        )

    @property
    def is_of_stereo(self) -> bool:
        """Whether left and right are treated in different ways."""
        return self.channel_map != "as-found" or self.left_offset != self.right_offset

    def cleaned(self, samples: Samples) -> Samples:
        """Return samples of any shape, those that are no audio being zero."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(samples.sum())
        if np.isfinite(total) and self.limit is None:
            return samples
        most = np.float32(np.finfo(np.float32).max if self.limit is None else self.limit)
        # Of NaN every comparison is false.
        return np.where(np.abs(samples) <= most, samples, np.float32(0))

    def applied(self, samples: Samples) -> Samples:
        """Put cleaned samples right, shape ``(frames, channels)`` of one or two channels."""
        if self.gain != 1:
            samples = samples * np.float32(self.gain)
        if samples.shape[1] == 1:
            offset = (self.left_offset + self.right_offset) / 2
            return samples - np.float32(offset) if offset else samples
        if self.left_offset or self.right_offset:
            samples = samples - np.array([self.left_offset, self.right_offset], np.float32)
        if self.channel_map == "right-inverted":
            return samples * np.array([1, -1], np.float32)
        if self.channel_map != "as-found":
            return samples[:, [0, 0] if self.channel_map == "left" else [1, 1]]
        return samples


AS_FOUND = Repair()
"""A file of which nothing is put right."""
