"""Viterbi decoding of pitch, restricted to the transitions that matter.

Pitch moves at most a few bins per frame, so all transitions but a band around
the diagonal have a probability of zero. `librosa.sequence.viterbi` gives these
the smallest positive number instead and tries every pair of states; the kernels
here try the band and, where its score can tell, the one best state outside.
"""

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHECKPOINT_FRAMES = 1 << 15
"""Frames whose back-pointers are held at once: 63 MB for 480 pitches."""


def triangular_transition(n_states: int, half_width: int) -> Floats:
    """Row-normalised transition matrix whose rows fall off linearly to both sides.

    Parameters
    ----------
    n_states
        Number of pitch states.
    half_width
        Largest step, in states, that has a positive probability.

    Returns
    -------
    ndarray, shape (n_states, n_states)
        ``[i, j]`` is the probability of moving from i to j; equal to
        ``librosa.sequence.transition_local(n_states, 2 * half_width + 1)``.
    """
    distance = np.abs(np.subtract.outer(np.arange(n_states), np.arange(n_states)))
    weight = np.maximum(half_width + 1 - distance, 0) / (half_width + 1)
    return weight / weight.sum(axis=1, keepdims=True)


def diagonals(matrix: Floats, half_width: int) -> Floats:
    """Band of a square matrix, by destination.

    Returns
    -------
    ndarray, shape (2 * half_width + 1, n_states)
        ``[d, j]`` is ``matrix[j + d - half_width, j]``, or ``-inf`` outside the matrix.
    """
    n_states = len(matrix)
    sources = np.arange(n_states) + np.arange(-half_width, half_width + 1)[:, None]
    band = matrix[np.clip(sources, 0, n_states - 1), np.arange(n_states)]
    return np.where((sources >= 0) & (sources < n_states), band, -np.inf)


def decode_voicing(
    offsets: npt.NDArray[np.int64],
    bins: npt.NDArray[np.int32],
    probabilities: Floats,
    unvoiced_probability: Floats,
    n_bins: int,
    half_width: int,
    switch_probability: float,
) -> npt.NDArray[np.int32]:
    """Most likely path through `n_bins` voiced and `n_bins` unvoiced pitches.

    The result is that of `librosa.sequence.viterbi` over the full matrix. States
    are left out only where a bound shows that no path can profit from them: the
    best state of a frame reaches every state of the next at the price of
    ``log(tiny)``, so a state worth less than that is nobody's predecessor.

    Parameters
    ----------
    offsets, shape (frames + 1,)
        The candidates of frame t are ``bins[offsets[t]:offsets[t + 1]]``.
    bins
        Voiced pitches with a positive observation probability, ascending in a frame.
    probabilities
        Their observation probabilities; those of all other voiced pitches are zero.
    unvoiced_probability, shape (frames,)
        Observation probability of each unvoiced pitch.
    n_bins
        Number of pitches.
    half_width
        Largest step, in bins, between frames.
    switch_probability
        Probability of changing between voiced and unvoiced.

    Returns
    -------
    ndarray, shape (frames,)
        The decoded states; those below `n_bins` are voiced.
    """
    tiny = np.finfo(np.float64).tiny
    pitch = triangular_transition(n_bins, half_width)
    stay = diagonals(np.log((1 - switch_probability) * pitch + tiny), half_width)
    switch = diagonals(np.log((1 - (1 - switch_probability)) * pitch + tiny), half_width)
    scores = np.log(probabilities + tiny)
    unvoiced_scores = np.log(unvoiced_probability + tiny)
    n_frames = len(unvoiced_probability)

    values = np.full((2, n_bins), np.log(1 / (2 * n_bins) + tiny))
    values[0] += _observe(offsets, bins, scores, 0, n_bins, np.log(tiny))
    values[1] += unvoiced_scores[0]
    starts = range(1, max(n_frames, 2), CHECKPOINT_FRAMES)
    codes = np.empty((min(CHECKPOINT_FRAMES, n_frames), 2, n_bins), np.uint16)
    best = np.empty(len(codes), np.int32)
    observed = (offsets, bins, scores, unvoiced_scores)
    bands = (stay, switch, np.log(tiny))
    checkpoints = []
    for start in starts:
        checkpoints.append(values.copy())
        stop = min(start + CHECKPOINT_FRAMES, n_frames)
        _advance_voicing(start, stop, *observed, *bands, values, codes, best)

    states = np.empty(n_frames, np.int32)
    states[-1] = np.argmax(values)
    for number in reversed(range(len(checkpoints))):
        start = starts[number]
        stop = min(start + CHECKPOINT_FRAMES, n_frames)
        if number < len(checkpoints) - 1:
            # Only the last stretch's pointers are still there. Walking the others
            # again costs long tracks twice the time and keeps memory bounded.
            _advance_voicing(start, stop, *observed, *bands, checkpoints[number], codes, best)
        _trace_voicing(start, stop, codes, best, len(stay), states)
    return states


@numba.njit(cache=True, nogil=True)
def _observe(offsets, bins, scores, frame, n_bins, log_tiny):  # type: ignore[no-untyped-def]
    row = np.full(n_bins, log_tiny)
    for index in range(offsets[frame], offsets[frame + 1]):
        row[bins[index]] = scores[index]
    return row


@numba.njit(cache=True, nogil=True)
def _advance_voicing(  # type: ignore[no-untyped-def]
    start, stop, offsets, bins, scores, unvoiced_scores, stay, switch, log_tiny, values, codes, best
):
    """Move `values` from frame ``start - 1`` to ``stop - 1``, noting back-pointers.

    ``codes[t, voicing, j]`` is the diagonal by which that state was reached, plus
    ``width`` from an unvoiced state; ``2 * width`` means that it came from ``best[t]``.
    """
    # Plain loops: array expressions would take four seconds more to compile.
    n_bins = stay.shape[1]
    # The cheapest transition of all bounds what a state can offer to the next frame.
    top = -np.inf
    for diagonal in range(len(stay)):
        for j in range(n_bins):
            top = max(top, stay[diagonal, j], switch[diagonal, j])
    following = np.empty((2, n_bins))
    pointers = np.empty((2, n_bins), np.int64)
    active = np.empty(n_bins, np.int64)

    for frame in range(start, stop):
        state = 0
        peak = -np.inf
        for voicing in range(2):
            for j in range(n_bins):
                if values[voicing, j] > peak:
                    peak = values[voicing, j]
                    state = voicing * n_bins + j
        jump = peak + log_tiny
        n_active = 0
        for k in range(n_bins):
            if values[0, k] + top >= jump:
                active[n_active] = k
                n_active += 1
        sources = active[:n_active]

        _relax(values, sources, switch, stay, jump, state, following[1], pointers[1])
        following_peak = -np.inf
        for j in range(n_bins):
            following[0, j] = -np.inf
            following[1, j] += unvoiced_scores[frame]
            following_peak = max(following_peak, following[1, j])
        for index in range(offsets[frame], offsets[frame + 1]):
            j = bins[index]
            value, pointers[0, j] = _relax_one(values, sources, stay, switch, jump, state, j)
            following[0, j] = value + scores[index]
            following_peak = max(following_peak, following[0, j])

        # A voiced pitch that was not observed matters only if, even at the price of
        # log(tiny), it could still be some state's predecessor.
        if peak + top + log_tiny + top >= following_peak + log_tiny:
            _relax(values, sources, stay, switch, jump, state, following[0], pointers[0])
            observed = _observe(offsets, bins, scores, frame, n_bins, log_tiny)
            for j in range(n_bins):
                following[0, j] += observed[j]

        for voicing in range(2):
            for j in range(n_bins):
                values[voicing, j] = following[voicing, j]
                codes[frame - start, voicing, j] = pointers[voicing, j]
        best[frame - start] = state


@numba.njit(cache=True, nogil=True)
def _relax(  # type: ignore[no-untyped-def]
    values, sources, from_voiced, from_unvoiced, jump, state, following, pointers
):
    """Best predecessor of every pitch of one voicing; the first one where several tie."""
    width, n_bins = from_voiced.shape
    half_width = width // 2
    following[:] = -np.inf
    for k in sources:
        for j in range(max(0, k - half_width), min(n_bins, k + half_width + 1)):
            diagonal = k - j + half_width
            value = values[0, k] + from_voiced[diagonal, j]
            if value > following[j]:
                following[j] = value
                pointers[j] = diagonal
    for diagonal in range(width):
        first = max(0, half_width - diagonal)
        last = min(n_bins, n_bins + half_width - diagonal)
        shift = diagonal - half_width
        source = values[1, first + shift : last + shift]
        band = from_unvoiced[diagonal, first:last]
        target = following[first:last]
        origin = pointers[first:last]
        code = width + diagonal
        for j in range(last - first):
            value = source[j] + band[j]
            better = value > target[j]
            target[j] = value if better else target[j]
            origin[j] = code if better else origin[j]
    for j in range(n_bins):
        if _jumps(jump, state, following[j], pointers[j], j, width, n_bins):
            following[j] = jump
            pointers[j] = 2 * width


@numba.njit(cache=True, nogil=True)
def _relax_one(  # type: ignore[no-untyped-def]
    values, sources, from_voiced, from_unvoiced, jump, state, j
):
    width, n_bins = from_voiced.shape
    half_width = width // 2
    best = -np.inf
    pointer = 0
    for k in sources:
        if abs(k - j) <= half_width:
            value = values[0, k] + from_voiced[k - j + half_width, j]
            if value > best:
                best = value
                pointer = k - j + half_width
    for k in range(max(0, j - half_width), min(n_bins, j + half_width + 1)):
        value = values[1, k] + from_unvoiced[k - j + half_width, j]
        if value > best:
            best = value
            pointer = width + k - j + half_width
    if _jumps(jump, state, best, pointer, j, width, n_bins):
        return jump, 2 * width
    return best, pointer


@numba.njit(cache=True, nogil=True)
def _jumps(jump, state, value, pointer, j, width, n_bins):  # type: ignore[no-untyped-def]
    """Return whether `state`, outside the band, is a better or an equal and earlier predecessor."""
    return jump > value or (jump == value and state < _source(pointer, state, j, width, n_bins))


@numba.njit(cache=True, nogil=True)
def _source(pointer, state, j, width, n_bins):  # type: ignore[no-untyped-def]
    if pointer == 2 * width:
        return state
    return pointer // width * n_bins + j + pointer % width - width // 2


@numba.njit(cache=True, nogil=True)
def _trace_voicing(start, stop, codes, best, width, states):  # type: ignore[no-untyped-def]
    """Fill ``states[start - 1:stop - 1]`` from ``states[stop - 1]`` backwards."""
    n_bins = codes.shape[2]
    for frame in range(stop - 1, start - 1, -1):
        state = states[frame]
        j = state % n_bins
        pointer = codes[frame - start, state // n_bins, j]
        states[frame - 1] = _source(pointer, best[frame - start], j, width, n_bins)


@numba.njit(cache=True, nogil=True)
def advance_band(scores, band, values, codes):  # type: ignore[no-untyped-def]
    """Move Viterbi `values` over frames whose only transitions are those in the band.

    Parameters
    ----------
    scores, shape (frames, n_states)
        Logarithms of observation probabilities, up to a constant per frame.
    band, shape (width, n_states)
        Logarithms of transition probabilities as :func:`diagonals` lays them out.
    values, shape (n_states,)
        Scores of the best paths so far; replaced. Zeros before the first frame.
    codes, shape (frames, n_states)
        Receives the diagonal by which each state was reached.
    """
    width, n_states = band.shape
    half_width = width // 2
    best = np.empty(n_states)
    pointers = np.empty(n_states, np.int64)
    for frame in range(len(scores)):
        best[:] = -np.inf
        for diagonal in range(width):
            first = max(0, half_width - diagonal)
            last = min(n_states, n_states + half_width - diagonal)
            shift = diagonal - half_width
            for j in range(first, last):
                value = values[j + shift] + band[diagonal, j]
                better = value > best[j]
                best[j] = value if better else best[j]
                pointers[j] = diagonal if better else pointers[j]
        for j in range(n_states):
            codes[frame, j] = pointers[j]
            values[j] = best[j] + scores[frame, j]


@numba.njit(cache=True, nogil=True)
def trace_band(codes, half_width, state):  # type: ignore[no-untyped-def]
    """Path of states, shape ``(frames,)``, that ends in `state`."""
    states = np.empty(len(codes), np.int32)
    for frame in range(len(codes) - 1, -1, -1):
        states[frame] = state
        state += codes[frame, state] - half_width
    return states


def decode_sticky(scores: Floats, change: float) -> npt.NDArray[np.int8]:
    """Most likely path through a few states, all changes of which are equally likely.

    Equal to `librosa.sequence.viterbi` with such a transition matrix: only the best state of a
    frame can be worth a change, so that a frame takes as many steps as there are states.

    Parameters
    ----------
    scores, shape (frames, n_states)
        Logarithms of observation probabilities, up to a constant per frame; at most 127 states.
    change
        Logarithm of the probability of changing to a certain other state, less that of staying.

    Returns
    -------
    ndarray, shape (frames,)
        The decoded states; of equals, the one that stays, or else the first.
    """
    origins = np.empty(scores.shape, np.int8)
    last = _advance_sticky(scores, change, origins)
    return _trace_sticky(origins, last)


@numba.njit(cache=True, nogil=True)
def _advance_sticky(scores, change, origins):  # type: ignore[no-untyped-def]
    """Note where each state was best reached from; return the best state of the last frame."""
    frames, n_states = scores.shape
    values = np.zeros(n_states)
    best = 0
    for frame in range(frames):
        jump = values[best] + change
        following = 0
        for state in range(n_states):
            jumps = jump > values[state]
            origins[frame, state] = best if jumps else state
            values[state] = (jump if jumps else values[state]) + scores[frame, state]
            if values[state] > values[following]:
                following = state
        best = following
    return best


@numba.njit(cache=True, nogil=True)
def _trace_sticky(origins, state):  # type: ignore[no-untyped-def]
    states = np.empty(len(origins), np.int8)
    for frame in range(len(origins) - 1, -1, -1):
        states[frame] = state
        state = origins[frame, state]
    return states
