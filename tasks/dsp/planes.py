"""16-bit samples, frame after frame, to floats channel by channel and to their sum, in one pass.

Each sample is read once and written where it belongs; numpy's own calls for the same
(convert, scale, transpose, add) go over the signal five times.
"""

import numba
import numpy as np
import numpy.typing as npt

from tasks.track import Samples

Int16 = npt.NDArray[np.int16]


def place(samples: Int16, gain: float, is_swapped: bool, target: Samples) -> None:
    """Write samples as floats, and silence after their end.

    Parameters
    ----------
    samples
        Shape ``(frames, channels)``, contiguous, of one channel or two, and of no more frames
        than `target` has.
    gain
        Factor on the integers.
    is_swapped
        Whether the two channels change places.
    target
        Shape ``(channels, length)``, float32; all of it is written.
    """
    for channel, frames, shift in _channels(samples, is_swapped):
        _place(frames, shift, np.float32(gain), target[channel])


def place_and_add(
    samples: Int16,
    gain: float,
    is_swapped: bool,
    target: Samples,
    mixture: Samples,
    *,
    is_first: bool = False,
) -> None:
    """Do as :func:`place` does, and add the same to a mixture.

    Parameters
    ----------
    samples, gain, is_swapped, target
        As :func:`place` takes them.
    mixture
        Of the shape of `target`.
    is_first
        Whether the mixture is nothing yet, whatever it holds.
    """
    for channel, frames, shift in _channels(samples, is_swapped):
        _place_and_add(frames, shift, np.float32(gain), target[channel], mixture[channel], is_first)


def _channels(
    samples: Int16, is_swapped: bool
) -> list[tuple[int, npt.NDArray[np.signedinteger], int]]:
    """For each channel: where it goes, the frames as integers, and the bit it begins at.

    Two samples side by side are one number of 32 bits. Loops over numbers that lie side by
    side become vector instructions; over every second one they take two and a half times as long.
    """
    frames: npt.NDArray[np.signedinteger] = samples.reshape(-1)
    if samples.shape[1] == 1:
        return [(0, frames, 0)]
    frames = frames.view(np.dtype("<i4"))
    return [(int(is_swapped), frames, 0), (1 - is_swapped, frames, 16)]


@numba.njit(cache=True, nogil=True)
def _place(frames, shift, gain, target):  # type: ignore[no-untyped-def]
    for index in range(len(frames)):
        target[index] = gain * np.float32(np.int16(frames[index] >> shift))
    target[len(frames) :] = 0


@numba.njit(cache=True, nogil=True)
def _place_and_add(frames, shift, gain, target, mixture, is_first):  # type: ignore[no-untyped-def]
    if is_first:
        for index in range(len(frames)):
            value = gain * np.float32(np.int16(frames[index] >> shift))
            target[index] = value
            mixture[index] = value
        mixture[len(frames) :] = 0
    else:
        for index in range(len(frames)):
            value = gain * np.float32(np.int16(frames[index] >> shift))
            target[index] = value
            mixture[index] += value
    target[len(frames) :] = 0
