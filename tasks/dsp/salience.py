"""Pitch from a salience map: activations of pitch bins that lie 20 cents apart.

The map is CREPE's, and so are its bins and the step from a bin to its cents. The path
through the bins is found by the transitions of `torchcrepe.decode.viterbi`, over the
whole track instead of per batch, and without its dither of up to 20 cents.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.dsp.viterbi import advance_band, diagonals, trace_band, triangular_transition

N_BINS = 360
CENTS_PER_BIN = 20
LOWEST_CENTS = 1997.3794084376191  # above 10 Hz: CREPE's first bin, 31.7 Hz
HALF_WIDTH_BINS = 11  # torchcrepe: weight 12 for staying, 1 for a step of 11
NEIGHBOUR_BINS = 4  # CREPE's average over nine bins around the best one

CHUNK_FRAMES = 1 << 14
"""Frames whose pitches are read off the map at once: 5 MB."""

SHARPNESS = 4.0
"""Weight of the network's opinion against the transitions.

torchcrepe's is 1: its path needs 0.15 s to follow a leap of an octave. On synthetic
melodies of notes of 0.12 / 0.2 / 0.4 s the tiny network's raw pitch accuracy is
82 / 91 / 96 % with 1, 89 / 94 / 97 % with 4 and 91 / 94 / 97 % with 8; with chords leaking
in at -10 dB and notes of 0.5 s it is 94 % with 1, 96 % with 4 and 92 % with 8.
"""


class SaliencePitch(NamedTuple):
    """Pitch and confidence per frame.

    Attributes
    ----------
    f0_hz
        Fundamental frequency, in every frame.
    periodicity
        Activation of the decoded bin, 0..1: how sure the network is of a pitch.
    """

    f0_hz: npt.NDArray[np.float64]
    periodicity: npt.NDArray[np.float64]


def decode_salience(
    blocks: Iterable[npt.NDArray[np.float32]],
    n_frames: int,
    *,
    fmin_hz: float,
    fmax_hz: float,
    sharpness: float = SHARPNESS,
) -> SaliencePitch:
    """Most likely pitch path through a salience map.

    Parameters
    ----------
    blocks, each of shape (frames, 360)
        The map in pieces, in order of time.
    n_frames
        Frames in all blocks.
    fmin_hz, fmax_hz
        Bins outside of this range are not visited.
    sharpness
        Factor of the activations in the score of a path; 1 as in torchcrepe.

    Returns
    -------
    SaliencePitch
        Arrays of shape ``(n_frames,)``.

    Raises
    ------
    ValueError
        If the blocks do not hold `n_frames` frames, or the range holds no bin.
    """
    first = max(0, int(np.floor(_bin(fmin_hz))))
    last = min(N_BINS, int(np.ceil(_bin(fmax_hz))))
    if first >= last:
        raise ValueError(f"no pitch bin lies between {fmin_hz} and {fmax_hz} Hz")
    transition = triangular_transition(N_BINS, HALF_WIDTH_BINS)[first:last, first:last]
    with np.errstate(divide="ignore"):
        band = diagonals(np.log(transition), HALF_WIDTH_BINS)
    values = np.zeros(last - first)
    codes = np.empty((n_frames, last - first), np.uint8)
    # Half precision moves a pitch by less than 0.05 cents and halves what two hours take.
    kept_first, kept_last = max(0, first - NEIGHBOUR_BINS), min(N_BINS, last + NEIGHBOUR_BINS)
    kept = np.empty((n_frames, kept_last - kept_first), np.float16)

    done = 0
    for block in blocks:
        stop = done + len(block)
        if stop > n_frames:
            raise ValueError(f"more than {n_frames} frames")
        # The logarithm of torchcrepe's softmax over activations is, up to a constant,
        # the activation itself.
        advance_band(sharpness * block[:, first:last], band, values, codes[done:stop])
        kept[done:stop] = block[:, kept_first:kept_last]
        done = stop
    if done != n_frames:
        raise ValueError(f"{done} frames instead of {n_frames}")

    bins = trace_band(codes, HALF_WIDTH_BINS, int(np.argmax(values))) + first
    f0_hz, periodicity = np.empty(n_frames), np.empty(n_frames)
    for start in range(0, n_frames, CHUNK_FRAMES):
        frames = slice(start, start + CHUNK_FRAMES)
        centre = bins[frames, None]
        near = centre + np.arange(-NEIGHBOUR_BINS, NEIGHBOUR_BINS + 1)
        outside = (near < kept_first) | (near >= kept_last)
        columns = np.clip(near - kept_first, 0, kept.shape[1] - 1)
        weights = np.take_along_axis(kept[frames], columns, axis=1).astype(np.float64)
        weights[outside] = 0
        periodicity[frames] = weights[:, NEIGHBOUR_BINS]
        total = weights.sum(axis=1)
        # Where every activation is too small for half precision, the bin's centre remains.
        offset = (weights * (near - centre)).sum(axis=1) / np.where(total > 0, total, 1)
        cents = LOWEST_CENTS + CENTS_PER_BIN * (bins[frames] + offset)
        f0_hz[frames] = 10 * 2 ** (cents / 1200)
    return SaliencePitch(f0_hz, periodicity)


def _bin(frequency_hz: float) -> float:
    return (1200 * np.log2(frequency_hz / 10) - LOWEST_CENTS) / CENTS_PER_BIN
