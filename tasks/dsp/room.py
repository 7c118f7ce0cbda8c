"""Distortion by a room: early reflections by image sources, then a diffuse decay.

J. B. Allen and D. A. Berkley, "Image method for efficiently simulating small-room
acoustics", JASA 65 (1979), for the first ``EARLY_SECONDS``. Later reflections are so dense
that noise with their energy stands for them: a room of V cubic metres sends on average
``c / (4 pi V)`` of the energy of a source per second to any place, falling by 60 dB in the
reverberation time. So direct sound, reflections and decay have the proportions of the
room, and nothing has to be fitted.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.track import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

    Float64 = npt.NDArray[np.float64]

SIZES_METRES = (3.0, 10.0), (3.0, 8.0), (2.4, 4.0)
"""Ranges of length, width and height: of a small room up to that of a rehearsal room."""

RT60_SECONDS = 0.15, 0.8
"""As RoomSimulator in audiomentations 0.43."""

DISTANCE_METRES = 0.3, 2.0
HEIGHT_METRES = 1.0, 2.0
WALL_METRES = 0.3
"""Between the source, or the middle of the microphones, and each wall at least."""

SPACING_METRES = 0.17, 0.4
"""Between the two microphones: from ORTF's to that of a small A/B pair."""

SPEED_OF_SOUND = 343.0
"""Metres per second, at 20 degrees Celsius."""

EARLY_SECONDS = 0.04
"""After the sound was made; over the second half, reflections give way to noise."""

REFLECTIONS_ABOVE_HZ = 80.0
"""High-pass of the reflections. Walls that reflect all frequencies alike make only positive
pulses, which add up to a constant that no room has (Allen and Berkley, section III)."""


def draw(rng: np.random.Generator, signal: Samples, rate_hz: int) -> dict[str, Any]:
    """Draw a room, and a source in front of two microphones."""
    size = np.array([rng.uniform(*range_) for range_ in SIZES_METRES])
    inner = np.array([WALL_METRES, WALL_METRES, 0.0]), size - WALL_METRES
    middle = rng.uniform(*inner)
    middle[2] = rng.uniform(*HEIGHT_METRES)
    # Towards the room's inside, so that the source does not end at a wall next to them.
    towards = math.atan2(size[1] / 2 - middle[1], size[0] / 2 - middle[0])
    azimuth = towards + rng.uniform(-math.pi / 3, math.pi / 3)
    forward = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    source = np.clip(middle + rng.uniform(*DISTANCE_METRES) * forward, *inner)
    source[2] = rng.uniform(*HEIGHT_METRES)
    # Across the line to the source: its direct sound reaches both alike.
    across = np.array([source[1] - middle[1], middle[0] - source[0], 0.0])
    across *= rng.uniform(*SPACING_METRES) / 2 / max(float(np.linalg.norm(across)), 1e-6)
    return {
        "size_metres": size.tolist(),
        "rt60_seconds": float(rng.uniform(*RT60_SECONDS)),
        "source_metres": source.tolist(),
        "left_metres": (middle - across).tolist(),
        "right_metres": (middle + across).tolist(),
        "seed": int(rng.integers(2**32)),
    }


def room(
    signal: Samples,
    rate_hz: int,
    *,
    size_metres: list[float],
    rt60_seconds: float,
    source_metres: list[float],
    left_metres: list[float],
    right_metres: list[float],
    seed: int,
) -> Samples:
    """Let a signal sound in a room.

    The left channel is heard by the left microphone and the right one by the right: the
    reflections of both differ, so swapped channels are not the swapped result. A mono
    signal is heard by the left one. The direct sound keeps its time, and what sounds on
    after the signal's end is cut off.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``, one or two channels.
    rate_hz
        Sample rate.
    size_metres
        Length, width and height of the room; a corner is the origin.
    rt60_seconds
        Time in which the reverberation falls by 60 dB.
    source_metres, left_metres, right_metres
        Where the source and the microphones are.
    seed
        Of the noise in the decay.
    """
    from scipy.signal import oaconvolve

    if signal.size == 0:
        return signal
    responses = impulse_responses(
        rate_hz,
        size_metres=size_metres,
        rt60_seconds=rt60_seconds,
        source_metres=source_metres,
        microphones_metres=[left_metres, right_metres],
        seed=seed,
    )
    kept = responses[: len(signal), : signal.shape[1]].astype(np.float32)
    heard: Samples = oaconvolve(signal, kept, axes=-1)[:, : signal.shape[1]]
    return np.ascontiguousarray(heard)


def impulse_responses(
    rate_hz: int,
    *,
    size_metres: list[float],
    rt60_seconds: float,
    source_metres: list[float],
    microphones_metres: list[list[float]],
    seed: int,
) -> "Float64":
    """Impulse responses of a room at each microphone.

    Time 0 is when the direct sound reaches the nearest microphone. The mean energy of the
    responses is 1, so that noise keeps its level.

    Returns
    -------
    ndarray, shape (microphones, samples)
    """
    from scipy.signal import butter, sosfilt

    size = np.array(size_metres)
    volume = float(np.prod(size))
    surface = 2 * (size[0] * size[1] + size[1] * size[2] + size[2] * size[0])
    # Eyring's formula, solved for the energy that a wall reflects.
    reflected = math.exp(-24 * math.log(10) / SPEED_OF_SOUND * volume / (surface * rt60_seconds))
    images, orders = _images(size, np.array(source_metres), EARLY_SECONDS * SPEED_OF_SOUND)
    distances = [
        np.maximum(np.linalg.norm(images - np.array(place), axis=1), 0.1)
        for place in microphones_metres
    ]
    nearest = min(float(distance[orders == 0].min()) for distance in distances)
    count = max(1, math.ceil((rt60_seconds + EARLY_SECONDS) * rate_hz))
    seconds = nearest / SPEED_OF_SOUND + np.arange(count) / rate_hz
    fade = np.clip(2 * seconds / EARLY_SECONDS - 1, 0, 1) * math.pi / 2
    density = SPEED_OF_SOUND / (4 * math.pi * volume) * 10 ** (-6 * seconds / rt60_seconds)
    tail_level = np.sin(fade) * np.sqrt(density / rate_hz)
    high_pass = butter(2, REFLECTIONS_ABOVE_HZ, "highpass", fs=rate_hz, output="sos")
    rng = np.random.default_rng(seed)

    responses = np.empty((len(distances), count))
    for response, distance in zip(responses, distances, strict=True):
        delays = np.round((distance - nearest) / SPEED_OF_SOUND * rate_hz).astype(np.int64)
        gains = np.sqrt(reflected) ** orders / (4 * math.pi * distance)
        audible = (orders > 0) & (delays < count)
        early = np.bincount(delays[audible], gains[audible], minlength=count)
        response[:] = sosfilt(high_pass, np.cos(fade) * early)
        response += tail_level * rng.standard_normal(count)
        direct = int(np.argmin(orders))
        response[delays[direct]] += gains[direct]
    return responses / math.sqrt(np.mean(np.sum(responses**2, axis=1)))


def _images(size: "Float64", source: "Float64", reach_metres: float) -> tuple["Float64", "Float64"]:
    """Places of a source and its images, ``(images, 3)``, and how often each was reflected.

    All that are no farther than `reach_metres` from any place in the room, and more.
    """
    places, orders = [], []
    for length, coordinate in zip(size, source, strict=True):
        reach = math.ceil(reach_metres / (2 * length)) + 1
        rooms = np.arange(-reach, reach + 1)
        places.append(
            np.concatenate([2 * rooms * length + coordinate, 2 * rooms * length - coordinate])
        )
        orders.append(np.concatenate([np.abs(2 * rooms), np.abs(2 * rooms - 1)]))
    grid = np.meshgrid(*places, indexing="ij")
    total = orders[0][:, None, None] + orders[1][None, :, None] + orders[2][None, None, :]
    return np.stack([axis.ravel() for axis in grid], axis=1), total.ravel()
