"""Stems of one variant of a song, and the signals of pairs that are mixed of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage, temporary_file
from blocks.storage_error import explained
from tasks.stems.schema import Signal
from tasks.track import Samples, TrackError

Pcm = npt.NDArray[np.int16]
"""A signal in 16 bits, as files hold it: shape ``(samples, channels)``."""

FULL_SCALE = np.float32(2**15)

BLOCK_SAMPLES = 2**18
"""Mixed at once: what three stems take then stays in a processor's cache."""


class Stems:
    """Stems of one length in 16 bits, in a temporary file, and their mixes.

    A context manager. The file has no name and goes with the process; it takes 2 bytes per
    sample of each channel. Of its signals no more is in memory than what is asked for. One
    thread at a time may use it.

    Parameters
    ----------
    channels, samples
        Of each stem.
    """

    def __init__(self, channels: int, samples: int) -> None:
        self.channels = channels
        self.samples = samples
        self._places: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(temporary_file())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, stem_id: str, signal: Samples) -> None:
        """Keep a stem, of shape ``(channels, samples)``; what exceeds [-1, 1] is clipped.

        Raises
        ------
        StorageError
            If there is no space left in the temporary folder.
        """
        if signal.shape != (self.channels, self.samples):
            raise ValueError(f"a stem of shape {signal.shape}, not {self.channels, self.samples}")
        place = len(self._places)
        self._file.seek(place * self.samples * self._frame_bytes)
        with explained(Path(gettempdir())):
            for start, stop in self._blocks():
                self._file.write(to_pcm(signal[:, start:stop]).data)
            self._file.flush()
        self._places[stem_id] = place

    def window(self, stem_ids: Sequence[str], start: int, stop: int) -> Samples:
        """Return the sum of some stems between two samples, shape ``(channels, n)``."""
        stop = min(stop, self.samples)
        mix = np.zeros((self.channels, stop - start), np.float32)
        pcm = np.empty((stop - start, self.channels), np.int16)
        for stem_id in stem_ids:
            self._file.seek((self._places[stem_id] * self.samples + start) * self._frame_bytes)
            self._file.readinto(pcm.data)  # type: ignore[attr-defined]
            mix += from_pcm(pcm)
        return mix

    def windows(self, stem_ids: Sequence[str], window_samples: int) -> Iterator[Samples]:
        """Yield the sum of some stems in windows, the last of which may be shorter."""
        for start in range(0, self.samples, window_samples):
            yield self.window(stem_ids, start, start + window_samples)

    def mixed(self, pair: Mapping[str, Any], signal: Signal, gain_db: float) -> Samples:
        """Return a signal of a pair before any distortion, shape ``(channels, samples)``.

        ``stem`` is the target, ``all_without`` its companions together, and ``all`` the sum of
        both, sample by sample.

        Parameters
        ----------
        pair
            Its ``target`` and ``companions``.
        signal
            Which.
        gain_db
            Of the pair.
        """
        mix = np.empty((self.channels, self.samples), np.float32)
        for start, stop in self._blocks():
            mix[:, start:stop] = self._mixed(pair, signal, gain_db, start, stop)
        return mix

    def peak_dbfs(self, pair: Mapping[str, Any], signal: Signal, gain_db: float) -> float:
        """Return the level of the largest sample of :meth:`mixed`."""
        return max(
            peak_dbfs(self._mixed(pair, signal, gain_db, start, stop))
            for start, stop in self._blocks()
        )

    @property
    def _frame_bytes(self) -> int:
        return 2 * self.channels

    def _blocks(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self.samples, BLOCK_SAMPLES):
            yield start, min(start + BLOCK_SAMPLES, self.samples)

    def _mixed(
        self, pair: Mapping[str, Any], signal: Signal, gain_db: float, start: int, stop: int
    ) -> Samples:
        gain = from_db(gain_db)
        mix = np.zeros((self.channels, stop - start), np.float32)
        if signal != "all_without":
            mix += gain * self.window([pair["target"]], start, stop)
        if signal != "stem":
            mix += gain * self.window(pair["companions"], start, stop)
        return mix


def to_pcm(signal: Samples) -> Pcm:
    """Round a signal to 16 bits, to the very samples that :func:`tasks.audio.write_flac` stores.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``; what exceeds [-1, 1] is clipped.
    """
    pcm = np.empty(signal.shape[::-1], np.int16)
    for start in range(0, len(pcm), BLOCK_SAMPLES):
        block = signal[:, start : start + BLOCK_SAMPLES].T * FULL_SCALE
        np.clip(np.rint(block), -FULL_SCALE, FULL_SCALE - 1, out=block)
        pcm[start : start + BLOCK_SAMPLES] = block
    return pcm


def from_pcm(pcm: Pcm) -> Samples:
    """Return a signal of 16 bits as shape ``(channels, samples)``."""
    return np.multiply(pcm.T, 1 / FULL_SCALE, dtype=np.float32)


def gone(outputs: Storage, path: str) -> TrackError:
    """Return the error of something stored that was finished once, and is not there as it was."""
    results = outputs.address.rpartition("/")[0]
    return TrackError(
        "artifact-missing",
        f"{path} is gone from {outputs.address}, or damaged: remove {results} as a whole and "
        "run the same command again.",
    )


def from_db(gain_db: float) -> np.float32:
    """Return the factor of a gain."""
    return np.float32(10 ** (gain_db / 20))


def peak_dbfs(signal: Samples) -> float:
    """Return the level of the largest sample, full scale being 0 dB; minus infinity for silence."""
    peak = max(float(signal.max()), -float(signal.min()))
    return 20 * float(np.log10(peak)) if peak else -np.inf
