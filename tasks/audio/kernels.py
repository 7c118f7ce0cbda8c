"""Loops over samples that an inspection compiles; only meters.py uses them."""

import numba
import numpy as np

from tasks.audio.levels import CLIPPED_RUN, FULL_SCALE
from tasks.audio.meters import CANDIDATE, PEAK, SQUARES, SUM, TAPS, WEIGHTED


@numba.njit(cache=True, nogil=True)
def sum_frames(  # type: ignore[no-untyped-def]
    block, begun, frame, coefficients, state, current, product, runs, frames, products
):
    """Fill what ends within the block, and go on with what does not."""
    channels = block.shape[1]
    b0, b1, b2, _, a1, a2 = coefficients[0]
    d0, d1, d2, _, c1, c2 = coefficients[1]
    for channel in range(channels):
        s1, s2, t1, t2 = state[channel]
        total, squares, weighted, peak = current[channel]
        sign, length, clipped = runs[channel]
        left, at = frame - begun, 0
        for index in range(block.shape[0]):
            x = np.float64(block[index, channel])
            y = b0 * x + s1
            s1 = b1 * x - a1 * y + s2
            s2 = b2 * x - a2 * y
            z = d0 * y + t1
            t1 = d1 * y - c1 * z + t2
            t2 = d2 * y - c2 * z
            total += x
            squares += x * x
            weighted += z * z
            size = abs(x)
            peak = max(peak, size)
            if size >= FULL_SCALE:
                now = 1 if x > 0 else -1
                length = length + 1 if now == sign else 1
                sign = now
                if length == CLIPPED_RUN:
                    clipped += CLIPPED_RUN
                elif length > CLIPPED_RUN:
                    clipped += 1
            else:
                sign = 0
            left -= 1
            if left == 0:
                frames[at, channel, SUM] = total
                frames[at, channel, SQUARES] = squares
                frames[at, channel, WEIGHTED] = weighted
                frames[at, channel, PEAK] = peak
                total, squares, weighted, peak = 0.0, 0.0, 0.0, 0.0
                left, at = frame, at + 1
        state[channel, 0], state[channel, 1] = s1, s2
        state[channel, 2], state[channel, 3] = t1, t2
        current[channel, SUM], current[channel, SQUARES] = total, squares
        current[channel, WEIGHTED], current[channel, PEAK] = weighted, peak
        runs[channel, 0], runs[channel, 1], runs[channel, 2] = sign, length, clipped
    if channels == 2:
        crossed = product[0]
        left, at = frame - begun, 0
        for index in range(block.shape[0]):
            crossed += np.float64(block[index, 0]) * block[index, 1]
            left -= 1
            if left == 0:
                products[at] = crossed
                crossed = 0.0
                left, at = frame, at + 1
        product[0] = crossed


@numba.njit(cache=True, nogil=True)
def raise_peaks(padded, filters, peaks):  # type: ignore[no-untyped-def]
    """Raise `peaks`, of each channel, to what the signal reaches between samples.

    The first and last half of the taps around a place have to be there: what is at the end of
    a block is looked at with the next one.
    """
    half = TAPS // 2
    for channel in range(padded.shape[1]):
        most = peaks[channel]
        for index in range(half, padded.shape[0] - half):
            size = abs(padded[index, channel])
            if size <= CANDIDATE * most:
                continue
            most = max(most, np.float64(size))
            if size < abs(padded[index - 1, channel]) or size < abs(padded[index + 1, channel]):
                continue
            for phase in range(filters.shape[0]):
                # On both sides of the sample, by the same filters turned round.
                after, before = 0.0, 0.0
                for tap in range(TAPS):
                    weight = filters[phase, tap]
                    after += weight * padded[index - half + 1 + tap, channel]
                    before += weight * padded[index + half - 1 - tap, channel]
                most = max(most, abs(after), abs(before))
        peaks[channel] = most
