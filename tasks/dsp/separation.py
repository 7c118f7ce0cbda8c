"""Vocals out of a mix without a trained network: repetition and stereo position.

What sounds again and again is accompaniment, and so is what sounds from the
sides; a Wiener mask keeps the rest (after Rafii & Pardo, "Music/voice
separation using the similarity matrix", ISMIR 2012, REPET-SIM). What differs
from the paper was measured on stems of a real band and of synthesised songs:

* Frames are compared by what a voice touches least, the side signal and the
  bands outside the voice's, so that a frame finds the same *accompaniment*
  again whatever is sung over it. It is worth 3 dB or more.
* A solo voice repeats itself as well. Where the level keeps falling into deep
  pauses, no accompaniment sounds through them and repetition says nothing.

A mono signal has no sides: repetition alone separates it, some dB worse.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import fft

from tasks.dsp.median import median_of_frames

Float32 = npt.NDArray[np.float32]
Complex64 = npt.NDArray[np.complex64]
Int32 = npt.NDArray[np.int32]
MaskFunction = Callable[[Float32, Float32, int, int], Float32]
"""From magnitudes of mid and side, sample rate and hop to a mask, as :func:`vocal_mask`."""

HOP_SECONDS = 1536 / 44_100
HOPS_PER_WINDOW = 3
"""A window of 104 ms. Against 4096/1024 at 44.1 kHz this costs a third less and 0.1 dB."""

BLOCK_SECONDS = 120.0
"""Most of a track that is searched for repetitions at once; bounds time and memory.
Blocks of 30 s cost up to 1.5 dB against 60 s."""

NEIGHBOURS = 21
"""Frames per median, the frame itself included. With 11 the real band gains up to 0.9 dB
and the synthesised songs, exact loops, lose 2 to 3; with 31 the band loses 0.4 dB and the
loops gain up to 1.7."""

EXCLUDED_SECONDS = 1.0
"""A held note resembles itself: neighbours lie further away than this."""

REPEATING_WEIGHT = 2.5
SIDE_WEIGHT = 3.0
"""Over-subtraction of the two estimates of the accompaniment, in amplitude. More side
weight gains 0.4 dB on voices panned dead centre and mutes voices with stereo reverberation."""

HIGH_PASS_HZ = 100.0
"""Below it lie bass and drums; the lowest sung fundamentals (E2, 82 Hz) lose one partial."""

BANDS = 64
BAND_RANGE_HZ = (40.0, 16_000.0)
VOICE_RANGE_HZ = (200.0, 5_000.0)
VOICE_BAND_WEIGHT = 0.3
SIDE_BAND_WEIGHT = 2.0
"""How frames are compared: 64 mid and 64 side bands, spaced logarithmically."""

PAUSE_WINDOW_SECONDS = 5.0
PAUSE_RANGE_DB = (-24.0, -18.0)
"""Between these depths of its pauses a signal goes over from solo voice to accompanied."""

_PIECE_SAMPLES = 2**18
_CHUNK_FRAMES = 64
_SIMILARITY_ROWS = 512
_TINY = np.float32(1e-30)
_REPEATING = np.float32(REPEATING_WEIGHT)
_SIDE = np.float32(SIDE_WEIGHT)


class _Grid(NamedTuple):
    """The frames of a short-time transform; frame i ends `hop` after sample ``i * hop``."""

    rate_hz: int
    hop: int
    window: Float32

    @property
    def size(self) -> int:
        return len(self.window)

    @property
    def lead(self) -> int:
        """Samples by which the first frame begins before the signal."""
        return self.size - self.hop


def separate_vocals(mix: Float32, rate_hz: int, *, mask: MaskFunction | None = None) -> Float32:
    """Estimate the vocals of a stereo mix; parameters as of :func:`separate_blocks`.

    Parameters
    ----------
    mix
        Shape ``(2, samples)``.

    Returns
    -------
    Vocals, shape ``(2, samples)``.
    """
    starts = range(0, mix.shape[1], _PIECE_SAMPLES)
    pieces = (mix[:, start : start + _PIECE_SAMPLES] for start in starts)
    vocals = list(separate_blocks(pieces, rate_hz, mask=mask))
    return np.concatenate(vocals, axis=1) if vocals else np.zeros_like(mix, dtype=np.float32)


def separate_blocks(
    mix: Iterable[Float32], rate_hz: int, *, mask: MaskFunction | None = None
) -> Iterator[Float32]:
    """Estimate the vocals of a stereo mix that comes in pieces.

    The result does not depend on how the mix is cut into pieces. While more than twice
    ``BLOCK_SECONDS`` is left, a block of that length is separated; of what is left then,
    more than ``BLOCK_SECONDS`` is halved. So no block of a longer track is below half of it.

    Parameters
    ----------
    mix
        Pieces of any length, shape ``(2, samples)``. Equal channels are taken for mono.
    rate_hz
        Sample rate.
    mask
        What decides the share of the voice; :func:`vocal_mask` by default.

    Yields
    ------
    Vocals in pieces of some seconds, shape ``(2, samples)``, altogether as long as the
    mix. Working memory is about 330 MB at 44.1 kHz, however long that is.
    """
    mask = mask or vocal_mask
    grid = _grid(rate_hz)
    # Blocks share no frames: the overlap of the windows joins them.
    carried = np.zeros((2, grid.lead), np.float32)
    begin = grid.lead
    for block, end in _blocks(mix, grid):
        vocals = _separate(block, carried, mask, grid)
        carried = vocals[:, end:].copy()
        for start in range(begin, end, _PIECE_SAMPLES):
            yield vocals[:, start : min(start + _PIECE_SAMPLES, end)].copy()
        begin = 0
        del vocals  # before the next are made


def vocal_mask(mid: Float32, side: Float32, rate_hz: int, hop: int) -> Float32:
    """Share of every time-frequency bin that is voice.

    Parameters
    ----------
    mid, side
        Magnitudes of half the sum and half the difference of the channels, shape
        ``(frames, bins)``; `side` has no frames if the signal is mono.
    rate_hz
        Sample rate.
    hop
        Samples between frames.

    Returns
    -------
    Mask between 0 and 1, shape ``(frames, bins)``.
    """
    lowest_bin = int(np.ceil(HIGH_PASS_HZ / _bin_hz(mid, rate_hz)))
    share = accompaniment_share(mid[:, lowest_bin:], hop / rate_hz)
    repeating = repeating_part(mid, side, rate_hz, hop) if share > 0 else mid[:0]
    repeating *= np.float32(share)
    mask = wiener_mask(mid, side, repeating)
    mask[:, :lowest_bin] = 0.0
    return mask


def repeating_part(mid: Float32, side: Float32, rate_hz: int, hop: int) -> Float32:
    """Magnitudes that `mid` has in common with the frames most similar to it.

    Returns
    -------
    Shape ``(frames, bins)``, nowhere above `mid`; without frames if the signal is
    too short (below 2.8 s) for every frame to have enough others to choose from.
    """
    excluded = round(EXCLUDED_SECONDS * rate_hz / hop)
    if len(mid) < 2 * excluded + NEIGHBOURS:
        return mid[:0]
    features = similarity_features(mid, side, rate_hz)
    repeating = median_of_frames(mid, similar_frames(features, NEIGHBOURS, excluded))
    return np.minimum(repeating, mid, out=repeating)


def accompaniment_share(magnitudes: Float32, hop_seconds: float) -> float:
    """Return whether anything sounds through the pauses: 0 for a solo voice, 1 for a band.

    In every window of 5 s the quietest twentieth of the frames is compared with
    the loudest; the median over the windows decides. Measured: -30 dB or less on solo
    speech and singing, recorded and synthesised; -6 to -14 dB on songs.
    """
    energy = np.einsum("tf,tf->t", magnitudes, magnitudes).astype(np.float64)
    count = max(1, round(len(energy) * hop_seconds / PAUSE_WINDOW_SECONDS))
    depths_db: list[float] = []
    for window in np.array_split(energy, count):
        quiet, loud = map(float, np.quantile(window, (0.05, 0.95)))
        if loud > 1e-6 * energy.max():
            depths_db.append(10 * math.log10(max(quiet / loud, 1e-12)))
    if not depths_db:
        return 0.0
    return float(np.interp(float(np.median(depths_db)), PAUSE_RANGE_DB, (0.0, 1.0)))


def similarity_features(mid: Float32, side: Float32, rate_hz: int) -> Float32:
    """Return unit vectors whose dot product says how alike two frames' accompaniment is.

    Cube roots of band magnitudes, less their mean over time. Components are
    multiples of 1/4096, so that float32 sums of their products are exact:
    the similarity does not depend on the order in which a BLAS adds.

    Returns
    -------
    Shape ``(frames, 2 * BANDS)`` at most; a silent frame is all zeros.
    """
    bin_hz = _bin_hz(mid, rate_hz)
    edges_hz = np.geomspace(*BAND_RANGE_HZ, BANDS + 1)
    edges = np.unique(np.clip(np.round(edges_hz / bin_hz), 1, mid.shape[1] - 1).astype(int))
    weights = np.ones(len(edges) - 1, dtype=np.float32)
    centres_hz = np.sqrt(edges[:-1] * edges[1:]) * bin_hz
    in_voice = (centres_hz >= VOICE_RANGE_HZ[0]) & (centres_hz < VOICE_RANGE_HZ[1])
    weights[in_voice] = VOICE_BAND_WEIGHT
    parts: list[npt.NDArray[Any]] = [np.cbrt(np.add.reduceat(mid, edges, axis=1)[:, :-1]) * weights]
    if len(side):
        parts.append(np.cbrt(np.add.reduceat(side, edges, axis=1)[:, :-1]) * SIDE_BAND_WEIGHT)
    features = np.concatenate(parts, axis=1).astype(np.float32)
    features -= features.mean(axis=0)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    features /= np.maximum(norms, _TINY)
    # Towards zero, so that no vector becomes longer than 1 and no sum leaves 24 bits.
    np.trunc(features * np.float32(4096), out=features)
    return features / np.float32(4096)


def similar_frames(features: Float32, count: int, excluded: int) -> Int32:
    """Return for every frame itself and the ``count - 1`` frames most similar to it.

    Parameters
    ----------
    features
        Unit vectors, shape ``(frames, dimensions)``.
    count
        How many, at most ``frames - 2 * excluded``.
    excluded
        Other frames nearer than this do not qualify.

    Returns
    -------
    Indices, shape ``(frames, count)``; of equally similar frames the earlier wins.
    """
    chosen = np.empty((len(features), count), np.int32)
    for first in range(0, len(features), _SIMILARITY_ROWS):
        rows = slice(first, first + _SIMILARITY_ROWS)
        _most_similar(features[rows] @ features.T, first, excluded, chosen[rows])
    return chosen


@njit(cache=True, nogil=True)
def wiener_mask(mid: Float32, side: Float32, repeating: Float32) -> Float32:
    """Share of the voice against two estimates of the accompaniment.

    Parameters
    ----------
    mid
        Magnitudes, shape ``(frames, bins)``.
    side, repeating
        Magnitudes that are accompaniment, same shape, or without frames: no such estimate.
    """
    frames, bins = mid.shape
    mask = np.empty((frames, bins), np.float32)
    nothing = np.zeros(bins, np.float32)
    for frame in range(frames):
        magnitudes = mid[frame]
        sides = side[frame] if len(side) else nothing
        repeats = repeating[frame] if len(repeating) else nothing
        for bin_ in range(bins):
            voice = magnitudes[bin_] - repeats[bin_]
            again = _REPEATING * repeats[bin_]
            aside = _SIDE * sides[bin_]
            mask[frame, bin_] = (
                voice * voice / (voice * voice + again * again + aside * aside + _TINY)
            )
    return mask


def _bin_hz(magnitudes: Float32, rate_hz: int) -> float:
    return rate_hz / (2 * (magnitudes.shape[1] - 1))


def _grid(rate_hz: int) -> _Grid:
    # An even window has a bin at the Nyquist frequency, which irfft relies on.
    hop = 2 * fft.next_fast_len(max(round(HOP_SECONDS * rate_hz / 2), 1), real=True)
    size = HOPS_PER_WINDOW * hop
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32)
    return _Grid(rate_hz, hop, window)


def _blocks(mix: Iterable[Float32], grid: _Grid) -> Iterator[tuple[Float32, int]]:
    """Yield samples of the frames of each block, and how many of them no later frame covers.

    A block begins with the last ``grid.lead`` samples of the one before it.
    """
    longest = int(BLOCK_SECONDS * grid.rate_hz / grid.hop)
    whole = longest * grid.hop
    samples = np.zeros((2, 2 * whole + grid.lead), np.float32)
    count = grid.lead
    for piece in mix:
        while piece.shape[1]:
            # One sample more than two whole blocks: so the last ones will not be short.
            fitting = piece[:, : 2 * whole + 1 - count]
            samples[:, count : count + fitting.shape[1]] = fitting
            count += fitting.shape[1]
            piece = piece[:, fitting.shape[1] :]
            if count > 2 * whole:
                yield samples[:, : whole + grid.lead], whole
                count -= whole
                samples[:, :count] = samples[:, whole : whole + count]
    frames = -(-count // grid.hop)
    samples[:, count : frames * grid.hop + grid.lead] = 0.0
    edges = np.linspace(0, frames, 2 if frames <= longest else 3).round().astype(int) * grid.hop
    for first, last in pairwise(edges):
        yield samples[:, first : last + grid.lead], min(last, count) - first


def _separate(block: Float32, carried: Float32, mask: MaskFunction, grid: _Grid) -> Float32:
    """Overlap-add of the masked frames of a block to what the block before it left."""
    mid, side = _spectra(block, grid)
    voice = mask(np.abs(mid), np.abs(side), grid.rate_hz, grid.hop)
    vocals = np.zeros_like(block)
    vocals[:, : grid.lead] = carried
    vocals += _inverse(mid, voice, grid)
    if len(side):
        signal = _inverse(side, voice, grid)
        vocals[0] += signal
        vocals[1] -= signal
    return vocals


def _spectra(block: Float32, grid: _Grid) -> tuple[Complex64, Complex64]:
    """Return the transforms of mid and side; side is empty in mono."""
    half = np.float32(0.5)
    mid = _transform((block[0] + block[1]) * half, grid)
    if np.array_equal(block[0], block[1]):
        return mid, mid[:0]
    return mid, _transform((block[0] - block[1]) * half, grid)


def _transform(signal: Float32, grid: _Grid) -> Complex64:
    frames = np.lib.stride_tricks.sliding_window_view(signal, grid.size)[:: grid.hop]
    spectra = np.empty((len(frames), grid.size // 2 + 1), np.complex64)
    for start in range(0, len(frames), _CHUNK_FRAMES):
        chunk = frames[start : start + _CHUNK_FRAMES] * grid.window
        spectra[start : start + _CHUNK_FRAMES] = fft.rfft(chunk, axis=1, overwrite_x=True)
    return spectra


def _inverse(spectra: Complex64, mask: Float32, grid: _Grid) -> Float32:
    count = len(spectra)
    # Squares of sine windows that overlap n-fold sum to n / 2.
    window = (grid.window * np.float32(2 / HOPS_PER_WINDOW)).reshape(HOPS_PER_WINDOW, grid.hop)
    signal = np.zeros((count + HOPS_PER_WINDOW - 1, grid.hop), np.float32)
    for start in range(0, count, _CHUNK_FRAMES):
        stop = min(start + _CHUNK_FRAMES, count)
        masked = spectra[start:stop] * mask[start:stop]
        frames = fft.irfft(masked, grid.size, axis=1, overwrite_x=True)
        frames = frames.reshape(-1, HOPS_PER_WINDOW, grid.hop)
        for part in range(HOPS_PER_WINDOW):
            signal[start + part : stop + part] += frames[:, part] * window[part]
    return signal.ravel()


@njit(cache=True, nogil=True)
def _most_similar(similarity: Float32, first: int, excluded: int, chosen: Int32) -> None:
    """Fill `chosen` for the frames from `first` on, given their rows of the similarity."""
    count = chosen.shape[1]
    best = np.empty(count, np.float32)
    for index in range(len(similarity)):
        frame = first + index
        row = similarity[index]
        best[:] = -np.inf
        chosen[index, :] = frame
        for other in range(len(row)):
            if row[other] > best[count - 1] and abs(other - frame) >= excluded:
                # Insertion from the end; rare once the best are found. Place 0 is the
                # frame's own.
                place = count - 1
                while place > 1 and row[other] > best[place - 1]:
                    best[place] = best[place - 1]
                    chosen[index, place] = chosen[index, place - 1]
                    place -= 1
                best[place] = row[other]
                chosen[index, place] = other
