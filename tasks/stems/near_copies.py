"""Which stems of a song are copies of each other, sums of others, or hold others.

By sound, not by bytes: a stem may be there as WAV and as MP3, at another level, rate or
polarity, in mono, later or trimmed; and as a part of a bus beside its own file. What accompanies
a target must not hold it in any of these ways.

Measured on 40 s of a session of five stems (drums, bass, clavinet, horns, lead guitar), each
stored as Opus at 160 kb/s; see :mod:`tasks.dsp.likeness` for the measures:

====================================================  ===========  ==============  ============
pair                                                  residual dB  unevenness      significance
====================================================  ===========  ==============  ============
WAV and MP3, 56 to 320 kb/s                           -44 to -13   0.00 to 0.01    27 to 57
and MP3 at 24 kb/s and 22 kHz                         -29 to -8    0.00 to 0.02    27 to 39
a stem in the sum of all five, limited or not         -1.9 to -0.4  0.00 to 0.02   16 to 53
a stem 20 dB below the sum of two others              -0.1 to 0    0.01 to 0.13    11 to 48
left and right of a stereo stem                       -10 to -1.7  0.01 to 0.10    28 to 57
a stem and itself through a valve (tanh)              -8 to -3     0.01 to 0.11    13 to 54
bleed through a room, 6 to 30 dB below                0            0.13 to 0.77    7 to 11
two microphones of one source, in a room              -1.9 to -0.1  0.16 to 0.88   8 to 12
another take, 1 ms off now and then                   -5 to 0      0.04 to 0.86    10 to 22
another take, 3 ms and more                           -0.6 to 0    0.16 to 0.99    4 to 15
other instruments                                     0            0.33 to 1.00    4 to 7
====================================================  ===========  ==============  ============
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from tasks.dsp.likeness import MAX_LAG, RATE_HZ, Likeness, Mono, fit, lags, likeness, repeats

COPY_DB = -12.0
"""Residual below which a stem is a copy, or the sum of those that it holds. Between what MP3 at
56 kb/s leaves (-13) and the two sides of a stereo stem (-10), which are stems of their own."""

MAX_UNEVENNESS = 0.15
MIN_SIGNIFICANCE = 10.0
"""A stem that is held is more even and more significant than that, by the table above."""

COPY_SHARE = 0.9
HELD_SHARE = 0.5
"""Of the energy of a stem, what has to lie in the overlap for it to be a copy, or to be held."""

CODEC_LAG = round(0.06 * RATE_HZ)
"""Delays of encoders: 25 ms for MP3, 48 for AAC, twice that at half the rate. A sixteenth note is
longer; and two patterns of one sample, a note apart, are one signal but for that lag."""

MAX_SHIFT = 10 * RATE_HZ
"""Longest silence before a copy."""

LENGTH_TOLERANCE = round(0.15 * RATE_HZ)
"""By so much an encoder's padding may change a length."""

MAX_REPEATS = 0.3
"""Autocorrelation of what is played once; patterns of one sample have 0.5 and more, measured."""

ENVELOPE_HZ = 50
MIN_ENVELOPE_CORRELATION = 0.6
"""Of the envelopes of copies, with seconds of silence before one of them; worth a closer look."""

DOUBTFUL_DB = -25.0
"""Residual of a copy that may be a quiet stem rather than the noise of an encoder."""

HIDING_DB = -1.0
"""Where what a stem is known to hold explains that much of it, others may be hidden beneath."""

Kind = Literal["copy", "sum", "holds"]


@dataclass(frozen=True, slots=True)
class Relation:
    """What a stem has to do with others.

    Attributes
    ----------
    kind
        ``"copy"`` of one other, ``"sum"`` of several, or ``"holds"``: one other is a part of it.
    stem, others
        Numbers of the stems.
    residual_db
        What is left of the stem without the others, over itself.
    lag_seconds
        How much later a copy is than the other stem; 0 for the other kinds.
    """

    kind: Kind
    stem: int
    others: tuple[int, ...]
    residual_db: float
    lag_seconds: float = 0.0


def relations(signals: Sequence[Mono]) -> list[Relation]:
    """Find what the stems of a song have to do with each other.

    Parameters
    ----------
    signals
        One per stem, mono, at ``RATE_HZ``, all from the start of the song, shape ``(samples,)``
        each; they may be maps of files.

    Returns
    -------
    list of Relation
        Copies first, each pair once; then sums; then pairs of which the one holds the other.
    """
    alike = {(first, second): found for first, second, found in _alike(signals)}
    copies = {
        pair: found
        for pair, found in alike.items()
        if found.residual_db < COPY_DB and min(found.shares) >= COPY_SHARE
    }
    for pair in [pair for pair, found in copies.items() if found.residual_db > DOUBTFUL_DB]:
        if _differ_by_others(signals, pair, copies):
            del copies[pair]
    held: dict[int, dict[int, float]] = {}
    for (first, second), found in alike.items():
        # Of two with one spectrum, either seems to hold the other: rather the one that does so
        # more evenly.
        number = int(found.unevenness[1] < found.unevenness[0])
        if (first, second) not in copies and _is_held(found, number):
            part, whole = ((first, second), (second, first))[number]
            held.setdefault(whole, {})[part] = (1, -1)[number] * found.lag_samples
    result = [
        Relation("copy", second, (first,), found.residual_db, found.lag_samples / RATE_HZ)
        for (first, second), found in copies.items()
    ]
    apart: list[Relation] = []
    same = _groups(len(signals), copies)
    for whole, found_parts in sorted(held.items()):
        parts = {at: lag for at, lag in found_parts.items() if same[at] != same[whole]}
        if not parts:
            continue
        others, residual_db, is_sum = _parts(signals, whole, parts, same)
        if is_sum:
            result.append(Relation("sum", whole, tuple(sorted(others)), residual_db))
        else:
            apart += [Relation("holds", whole, (part,), residual_db) for part in sorted(others)]
    return result + apart


def related(found: Sequence[Relation], count: int) -> set[tuple[int, int]]:
    """Return the pairs of stems, the lower number first, of which one is in the other.

    Copies of one stem are in what any of them is in.

    Parameters
    ----------
    found
        What :func:`relations` found.
    count
        Number of stems.
    """
    same = groups(found, count)
    mates = {at: [each for each in range(count) if same[each] == same[at]] for at in range(count)}
    return {
        (min(one, other), max(one, other))
        for each in found
        for part in each.others
        for one in mates[each.stem]
        for other in mates[part]
        if one != other
    }


def groups(found: Sequence[Relation], count: int) -> list[int]:
    """Return for each stem the first of those that are copies of it, itself if it is the first."""
    return _groups(count, [(each.others[0], each.stem) for each in found if each.kind == "copy"])


def _alike(signals: Sequence[Mono]) -> Iterator[tuple[int, int, Likeness]]:
    """Yield pairs of which the one may hold the other."""
    sounding = [at for at, signal in enumerate(signals) if len(signal) and np.any(signal)]
    pairs = list(combinations(sounding, 2))
    found: dict[tuple[int, int], Likeness] = {}
    for (first, second), lag in lags(signals, pairs):
        if lag.significance >= MIN_SIGNIFICANCE:
            alike = likeness(signals[first], signals[second], lag.samples)
            if alike is not None and _is_credible(signals[first], signals[second], alike):
                found[first, second] = alike
    for (first, second), lag_samples in _later(signals, pairs):
        before = found.get((first, second))
        if before is not None and before.residual_db < COPY_DB:
            continue
        alike = _shifted_likeness(signals[first], signals[second], lag_samples)
        if (
            alike is not None
            and alike.residual_db < COPY_DB
            and _is_credible(signals[first], signals[second], alike)
        ):
            found[first, second] = alike
    for (first, second), alike in sorted(found.items()):
        yield first, second, alike


def _is_held(found: Likeness, number: int) -> bool:
    """Return whether the first of two (0) is held by the second, or the other way round (1)."""
    return found.unevenness[number] < MAX_UNEVENNESS and found.shares[number] >= HELD_SHARE


def _differ_by_others(
    signals: Sequence[Mono], pair: tuple[int, int], copies: Mapping[tuple[int, int], Likeness]
) -> bool:
    """Return whether what is left of a copy is other stems: then it is no copy, but a mix."""
    first, second = pair
    _, rest = fit(signals[second], [signals[first]], [copies[pair].lag_samples])
    mates = {at for each in copies if set(each) & set(pair) for at in each}
    others = {at: each for at, each in enumerate(signals) if at not in mates and np.any(each)}
    return bool(_held_in(rest, others))


def _is_credible(first: Mono, second: Mono, found: Likeness) -> bool:
    """Return whether a lag is that of a copy: an encoder's, or silence put before or cut off.

    Patterns of one sample are alike at the distance of their notes. They are as long as each
    other, and like themselves at other moments.
    """
    lag = found.lag_samples
    if abs(lag) <= CODEC_LAG:
        return True
    longer = len(second) - len(first)
    if abs(longer - lag) <= min(LENGTH_TOLERANCE, abs(lag) / 2):
        return True
    return repeats(first, CODEC_LAG, MAX_SHIFT) < MAX_REPEATS


def _later(
    signals: Sequence[Mono], pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield pairs whose envelopes are alike at a lag beyond MAX_LAG, and that lag in samples."""
    hop = RATE_HZ // ENVELOPE_HZ
    used = sorted({at for pair in pairs for at in pair})
    envelopes = {at: _envelope(signals[at], hop) for at in used}
    size = 1 << (2 * max(map(len, envelopes.values()), default=1)).bit_length()
    spectra = {at: np.fft.rfft(envelope, size) for at, envelope in envelopes.items()}
    furthest = MAX_SHIFT // hop
    for first, second in pairs:
        scale = np.linalg.norm(envelopes[first]) * np.linalg.norm(envelopes[second])
        if not scale:
            continue
        correlation = np.fft.irfft(spectra[first].conj() * spectra[second], size)
        near = np.concatenate([correlation[-furthest:], correlation[: furthest + 1]])
        place = int(near.argmax())
        lag_samples = (place - furthest) * hop
        if near[place] >= MIN_ENVELOPE_CORRELATION * scale and abs(lag_samples) > MAX_LAG // 2:
            yield (first, second), lag_samples


def _envelope(signal: Mono, hop: int) -> np.ndarray:
    frames = signal[: len(signal) // hop * hop].reshape(-1, hop)
    levels: np.ndarray = np.sqrt(np.einsum("fn,fn->f", frames, frames, dtype=np.float64))
    return levels - levels.mean() if len(levels) else levels


def _shifted_likeness(first: Mono, second: Mono, lag_samples: int) -> Likeness | None:
    one, other = first[max(0, -lag_samples) :], second[max(0, lag_samples) :]
    if not (len(one) and len(other)):
        return None
    [(_, lag)] = lags([one, other], [(0, 1)])
    return likeness(first, second, lag_samples + lag.samples)


def _parts(
    signals: Sequence[Mono], whole: int, parts: dict[int, float], same: Sequence[int]
) -> tuple[set[int], float, bool]:
    """Return what a stem holds, its residual without them, and whether it is their sum.

    What is quiet in a mix is found when what is louder in it was taken off.
    """
    known = dict(parts)
    while True:
        # Of copies one is enough, and two would make the gains ambiguous.
        chosen = {same[part]: part for part in sorted(known, reverse=True)}
        used = sorted(chosen.values())
        gains, rest = fit(
            signals[whole], [signals[part] for part in used], [known[part] for part in used]
        )
        energy = _energy(signals[whole])
        residual_db = 10 * float(np.log10(max(_energy(rest) / energy, 1e-12)))
        others = [
            at
            for at, signal in enumerate(signals)
            if same[at] not in {same[whole], *chosen} and np.any(signal)
        ]
        if residual_db > HIDING_DB or not others:
            break
        more = _held_in(rest, {at: signals[at] for at in others})
        if not more:
            break
        known |= more
    # Of stems that depend on each other, the sum is the one whose share is the largest.
    shares = [gain**2 * _energy(signals[part]) for gain, part in zip(gains, used, strict=True)]
    is_sum = len(used) > 1 and residual_db < COPY_DB and energy > 0.99 * max(shares)
    return {at for at in range(len(signals)) if same[at] in chosen}, residual_db, is_sum


def _held_in(rest: Mono, others: dict[int, Mono]) -> dict[int, float]:
    """Return which stems the rest of a mix holds, and where."""
    numbers = list(others)
    signals = [*others.values(), rest]
    found = {}
    for (part, _), lag in lags(signals, [(at, len(numbers)) for at in range(len(numbers))]):
        if lag.significance < MIN_SIGNIFICANCE or abs(lag.samples) > CODEC_LAG:
            continue
        alike = likeness(signals[part], rest, lag.samples)
        if alike is not None and _is_held(alike, 0):
            found[numbers[part]] = alike.lag_samples
    return found


def _groups(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    first = list(range(count))
    for one, other in sorted(pairs):
        low, high = sorted((first[one], first[other]))
        first = [low if each == high else each for each in first]
    return first


def _energy(signal: Mono) -> float:
    return float(np.einsum("n,n->", signal, signal, dtype=np.float64))
