"""What Whisper is given of a signal: windows of voice, as spectra. All of it is a processor's work.

As faster-whisper's batched pipeline has it: a voice activity detector (Silero) picks the parts
with a voice, which are joined to windows of at most 30 s, whose log-mel spectra are the network's
input. Both leave Python's lock to others while they compute, so that threads prepare several
signals at once. The detector takes one signal at a time: its network has one state, carried from
frame to frame, and is exported for a batch of one; its convolutions take all frames at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps

from models.protocols import Signal

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000

WINDOW_SECONDS = 30.0
"""What Whisper hears at once."""

VAD_OPTIONS = {"threshold": 0.2, "min_silence_duration_ms": 160}
"""The threshold for speech, 0.5, misses singing: of the 88 words of a rock song whose vocals
were separated without weights it kept 31 %, and 2 % of what is not sung. 0.2 kept 72 % and 12 %,
0.1 kept 77 % and 24 %. The pause that ends a part is the batched pipeline's own."""

PIECE_SECONDS = 600.0
"""Longest part of a signal that is processed at once, which bounds the memory; the language is
detected over all of them."""

CUT_SECONDS = 60.0
"""Last part of a piece in which it is cut, where the voice is softest."""

LANGUAGE_WINDOWS = 20
"""Windows in which the language of a signal of several pieces is heard, evenly spread: these are
encoded twice, since not all are kept."""


@dataclass(frozen=True, slots=True)
class Window:
    """What Whisper hears at once.

    Attributes
    ----------
    features, shape (bands, 3000)
        Log-mel spectrum, a frame per 10 ms, filled up with zeros.
    place
        Where it lies among the voice of its piece, as faster-whisper says it: ``offset`` and
        ``duration`` in seconds, and the parts (``segments``).
    """

    features: Samples
    place: dict[str, Any]

    @property
    def voice_seconds(self) -> float:
        """How much voice it has."""
        return float(self.place["duration"])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a signal.

    Attributes
    ----------
    first, last
        Samples of the signal from which on, and up to which it reaches.
    clips
        Where in it there is a voice, as faster-whisper says it: samples ``start`` and ``end``.
    windows
        Of that voice, in order; none where there is none.
    """

    first: int
    last: int
    clips: list[dict[str, int]]
    windows: list[Window]


class Prepared:
    """A signal in pieces. A short one is a single piece, which is made at once.

    Those of a longer one are made as they are asked for, so that one at a time is in memory.

    Parameters
    ----------
    signal, shape (n,)
        Mono, at 16 kHz.
    extractor
        The model's own, of log-mel spectra.
    """

    def __init__(self, signal: Signal, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        self._clips: dict[int, list[dict[str, int]]] = {}
        self._bounds = list(bounds(signal))
        self._signal: Signal | None = signal
        self._only: Piece | None = None
        if len(self._bounds) == 1:
            self._only = self._piece(signal, 0)
            self._signal = None

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self._bounds)

    def pieces(self) -> Iterator[Piece]:
        """Yield all of it."""
        return self._pieces(every=1)

    def sample(self) -> Iterator[Piece]:
        """Yield the same pieces with some of their windows, about ``LANGUAGE_WINDOWS`` in all."""
        windows = len(self) * PIECE_SECONDS / WINDOW_SECONDS
        return self._pieces(every=max(1, int(windows / LANGUAGE_WINDOWS)))

    def _pieces(self, every: int) -> Iterator[Piece]:
        if self._signal is None:
            assert self._only is not None
            yield self._only
            return
        for at in range(len(self)):
            yield self._piece(self._signal, at, every)

    def _piece(self, signal: Signal, at: int, every: int = 1) -> Piece:
        first, last = self._bounds[at]
        samples = signal[first:last]
        if at not in self._clips:
            options = VadOptions(**VAD_OPTIONS, max_speech_duration_s=WINDOW_SECONDS)
            self._clips[at] = get_speech_timestamps(samples, options)
        clips = self._clips[at]
        if not clips:
            return Piece(first, last, [], [])
        chunks, places = collect_chunks(samples, clips, max_duration=WINDOW_SECONDS)
        windows = [
            Window(pad_or_trim(self._extractor(chunk)[..., :-1]), place)
            for chunk, place in zip(chunks[::every], places[::every], strict=True)
        ]
        return Piece(first, last, clips, windows)


def bounds(signal: Signal) -> Iterator[tuple[int, int]]:
    """First samples of the pieces of a signal, and those behind their last."""
    start, most, block = 0, round(PIECE_SECONDS * RATE_HZ), RATE_HZ // 2
    while len(signal) - start > most:
        search = signal[start + most - round(CUT_SECONDS * RATE_HZ) : start + most]
        blocks = search[: len(search) // block * block].reshape(-1, block)
        softest = int(np.argmin([np.dot(samples, samples) for samples in blocks]))
        end = start + most - len(search) + softest * block + block // 2
        yield start, end
        start = end
    yield start, len(signal)
