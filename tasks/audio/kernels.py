"""Loops over samples that an inspection compiles; only meters.py uses them."""

import numba
import numpy as np

from tasks.audio.levels import (
    CANDIDATE,
    CLIPPED_RUN,
    FULL_SCALE,
    PEAK,
    SQUARES,
    SUM,
    TAPS,
    WEIGHTED,
)


@numba.njit(nogil=True, inline="always")
def _weighted(x, coefficients, s1, s2, t1, t2):  # type: ignore[no-untyped-def]
    """Next sample of a channel by both sections, in transposed direct form II."""
    b0, b1, b2, a1, a2, d0, d1, d2, c1, c2 = coefficients
    y = b0 * x + s1
    s1 = b1 * x - a1 * y + s2
    s2 = b2 * x - a2 * y
    z = d0 * y + t1
    t1 = d1 * y - c1 * z + t2
    t2 = d2 * y - c2 * z
    return z, s1, s2, t1, t2


@numba.njit(cache=True, nogil=True)
def sum_frames(  # type: ignore[no-untyped-def]
    samples, begun, frame, coefficients, state, current, frames
):
    """Fill the frames of one channel that end within the block, and go on with what does not.

    Parameters
    ----------
    samples : shape ``(n,)``
    begun, frame
        Samples of the first frame that were there before, and of a whole one.
    coefficients : ten numbers
    state : shape ``(4,)``
        Of the filters.
    current : shape ``(4,)``
        Sums of the frame that has begun.
    frames : shape ``(whole, 4)``
    """
    s1, s2, t1, t2 = state
    total, squares, weighted, peak = current
    left, at = frame - begun, 0
    for index in range(len(samples)):
        x = np.float64(samples[index])
        z, s1, s2, t1, t2 = _weighted(x, coefficients, s1, s2, t1, t2)
        total += x
        squares += x * x
        weighted += z * z
        peak = max(peak, abs(x))
        left -= 1
        if left == 0:
            frames[at, SUM], frames[at, SQUARES] = total, squares
            frames[at, WEIGHTED], frames[at, PEAK] = weighted, peak
            total, squares, weighted, peak = 0.0, 0.0, 0.0, 0.0
            left, at = frame, at + 1
    state[0], state[1], state[2], state[3] = s1, s2, t1, t2
    current[SUM], current[SQUARES] = total, squares
    current[WEIGHTED], current[PEAK] = weighted, peak


@numba.njit(cache=True, nogil=True)
def sum_frames_of_two(  # type: ignore[no-untyped-def]
    block, begun, frame, coefficients, state, current, product, frames, products
):
    """Do the same of both channels of ``(n, 2)`` at once, and sum the products of the two.

    A sample waits for the one before it: two channels take 12.6 ms per minute at once, and
    21.2 one after the other.
    """
    s1, s2, t1, t2 = state[0]
    u1, u2, v1, v2 = state[1]
    total, squares, weighted, peak = current[0]
    total2, squares2, weighted2, peak2 = current[1]
    crossed = product[0]
    left, at = frame - begun, 0
    for index in range(len(block)):
        x, y = np.float64(block[index, 0]), np.float64(block[index, 1])
        z, s1, s2, t1, t2 = _weighted(x, coefficients, s1, s2, t1, t2)
        w, u1, u2, v1, v2 = _weighted(y, coefficients, u1, u2, v1, v2)
        total += x
        total2 += y
        squares += x * x
        squares2 += y * y
        weighted += z * z
        weighted2 += w * w
        crossed += x * y
        peak = max(peak, abs(x))
        peak2 = max(peak2, abs(y))
        left -= 1
        if left == 0:
            frames[at, 0, SUM], frames[at, 0, SQUARES] = total, squares
            frames[at, 0, WEIGHTED], frames[at, 0, PEAK] = weighted, peak
            frames[at, 1, SUM], frames[at, 1, SQUARES] = total2, squares2
            frames[at, 1, WEIGHTED], frames[at, 1, PEAK] = weighted2, peak2
            products[at] = crossed
            total, squares, weighted, peak, crossed = 0.0, 0.0, 0.0, 0.0, 0.0
            total2, squares2, weighted2, peak2 = 0.0, 0.0, 0.0, 0.0
            left, at = frame, at + 1
    state[0, 0], state[0, 1], state[0, 2], state[0, 3] = s1, s2, t1, t2
    state[1, 0], state[1, 1], state[1, 2], state[1, 3] = u1, u2, v1, v2
    current[0, SUM], current[0, SQUARES] = total, squares
    current[0, WEIGHTED], current[0, PEAK] = weighted, peak
    current[1, SUM], current[1, SQUARES] = total2, squares2
    current[1, WEIGHTED], current[1, PEAK] = weighted2, peak2
    product[0] = crossed


@numba.njit(cache=True, nogil=True)
def count_clipped(samples, run):  # type: ignore[no-untyped-def]
    """Go on with the row at full scale of one channel: its sign, its length, and all clipped."""
    sign, length, clipped = run
    for index in range(len(samples)):
        x = samples[index]
        if abs(x) < FULL_SCALE:
            sign = 0
            continue
        now = 1 if x > 0 else -1
        length = length + 1 if now == sign else 1
        sign = now
        if length == CLIPPED_RUN:
            clipped += CLIPPED_RUN
        elif length > CLIPPED_RUN:
            clipped += 1
    run[0], run[1], run[2] = sign, length, clipped


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
