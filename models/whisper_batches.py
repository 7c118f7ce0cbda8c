"""Windows of several signals through one Whisper.

The decoder writes in the language of a whole signal, so that all windows of it have to be encoded
before any is decoded. Batches are made up as windows come, encoded, and wait until the languages of
all their windows are known; then they are decoded as they are, each window in its own language.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.ahead import Ahead, close_source
from models.batching import AHEAD, gpu_turn, is_out_of_memory
from models.whisper_pipeline import Model, Written
from models.whisper_windows import Piece, Prepared, Window

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Heard:
    """A signal on its way, and in the end what was heard in it.

    Attributes
    ----------
    code
        Its language as Whisper names it; None as long as it is not known, and where it has no
        voice.
    probability
        Of the language: its share of the votes; 1 for one that was given.
    found
        Pieces' first samples, last samples, and segments as the library has them.
    """

    code: str | None
    probability: float = 1.0
    found: list[tuple[int, int, list[Any]]] = field(default_factory=list)
    votes: Counter[str] = field(default_factory=Counter)
    pieces_to_hear: int = 0
    pieces_to_write: int = 0


@dataclass(eq=False)
class _Part:
    """A piece of a signal on its way."""

    signal: Heard
    piece: Piece
    votes: bool
    is_written: bool
    voices: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    written: Written = field(default_factory=list)


@dataclass
class _Batch:
    """Windows that are decoded together."""

    windows: list[tuple[_Part, Window]]
    encoded: Any


class Batches:
    """Whisper over the windows of signals.

    Parameters
    ----------
    model
        The model.
    size
        Windows per batch. When memory runs out it is halved, for good.
    joins
        Whether a batch may have windows of several signals. Then these are also prepared ahead,
        by a thread. Else it has those of one piece, and its results depend on nothing else.
    """

    def __init__(self, model: Model, size: int, *, joins: bool) -> None:
        self._model = model
        self._size = size
        self._joins = joins
        self._filling: list[tuple[_Part, Window]] = []
        self._encoded: deque[_Batch] = deque()

    def map(self, signals: Iterable[Prepared], code: str | None) -> Iterator[Heard]:
        """Yield what is heard in each signal, in order.

        Parameters
        ----------
        signals
            Taken as they are needed.
        code
            Their language as Whisper names it; None to detect each one's.
        """
        parts = _parts(signals, code)
        source = Ahead(parts, AHEAD) if self._joins else parts
        on_their_way: deque[Heard] = deque()
        try:
            for part in source:
                if part.signal not in on_their_way:
                    on_their_way.append(part.signal)
                self._take(part)
                while on_their_way and not on_their_way[0].pieces_to_write:
                    yield on_their_way.popleft()
            self._flush()
            yield from on_their_way
        finally:
            close_source(source)

    def _take(self, part: _Part) -> None:
        if self._filling and self._filling[-1][0].is_written != part.is_written:
            self._flush()
        if not part.piece.windows:
            self._has_heard(part)
            part.signal.pieces_to_write -= part.is_written
        for window in part.piece.windows:
            self._filling.append((part, window))
            if len(self._filling) >= self._at_once:
                self._flush()
        if not self._joins:
            self._flush()

    @property
    def _at_once(self) -> int:
        return min(self._size, self._model.windows_at_most or self._size)

    def _flush(self) -> None:
        """Encode the windows that wait for it, and decode the batches whose languages are known."""
        filled, self._filling = self._filling, []
        for batch in self._encode(filled):
            self._vote(batch)
            if batch.windows[0][0].is_written:
                self._encoded.append(batch)
        while self._encoded and all(part.signal.code for part, _ in self._encoded[0].windows):
            batch = self._encoded.popleft()
            for (part, _), written in zip(batch.windows, self._decode(batch), strict=True):
                part.written.append(written)
                if len(part.written) == len(part.piece.windows):
                    self._has_written(part)

    def _encode(self, windows: Sequence[tuple[_Part, Window]]) -> Iterator[_Batch]:
        """Encode windows, as many at once as memory allows."""
        while windows:
            some = list(windows[: self._at_once])
            features = np.stack([window.features for _, window in some])
            try:
                with gpu_turn():
                    encoded = self._model.encode(features)
            except RuntimeError as error:
                self._halve(len(some), error)
                continue
            yield _Batch(some, encoded)
            windows = windows[len(some) :]

    def _decode(self, batch: _Batch) -> Written:
        """Decode a batch, or halves of it, which are encoded anew for that."""
        codes = [str(part.signal.code) for part, _ in batch.windows]
        windows = [window for _, window in batch.windows]
        try:
            with gpu_turn():
                return self._model.decode(batch.encoded, windows, codes)
        except RuntimeError as error:
            self._halve(len(windows), error)
        batch.encoded = None
        smaller = self._encode(batch.windows)
        return [written for each in smaller for written in self._decode(each)]

    def _halve(self, windows: int, error: RuntimeError) -> None:
        """Take half as many windows from now on, or raise what a smaller batch would not help."""
        if not is_out_of_memory(error) or windows == 1:
            raise error
        self._model.windows_at_most = windows // 2
        log.warning("Out of GPU memory at %d windows at once: %d now.", windows, windows // 2)

    def _vote(self, batch: _Batch) -> None:
        """Count the seconds of voice of each window, shared out by what its language may be."""
        if any(part.votes for part, _ in batch.windows):
            with gpu_turn():
                languages = self._model.model.detect_language(batch.encoded)
            for (part, window), heard in zip(batch.windows, languages, strict=True):
                for token, probability in heard if part.votes else ():
                    part.voices[token.strip("<|>")] += probability * window.voice_seconds
        for part, _ in batch.windows:
            part.encoded += 1
            if part.encoded == len(part.piece.windows):
                self._has_heard(part)

    def _has_heard(self, part: _Part) -> None:
        """Settle the language of a signal whose last vote was counted."""
        if not part.votes:
            return
        signal = part.signal
        signal.votes += part.voices
        signal.pieces_to_hear -= 1
        if not signal.pieces_to_hear and signal.votes:
            signal.code, most = signal.votes.most_common(1)[0]
            signal.probability = most / signal.votes.total()

    def _has_written(self, part: _Part) -> None:
        signal, piece = part.signal, part.piece
        segments = self._model.segments(piece, str(signal.code), part.written)
        signal.found.append((piece.first, piece.last, segments))
        signal.pieces_to_write -= 1


def _parts(signals: Iterable[Prepared], code: str | None) -> Iterator[_Part]:
    """Yield all pieces of all signals; before them those that their languages are heard in.

    A signal of several pieces has these twice, the first time with some of their windows.
    """
    for prepared in signals:
        is_unknown, is_long = code is None, len(prepared) > 1
        signal = Heard(code, pieces_to_write=len(prepared))
        if is_unknown:
            signal.pieces_to_hear = len(prepared)
            if is_long:
                for piece in prepared.sample():
                    yield _Part(signal, piece, votes=True, is_written=False)
        for piece in prepared.pieces():
            yield _Part(signal, piece, votes=is_unknown and not is_long, is_written=True)
