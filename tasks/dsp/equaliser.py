"""Distortions by filters: a band-stop, and an equaliser of seven bands.

Both are linear and set no level by the signal: what they do to a sum of signals is the
sum of what they do to each.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.track import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

    Float64 = npt.NDArray[np.float64]

BAND_STOP_CENTRE_HZ = 500.0, 4000.0

BAND_STOP_WIDTHS = 0.5, 1.0
"""Bandwidth as a fraction of the centre. BandStopFilter in audiomentations 0.43 goes up to 1.99,
where next to nothing of a mix is left."""

BAND_STOP_ORDERS = 2, 4
"""Slopes of 12 to 24 dB per octave, the defaults of BandStopFilter."""

MAX_GAIN_DB = 3.5

BANDS_HZ = (
    (42.0, 95.0),
    (91.0, 204.0),
    (196.0, 441.0),
    (421.0, 948.0),
    (909.0, 2045.0),
    (1957.0, 4404.0),
    (4216.0, 9486.0),
)
"""Where the bands' frequencies are drawn from: a low shelf, five peaks, a high shelf."""

SHELF_Q = 0.1, 0.999
PEAK_Q = 0.5, 5.0
"""Qs and bands are those of SevenBandParametricEQ in audiomentations 0.43."""

MAX_RELATIVE_HZ = 0.49
"""Highest frequency of a filter, of the sample rate: a digital filter ends at half of it."""


def draw_band_stop(rng: np.random.Generator, signal: Samples, rate_hz: int) -> dict[str, Any]:
    """Edges and order of a band-stop, its centre uniform in octaves."""
    centre_hz = _log_uniform(rng, *BAND_STOP_CENTRE_HZ)
    half_width_hz = centre_hz * rng.uniform(*BAND_STOP_WIDTHS) / 2
    limit_hz = MAX_RELATIVE_HZ * rate_hz
    return {
        "low_hz": min(centre_hz - half_width_hz, 0.9 * limit_hz),
        "high_hz": min(centre_hz + half_width_hz, limit_hz),
        "order": int(rng.integers(BAND_STOP_ORDERS[0], BAND_STOP_ORDERS[1] + 1)),
    }


def band_stop(
    signal: Samples, rate_hz: int, *, low_hz: float, high_hz: float, order: int
) -> Samples:
    """Take a band of frequencies away, by a Butterworth filter.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    low_hz, high_hz
        Where the level falls to -3 dB.
    order
        Slope of each side, in units of 6 dB per octave.
    """
    from scipy.signal import butter

    sections = butter(order, (low_hz, high_hz), "bandstop", fs=rate_hz, output="sos")
    return _filtered(sections, signal)


def draw_seven_band_eq(rng: np.random.Generator, signal: Samples, rate_hz: int) -> dict[str, Any]:
    """Frequency, gain and Q of each band."""
    limit_hz = MAX_RELATIVE_HZ * rate_hz
    qs = [SHELF_Q, *[PEAK_Q] * (len(BANDS_HZ) - 2), SHELF_Q]
    return {
        "frequencies_hz": [min(_log_uniform(rng, *band), limit_hz) for band in BANDS_HZ],
        "gains_db": [rng.uniform(-MAX_GAIN_DB, MAX_GAIN_DB) for _ in BANDS_HZ],
        "qs": [rng.uniform(*q) for q in qs],
    }


def seven_band_eq(
    signal: Samples,
    rate_hz: int,
    *,
    frequencies_hz: list[float],
    gains_db: list[float],
    qs: list[float],
) -> Samples:
    """Raise and lower bands: the first by a low shelf, the last by a high one, others by peaks.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    frequencies_hz, gains_db, qs
        One per band. A peak has its gain at its frequency, a shelf half of it (in dB).
    """
    kinds = ("low_shelf", *("peak",) * (len(frequencies_hz) - 2), "high_shelf")
    settings = zip(kinds, frequencies_hz, gains_db, qs, strict=True)
    return _filtered(np.stack([biquad(rate_hz, *setting) for setting in settings]), signal)


def biquad(rate_hz: int, kind: str, frequency_hz: float, gain_db: float, q: float) -> "Float64":
    """Second-order section of a peak or a shelf.

    Formulas of R. Bristow-Johnson's "Cookbook formulae for audio equalizer biquad filter
    coefficients" (a note of the W3C's Audio Working Group, 2021).

    Returns
    -------
    ndarray, shape (6,)
        b0, b1, b2, 1, a1, a2.
    """
    amplitude = 10 ** (gain_db / 40)
    cosine = math.cos(2 * math.pi * frequency_hz / rate_hz)
    alpha = math.sin(2 * math.pi * frequency_hz / rate_hz) / (2 * q)
    if kind == "peak":
        numerator = [1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude]
        denominator = [1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude]
    else:
        # The high shelf is the low one mirrored about a quarter of the rate.
        sign = 1 if kind == "low_shelf" else -1
        more, less = amplitude + 1, amplitude - 1
        slope = 2 * math.sqrt(amplitude) * alpha
        tilt = sign * less * cosine
        numerator = [
            amplitude * (more - tilt + slope),
            sign * 2 * amplitude * (less - sign * more * cosine),
            amplitude * (more - tilt - slope),
        ]
        denominator = [
            more + tilt + slope,
            sign * -2 * (less + sign * more * cosine),
            more + tilt - slope,
        ]
    return np.array([*numerator, *denominator]) / denominator[0]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _filtered(sections: "Float64", signal: Samples) -> Samples:
    from scipy.signal import sosfilt

    filtered = np.empty_like(signal, order="C")
    if signal.size == 0:
        return filtered
    for channel, samples in enumerate(signal):
        filtered[channel] = sosfilt(sections, samples)
    return filtered
