"""Whether one signal holds another, at what lag and gain, by their cross-spectra.

A signal that holds another, alone or among others, holds it at one gain at all frequencies and
all the time: the transfer function from the part to the whole (H1 of J. S. Bendat and
A. G. Piersol, "Random Data", ch. 6) is even, however loud the rest of the whole is. That
of a room, of another take or of another instrument is not. How far it is from even is the
measure here, beside the residual that is left when the one is fitted to the other.

Where they are aligned is found by the correlation of the smoothed coherence transform
(G. C. Carter, A. H. Nuttall and P. G. Cable, "The smoothed coherence transform", 1973), in
which no loud band hides the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mono = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]

RATE_HZ = 11_025
"""A rate that keeps what instruments differ in; codecs are the worse the higher."""

BLOCK = 16_384
"""Samples of a block under a Hann window: 1.5 s, beside which the delay of a codec is short."""

MAX_BLOCKS = 256
"""Blocks of a comparison: of signals over 3 min, some moments are passed over."""

MAX_LAG = round(0.2 * RATE_HZ)
"""Furthest that two signals are looked for beside each other, in samples."""

SEGMENTS = 8
"""Stretches of time whose gains are compared."""

BAND_EDGES = np.round(np.geomspace(40, 5000, 15) * BLOCK / RATE_HZ).astype(np.intp)
"""First bins of 14 bands of half an octave, and of what is above."""

PAIRS_AT_ONCE = 1024
"""Cross-spectra that are held at once: 64 MiB."""

INAUDIBLE = 1e-6
"""Bins below this share of the loudest (-60 dB) say nothing of a lag."""

TAPS = 32
"""Half the length of the interpolator, a sinc under a Hann window."""

CHUNK = 2**18
"""Samples that are fitted at once."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Where a signal is found in another.

    Attributes
    ----------
    samples
        Moment in the second, minus the same moment in the first.
    significance
        Height of the correlation there, over its RMS within MAX_LAG.
    """

    samples: int
    significance: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two signals are alike where they overlap.

    Attributes
    ----------
    lag_samples
        Moment in the second, minus the same moment in the first.
    residual_db
        What is left of the one when the other is fitted to it, over itself.
    unevenness
        Of the gain of the first within the second, and of the second within the first, over
        frequency and over time: 0 for a signal that is held as it is, near 1 for others.
    shares
        Energy in the overlap over that of all of the first, and of the second.
    """

    lag_samples: float
    residual_db: float
    unevenness: tuple[float, float]
    shares: tuple[float, float]


def lags(
    signals: Sequence[Mono], pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], Lag]]:
    """Find where signals correlate, each pair within MAX_LAG.

    Parameters
    ----------
    signals
        At RATE_HZ, shape ``(samples,)`` each; they may be maps of files.
    pairs
        Which to compare.
    """
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        used = sorted({at for pair in some for at in pair})
        power = {at: np.zeros(BLOCK // 2 + 1) for at in used}
        cross = np.zeros((len(some), BLOCK // 2 + 1), np.complex64)
        for begin in _starts(max(len(signals[at]) for at in used)):
            spectra = {at: _spectrum(signals[at], begin) for at in used}
            for at, spectrum in spectra.items():
                power[at] += spectrum.real**2 + spectrum.imag**2
            for number, (first, second) in enumerate(some):
                cross[number] += spectra[first].conj() * spectra[second]
        for number, (first, second) in enumerate(some):
            yield (first, second), _peak(power[first], power[second], cross[number])


def likeness(first: Mono, second: Mono, lag_samples: int) -> Likeness | None:
    """Compare two signals at a lag of some whole samples, which is refined to a fraction of one.

    Returns
    -------
    Likeness or None
        None if they do not overlap there, or one is silent where they do.
    """
    one, other = max(0, -lag_samples), max(0, lag_samples)
    length = min(len(first) - one, len(second) - other)
    if length <= 0:
        return None
    overlap = first[one : one + length], second[other : other + length]
    powers, others, cross = _crossed(*overlap)
    if not powers.sum() or not others.sum():
        return None
    whole = cross.sum(axis=0)
    # The correlation, at twenty times the rate, within a sample and a half.
    fine = np.fft.irfft(whole, 20 * BLOCK)
    places = np.arange(-30, 31)
    place = int(places[np.abs(fine[places]).argmax()])
    bins = np.arange(BLOCK // 2 + 1)
    turned = np.real(cross * np.exp(2j * np.pi * bins * place / (20 * BLOCK)))
    explained = turned.sum() ** 2 / (powers.sum() * others.sum())
    return Likeness(
        lag_samples=lag_samples + place / 20,
        residual_db=_db(1 - explained),
        unevenness=(_unevenness(powers, turned), _unevenness(others, turned)),
        shares=(_energy(overlap[0]) / _energy(first), _energy(overlap[1]) / _energy(second)),
    )


def fit(whole: Mono, parts: Sequence[Mono], lag_samples: Sequence[float]) -> tuple[Array, Mono]:
    """Fit signals to another by least squares, one gain for each.

    Parameters
    ----------
    whole, parts
        Signals.
    lag_samples
        Moment in the whole, minus the same moment in each part.

    Returns
    -------
    gains, rest
        Shape ``(parts,)``, and what is left of the whole.
    """
    spans = range(0, len(whole), CHUNK)
    gram: Array = np.zeros((len(parts), len(parts)))
    products: Array = np.zeros(len(parts))
    for start in spans:
        piece: Array = whole[start : start + CHUNK].astype(np.float64)
        shifted = _shifted(parts, lag_samples, start, len(piece))
        gram += shifted @ shifted.T
        products += shifted @ piece
    gains: Array = np.asarray(np.linalg.lstsq(gram, products, rcond=1e-9)[0], np.float64)
    rest = np.empty(len(whole), np.float32)
    for start in spans:
        length = len(rest[start : start + CHUNK])
        explained = gains @ _shifted(parts, lag_samples, start, length)
        rest[start : start + length] = whole[start : start + length] - explained
    return gains, rest


def repeats(signal: Mono, least_samples: int, most_samples: int) -> float:
    """Return how much a signal is like itself at another moment: near 0 for what is played once.

    The largest value of its autocorrelation, its spectrum being made even in bands of some
    100 Hz, between two lags. Of a minute from the middle.
    """
    from scipy.ndimage import uniform_filter1d

    middle = len(signal) // 2
    signal = signal[max(0, middle - 30 * RATE_HZ) : middle + 30 * RATE_HZ]
    size = 1 << (2 * len(signal) - 1).bit_length()
    power: Array = np.square(np.abs(np.fft.rfft(signal, size)), dtype=np.float64)
    smooth = uniform_filter1d(power, max(3, round(100 * size / RATE_HZ)))
    found = np.fft.irfft(power / (smooth + INAUDIBLE * smooth.max() + 1e-30))
    beyond = found[least_samples : min(most_samples, len(signal))]
    return float(beyond.max(initial=0.0) / found[0]) if found[0] else 0.0


def _starts(length: int) -> range:
    return range(-BLOCK // 2, length, max(BLOCK // 2, -(-length // MAX_BLOCKS)))


_WINDOW = np.hanning(BLOCK + 1)[:-1].astype(np.float32)


def _spectrum(signal: Mono, start: int) -> npt.NDArray[np.complex64]:
    """Spectrum of a block, which may reach beyond either end of the signal."""
    block = np.zeros(BLOCK, np.float32)
    low, high = max(0, start), min(len(signal), start + BLOCK)
    if low < high:
        block[low - start : high - start] = signal[low:high]
    spectrum: npt.NDArray[np.complex64] = np.fft.rfft(block * _WINDOW).astype(np.complex64)
    return spectrum


def _crossed(first: Mono, second: Mono) -> tuple[Array, Array, Spectrum]:
    """Power of two aligned signals and their cross-spectrum, shape ``(SEGMENTS, bins)`` each."""
    shape = (SEGMENTS, BLOCK // 2 + 1)
    powers, others, cross = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.complex128)
    starts = _starts(len(first))
    for number, start in enumerate(starts):
        segment = number * SEGMENTS // len(starts)
        one, other = _spectrum(first, start), _spectrum(second, start)
        powers[segment] += one.real**2 + one.imag**2
        others[segment] += other.real**2 + other.imag**2
        cross[segment] += one.conj() * other
    return powers, others, cross


def _peak(first: Array, second: Array, cross: npt.NDArray[np.complex64]) -> Lag:
    scale = (first + INAUDIBLE * first.max()) * (second + INAUDIBLE * second.max())
    if not scale.any():
        return Lag(0, 0.0)
    correlation = np.fft.irfft(cross / np.sqrt(scale))
    near = np.concatenate([correlation[-MAX_LAG:], correlation[: MAX_LAG + 1]])
    place = int(np.abs(near).argmax())
    usual = float(np.sqrt(np.mean(near**2)))
    return Lag(place - MAX_LAG, float(abs(near[place])) / usual if usual else 0.0)


def _unevenness(power: Array, cross: Array) -> float:
    """Return how far a gain is from one for all bands, or one for all times if that is more."""
    bands = [np.add.reduceat(each.sum(axis=0), BAND_EDGES)[:-1] for each in (power, cross)]
    return max(_spread(*bands), _spread(power.sum(axis=1), cross.sum(axis=1)))


def _spread(power: Array, cross: Array) -> float:
    there = power > 0
    power, cross = power[there], cross[there]
    squares = np.sum(cross**2 / power)
    # That of the gains cross / power, weighted by power, from their mean.
    return float(1 - cross.sum() ** 2 / power.sum() / squares) if squares else 1.0


def _shifted(parts: Sequence[Mono], lag_samples: Sequence[float], start: int, length: int) -> Array:
    """Parts as they are in the whole from a moment on, shape ``(parts, length)``."""
    found = np.zeros((len(parts), length))
    for row, part, lag in zip(found, parts, lag_samples, strict=True):
        whole = int(np.floor(lag))
        taps = np.arange(-TAPS, TAPS + 1)
        distance = taps - (lag - whole)
        kernel = np.sinc(distance) * np.cos(np.pi * distance / (2 * TAPS + 2)) ** 2
        begin = start - whole - TAPS
        low, high = max(0, begin), min(len(part), begin + length + 2 * TAPS)
        piece = np.zeros(length + 2 * TAPS)
        if low < high:
            piece[low - begin : high - begin] = part[low:high]
        row[:] = np.convolve(piece, kernel, "valid")
    return found


def _energy(signal: Mono) -> float:
    return float(
        sum(
            np.square(signal[at : at + CHUNK], dtype=np.float64).sum()
            for at in range(0, len(signal), CHUNK)
        )
    )


def _db(ratio: float) -> float:
    return 10 * float(np.log10(max(ratio, 1e-12)))
