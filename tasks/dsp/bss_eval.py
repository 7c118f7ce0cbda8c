"""The metrics of BSS Eval, version 4: SDR, ISR, SIR and SAR, by frames.

F.-R. Stoter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018,
after E. Vincent et al., "Performance measurement in blind audio source separation", 2006. An
estimate is projected onto all references by filters of 512 taps that hold for the whole song;
what of it is filtered reference, interference and artefact is then told in frames of a second.
Values are those of museval, to which this owes nothing but its conventions:

* correlations of all signals are summed over blocks of FFTs, in memory that does not grow;
* one Cholesky factorisation serves the estimates of all sources;
* channels that are silent, or the same as another, are no part of the basis: with them the
  equations have no unique solution, and what museval's solver returns is rounding;
* energies of a frame's parts are those of spectra, by Parseval: nothing is transformed back.

A frame in which a reference or an estimate is silent has no values, as in museval. A source
that is silent in the whole song, at which museval gives up, is left out: it has no values, and
the others are told apart without it. So has an estimate that is silent in the whole song.

References have to have some sound in every band, such as the noise of 16 bits: of others the
equations have no unique solution, and ISR, SIR and SAR are rounding, museval's too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.dsp.separation_scores import Float64, Signals, read

Complex128 = npt.NDArray[np.complex128]

TAPS = 512
WINDOW_SAMPLES = 44_100

BLOCK_FFT = 16_384
"""Of the correlations, and ``BLOCKS`` of them are multiplied at once: 60 MB with 8 channels."""
BLOCKS = 16

EPSILON = float(np.finfo(np.float64).eps)
"""Added to the diagonal of the equations, as museval does."""


@dataclass(frozen=True)
class BssFrames:
    """Metrics of each estimate in each frame, in dB, shape ``(estimates, frames)``.

    NaN where a frame has no values; infinite where an error is exactly zero.
    """

    sdr: Float64
    isr: Float64
    sir: Float64
    sar: Float64

    def medians(self) -> list[dict[str, float] | None]:
        """Return the median over the frames with values of each estimate; None without any."""
        rows = (self.sdr, self.isr, self.sir, self.sar)
        found: list[dict[str, float] | None] = []
        for values in zip(*rows, strict=True):
            valid = ~np.isnan(values[0])
            names = zip(("sdr", "isr", "sir", "sar"), values, strict=True)
            found.append(
                {name: float(np.median(each[valid])) for name, each in names}
                if valid.any()
                else None
            )
        return found

    @property
    def counts(self) -> list[int]:
        """Frames with values, of each estimate."""
        return [int(count) for count in (~np.isnan(self.sdr)).sum(axis=1)]


@dataclass(frozen=True)
class _Basis:
    """Channels of the references that span what an estimate is projected onto.

    Attributes
    ----------
    rows
        Source and channel of each.
    of
        Of every source and channel its place in `rows`, -1 for a silent one.
    """

    rows: list[tuple[int, int]]
    of: npt.NDArray[np.intp]


def bss_eval(
    references: Signals,
    estimates: Signals,
    sources: Sequence[int] | None = None,
    *,
    window: int = WINDOW_SAMPLES,
    hop: int = WINDOW_SAMPLES,
    taps: int = TAPS,
) -> BssFrames:
    """Score estimates against all references of a song.

    Parameters
    ----------
    references
        Shape ``(sources, channels, samples)``.
    estimates
        Shape ``(estimates, channels, samples)``.
    sources
        Which source each estimate is of; by default the first is of the first.
    window, hop
        Of the frames, in samples. A song that is no longer than a window is one frame.
    taps
        Length of the filters, in samples.

    Raises
    ------
    ValueError
        If channels or lengths differ.
    """
    if references.shape[1:] != estimates.shape[1:]:
        raise ValueError(f"{references.shape} and {estimates.shape} are no signals of one song")
    of = list(range(len(estimates)) if sources is None else sources)
    basis, sounding = _basis(references), _sounding(estimates)
    scored = [at for at, source in enumerate(of) if sounding[at] and basis.of[source].max() >= 0]
    samples = references.shape[2]
    frames = (samples - window + hop) // hop if window < samples else 1
    values = np.full((4, len(estimates), frames), np.nan)
    if scored:
        spatial, full = _filters(references, estimates, basis, scored, of, taps)
        size = min(window, samples)
        framed = _Framed(basis, [of[at] for at in scored], size, taps, spatial, full)
        for frame in range(frames):
            place = (frame * hop, frame * hop + size)
            true = read(references, *place)
            found = read(estimates, *place)[scored]
            if not _has_silent(true[_sources_of(basis)]) and not _has_silent(found):
                values[:, scored, frame] = framed.metrics(true, found)
    return BssFrames(*values)


def _basis(references: Signals) -> _Basis:
    """Tell which channels of the references are silent, or the same as another."""
    count, channels, samples = references.shape
    names = [(source, channel) for source in range(count) for channel in range(channels)]
    silent = np.ones(len(names), bool)
    same = ~np.eye(len(names), dtype=bool)
    for start in range(0, samples, BLOCK_FFT * BLOCKS):
        part = read(references, start, min(start + BLOCK_FFT * BLOCKS, samples))
        part = part.reshape(len(names), -1)
        silent &= ~part.any(axis=1)
        for one, other in zip(*np.nonzero(same), strict=True):
            # Looked at further only while they are the same.
            if not (one < other and np.array_equal(part[one], part[other])):
                same[one, other] = False
    rows: list[tuple[int, int]] = []
    of = np.full(len(names), -1, np.intp)
    for at in np.flatnonzero(~silent):
        before = np.flatnonzero(same[:at, at])
        if len(before):
            of[at] = of[before[0]]
        else:
            of[at] = len(rows)
            rows.append(names[at])
    return _Basis(rows, of.reshape(count, channels))


def _sources_of(basis: _Basis) -> list[int]:
    """Return the sources that sound somewhere."""
    return [source for source, places in enumerate(basis.of) if places.max() >= 0]


def _sounding(signals: Signals) -> npt.NDArray[np.bool_]:
    """Whether each signal has a sample that is not zero."""
    found = np.zeros(len(signals), bool)
    for start in range(0, signals.shape[2], BLOCK_FFT * BLOCKS):
        found |= read(signals, start, start + BLOCK_FFT * BLOCKS).any(axis=(1, 2))
    return found


def _has_silent(signals: Float64) -> bool:
    """Whether one of the signals is silent; museval asks for the sum of its channels."""
    return bool((signals.sum(axis=1) == 0).all(axis=1).any())


def _filters(
    references: Signals,
    estimates: Signals,
    basis: _Basis,
    scored: Sequence[int],
    of: Sequence[int],
    taps: int,
) -> tuple[Float64, Float64]:
    """Return filters that project estimates, shape ``(estimates, channels, basis, taps)`` each.

    The first from the estimate's own source only, zero for the others; the second from all.
    """
    channels, size = references.shape[1], len(basis.rows)
    crossed = _correlations(references, estimates, scored, basis, taps)
    gram = _gram(crossed[:size])
    right = crossed[size:].reshape(len(scored) * channels, size * taps).T
    shape = (len(scored), channels, size, taps)
    full = _solve(gram, right).T.reshape(shape)
    spatial = np.zeros(shape)
    blocks = gram.reshape(size, taps, size, taps)
    sides = right.T.reshape(shape)
    for at, place in enumerate(scored):
        own = np.unique(basis.of[of[place]])
        own = own[own >= 0]
        square = blocks[own][:, :, own].reshape(len(own) * taps, -1)
        solved = _solve(square, sides[at][:, own].reshape(channels, -1).T)
        spatial[at][:, own] = solved.T.reshape(channels, len(own), taps)
    return spatial, full


def _correlations(
    references: Signals, estimates: Signals, scored: Sequence[int], basis: _Basis, taps: int
) -> Float64:
    """Sum up products of signals with the references some samples before.

    Returns
    -------
    Float64
        Shape ``(basis and channels of the scored estimates, basis, taps)``.
    """
    from scipy import fft

    size, samples = len(basis.rows), references.shape[2]
    rows = size + len(scored) * references.shape[1]
    block = max(BLOCK_FFT, fft.next_fast_len(2 * taps, real=True)) - taps + 1
    length = block + taps - 1
    bins = length // 2 + 1
    which = tuple(np.array(basis.rows).T)
    total = np.zeros((bins, rows, size), np.complex128)
    starts = range(0, samples, block)
    for first in range(0, len(starts), BLOCKS):
        group = starts[first : first + BLOCKS]
        late = np.empty((len(group), rows, bins), np.complex128)
        early = np.empty((len(group), size, bins), np.complex128)
        for at, start in enumerate(group):
            signals = np.zeros((rows, length))
            before = read(references, start - taps + 1, start + block)[which]
            early[at] = fft.rfft(before, axis=1)
            signals[:size, taps - 1 :] = before[:, taps - 1 :]
            found = read(estimates, start, start + block)[scored]
            signals[size:, taps - 1 :] = found.reshape(-1, block)
            late[at] = fft.rfft(signals, axis=1)
        # A small product for every bin; BLAS wants its factors side by side.
        total += np.matmul(
            np.ascontiguousarray(late.transpose(2, 1, 0)),
            np.ascontiguousarray(early.conj().transpose(2, 0, 1)),
        )
    lags: Float64 = fft.irfft(total, length, axis=0)[:taps]
    return np.ascontiguousarray(lags.transpose(1, 2, 0))


def _gram(crossed: Float64) -> Float64:
    """Inner products of the basis, each channel delayed by 0 to ``taps - 1`` samples."""
    size, _, taps = crossed.shape
    gram = np.empty((size, taps, size, taps))
    for i in range(size):
        for j in range(size):
            both = np.concatenate([crossed[j, i, :0:-1], crossed[i, j]])
            windows = np.lib.stride_tricks.sliding_window_view(both, taps)
            gram[i, :, j, :] = windows[::-1]
    return gram.reshape(size * taps, size * taps)


def _solve(gram: Float64, right: Float64) -> Float64:
    """Solve the equations of a projection, for all right sides together."""
    from scipy import linalg

    regular = gram + EPSILON * np.eye(len(gram))
    solved: Float64
    try:
        factor = linalg.cho_factor(regular, lower=True, overwrite_a=True, check_finite=False)
        solved = linalg.cho_solve(factor, right, check_finite=False)
        return solved
    except linalg.LinAlgError:
        # No longer positive after rounding: nearly the same channels, or bands without sound.
        pass
    try:
        solved = np.linalg.solve(gram + EPSILON * np.eye(len(gram)), right).astype(np.float64)
    except np.linalg.LinAlgError:
        solved = np.linalg.lstsq(gram, right)[0].astype(np.float64)
    return solved


class _Framed:
    """Projections of frames, each of them as if nothing were before or after it."""

    def __init__(
        self,
        basis: _Basis,
        sources: Sequence[int],
        samples: int,
        taps: int,
        spatial: Float64,
        full: Float64,
    ) -> None:
        from scipy import fft

        self._basis, self._sources = basis, list(sources)
        self._which = tuple(np.array(basis.rows).T)
        self._length = fft.next_fast_len(samples + taps - 1, real=True)
        self._full: Complex128 = fft.rfft(full, self._length, axis=3)
        self._spatial: list[list[tuple[int, Complex128]]] = []
        for each, source in zip(spatial, sources, strict=True):
            own = [int(at) for at in np.unique(basis.of[source]) if at >= 0]
            self._spatial.append([(at, fft.rfft(each[:, at], self._length)) for at in own])

    def metrics(self, true: Float64, found: Float64) -> Float64:
        """Return SDR, ISR, SIR and SAR of the estimates of a frame, shape ``(4, estimates)``."""
        from scipy import fft

        spectra = fft.rfft(true[self._which], self._length, axis=1)
        estimates = fft.rfft(found, self._length, axis=2)
        values = np.empty((4, len(found)))
        for at, source in enumerate(self._sources):
            target = _taken(spectra, self._basis.of[source])
            full = self._full[at, :, 0] * spectra[0]
            for place in range(1, len(spectra)):
                full += self._full[at, :, place] * spectra[place]
            (first, response), *others = self._spatial[at]
            spatial = response * spectra[first]
            for place, response in others:
                spatial += response * spectra[place]
            energy = float(np.square(true[source]).sum())
            values[:, at] = (
                _decibels(energy, float(np.square(found[at] - true[source]).sum())),
                _decibels(energy, self._energy(spatial - target)),
                _decibels(self._energy(spatial), self._energy(full - spatial)),
                _decibels(self._energy(full), self._energy(estimates[at] - full)),
            )
        return values

    def _energy(self, spectra: Complex128) -> float:
        """Energy of real signals by their spectra, shape ``(channels, bins)``."""
        squares = np.square(spectra.real).sum(axis=0) + np.square(spectra.imag).sum(axis=0)
        once = squares[0] + (squares[-1] if self._length % 2 == 0 else 0.0)
        return float((2 * squares.sum() - once) / self._length)


def _taken(spectra: Complex128, places: npt.NDArray[np.intp]) -> Complex128:
    """Spectra of the channels of a source; silent ones are zeros."""
    taken: Complex128 = spectra[places]
    taken[places < 0] = 0
    return taken


def _decibels(signal: float, error: float) -> float:
    if error == 0:
        return float("inf")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal / error))
