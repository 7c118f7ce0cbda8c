"""Acoustic fingerprints of songs, and which songs are one recording under several names.

Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): each word has
32 bits, the signs of the changes from frame to frame of the differences between neighbours
among 33 bands. A copy in another codec, at another level, with its start cut or padded, has
most of its bits the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import numpy as np
import numpy.typing as npt

from tasks.track import Samples

RATE_HZ = 5512
"""A rate that keeps the bands and little more."""

WINDOW = 2048
"""Samples of a frame: 0.37 s, as in the paper."""

HOP = 256
"""Samples between frames: 46 ms. The paper's 11.6 ms serve clips of three seconds; whole songs
have words enough, and a copy between two hops is off by a sixteenth of a window at most."""

BANDS_HZ = (300.0, 2000.0)
BANDS = 33
"""Bands of equal width in octaves, as in the paper."""

MAX_BIT_ERROR_RATE = 0.35
"""The paper's: of unrelated acoustic fingerprints half of the bits differ."""

MIN_OVERLAP_WORDS = 215
"""Two songs are compared over 10 s at least, silence and steady tones not counted."""

MIN_BITS = 6
"""Words with fewer bits set say nothing: nothing, or hardly anything, changes there."""

INAUDIBLE = 1e-8
"""Changes below this share of the frames' energy set no bit: those of quantisation to 16 bits."""

MIN_VOTES = 2
"""Equal words at one offset that make two songs worth comparing."""

NEIGHBOURS = 4
"""Songs that a word is looked up in: at worst it costs 32 bytes for each word of all songs. Of
many copies each finds some others, which is enough to join them."""

PASS_WORDS = 2**23
"""Words that are sorted at once."""

MOST_PASSES = 4
"""Passes that are made: of more words than these hold, some are looked up, the same of each song.
They are those of 6,500 songs of four minutes, whose search takes 1.8 GB; more songs take no more.
Of 100,000, each is looked up by 340 of its 5,200 words, of which a copy needs two."""

Words = npt.NDArray[np.uint32]


def acoustic_fingerprint(signal: Samples | Iterable[Samples], rate_hz: int) -> Words:
    """Acoustic fingerprint of a signal.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``, or such blocks one after the other.
    rate_hz
        Sample rate.

    Returns
    -------
    Words
        Shape ``(words,)``, one for each 46 ms; 0 where nothing changes, as in silence. Empty
        for less than half a second.
    """
    mix = MixFingerprint(rate_hz)
    with mix.adding() as adding:
        for _ in adding((signal,) if isinstance(signal, np.ndarray) else signal):
            pass
    return mix.words()


class MixFingerprint:
    """Acoustic fingerprint of the mix of several signals that pass one after the other.

    It keeps the mix at 5,512 Hz: 1.3 MB per minute.

    Parameters
    ----------
    rate_hz
        Sample rate of the signals.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._mix = np.empty(0, np.float32)

    @contextmanager
    def adding(self) -> Iterator[Callable[[Iterable[Samples]], Iterator[Samples]]]:
        """Add one signal: the blocks that pass through the function that is given.

        They have the shape ``(channels, n)``. Nothing is added if the block of code raises.
        """
        import soxr

        resampler = soxr.ResampleStream(self._rate_hz, RATE_HZ, 1, dtype="float32")
        pieces: list[Samples] = []

        def passing(blocks: Iterable[Samples]) -> Iterator[Samples]:
            for block in blocks:
                mono = np.full(len(block), 1 / len(block), np.float32) @ block
                pieces.append(resampler.resample_chunk(mono))
                yield block

        yield passing
        pieces.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
        signal = np.concatenate(pieces)
        if len(signal) > len(self._mix):
            self._mix, signal = signal, self._mix
        self._mix[: len(signal)] += signal

    def words(self) -> Words:
        """Acoustic fingerprint of the mix so far, as :func:`acoustic_fingerprint` gives it."""
        return _words(self._mix)


def duplicates(
    fingerprints: Mapping[str, Words],
    *,
    min_overlap_words: int = MIN_OVERLAP_WORDS,
    max_bit_error_rate: float = MAX_BIT_ERROR_RATE,
) -> list[tuple[str, str]]:
    """Pairs of songs that are one recording.

    Songs that share words at one offset are compared bit by bit there; silence and steady
    tones count neither way. Of many copies of one song not all pairs are given, but pairs
    enough to join them all.

    Parameters
    ----------
    fingerprints
        Acoustic fingerprint of each song, by its identity.
    min_overlap_words
        Words that say something in both, over which two songs are compared at least.
    max_bit_error_rate
        Share of their bits below which they are one recording.

    Returns
    -------
    list of tuple
        Pairs of identities, each pair and the list in order.
    """
    names = sorted(fingerprints)
    songs = [fingerprints[name] for name in names]
    found: set[tuple[int, int]] = set()
    for first, second, offset in _candidates(songs):
        if (first, second) in found:
            continue
        rate, overlap = bit_error_rate(songs[first], songs[second], offset)
        if overlap >= min_overlap_words and rate < max_bit_error_rate:
            found.add((first, second))
    return [(names[first], names[second]) for first, second in sorted(found)]


def bit_error_rate(first: Words, second: Words, offset: int) -> tuple[float, int]:
    """Return how two acoustic fingerprints differ where they overlap.

    Parameters
    ----------
    first, second
        Acoustic fingerprints.
    offset
        Word of `second` minus word of `first` at the same moment.

    Returns
    -------
    tuple
        Share of the bits that differ, and the number of words compared: those that say
        something in both.
    """
    start = max(0, -offset)
    stop = max(start, min(len(first), len(second) - offset))
    first, second = first[start:stop], second[start + offset : stop + offset]
    telling = _telling(first) & _telling(second)
    count = int(np.count_nonzero(telling))
    if not count:
        return 0.5, 0
    return int(np.bitwise_count(first ^ second)[telling].sum()) / (32 * count), count


def _words(mono: Samples) -> Words:
    """Acoustic fingerprint of a mono signal at RATE_HZ."""
    frames = (
        np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP]
        if (len(mono) >= WINDOW)
        else np.empty((0, WINDOW), np.float32)
    )
    window, edges = _window(), _edges()
    words = []
    last: npt.NDArray[np.float64] | None = None
    for start in range(0, len(frames), 256):
        # In float64: the rounding of float32 makes a steady tone change.
        spectrum = np.fft.rfft(frames[start : start + 256] * window)
        power = spectrum.real**2 + spectrum.imag**2
        energy = np.add.reduceat(power, edges, axis=1)[:, :-1]
        if last is not None:
            energy = np.concatenate([last, energy])
        last = energy[-1:]
        steps = energy[:, :-1] - energy[:, 1:]
        change = steps[1:] - steps[:-1]
        frame = energy.sum(axis=1, keepdims=True)
        bits = np.packbits(change > INAUDIBLE * (frame[1:] + frame[:-1]), axis=1)
        words.append(bits.view(">u4")[:, 0].astype(np.uint32))
    return np.concatenate([np.empty(0, np.uint32), *words])


@cache
def _window() -> npt.NDArray[np.float64]:
    return np.hanning(WINDOW + 1)[:-1]


@cache
def _edges() -> npt.NDArray[np.intp]:
    """First bin of each band, and of what lies above them."""
    frequencies_hz = np.geomspace(*BANDS_HZ, BANDS + 1)
    return np.round(frequencies_hz * WINDOW / RATE_HZ).astype(np.intp)


def _telling(words: Words) -> npt.NDArray[np.bool_]:
    """Return which words say something."""
    return np.bitwise_count(words) >= MIN_BITS


def _candidates(songs: list[Words]) -> Iterator[tuple[int, int, int]]:
    """Pairs of songs, first before second, and offsets with equal words; of most votes first.

    An offset is the word of the second minus the word of the first.
    """
    longest = max((len(words) for words in songs), default=0)
    # A pair and its offset in 64 bits: the highest votes of all are then found by sorting.
    radix = 2 * longest + 1
    if len(songs) ** 2 * radix >= 2**63:
        raise ValueError("too many songs, or too long ones, to look for duplicates")
    found = [np.empty(0, np.int64)]
    for words, owners, positions in _index(songs):
        for lag in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(words[lag:] == words[:-lag])
            first, second = owners[same], owners[same + lag]
            offset = positions[same + lag].astype(np.int64) - positions[same]
            found.append((first.astype(np.int64) * len(songs) + second) * radix + offset + longest)
    votes = np.concatenate(found)
    found.clear()
    votes.sort()
    # Most stand alone: they are left out before memory is taken for keys and counts.
    keys, more = np.unique(votes[1:][votes[1:] == votes[:-1]], return_counts=True)
    chosen = more + 1 >= MIN_VOTES
    keys, counts = keys[chosen], more[chosen]
    for key in keys[np.argsort(-counts, kind="stable")]:
        pair, place = divmod(int(key), radix)
        first_song, second_song = divmod(pair, len(songs))
        yield first_song, second_song, place - longest


def _index(
    songs: list[Words],
) -> Iterator[tuple[Words, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Words in order, with their songs and positions: some at a time, and not all of very many.

    Of a song, each word is there once, at its first place. Songs of one word are in order.
    """
    passes = 1 + sum(map(len, songs)) // PASS_WORDS
    for number in range(min(passes, MOST_PASSES)):
        words, owners, positions = [], [], []
        for owner, song in enumerate(songs):
            mine = np.flatnonzero((song % passes == number) & _telling(song))
            distinct, at = np.unique(song[mine], return_index=True)
            words.append(distinct)
            owners.append(np.full(len(distinct), owner, np.int32))
            positions.append(mine[at].astype(np.int32))
        if not words:
            continue
        everything = np.concatenate(words)
        order = np.argsort(everything, kind="stable")
        yield everything[order], np.concatenate(owners)[order], np.concatenate(positions)[order]
