"""Stems at a low rate and in mono, as they are compared: stored beside them when they are.

To read a minute of stored stem takes 0.4 s on one core, of which all but the decoder of Opus is
nothing; to keep it at a low rate while it is converted takes 0.02 s, and 0.5 MB.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from blocks.storage import Storage
from tasks import audio
from tasks.dsp.likeness import RATE_HZ, Mono
from tasks.track import Samples, TrackError

MIN_MID = 0.05
"""Share of a stem's energy below which its mid is not what is heard: its sides are in antiphase,
and the left one is compared."""

PEAK = 0.99
LOUDEST = 16.0
"""What is louder than 24 dB over full scale is no audio; one such sample would hide the rest."""

MIN_SAMPLES = 2 * round(audio.MIN_SECONDS * RATE_HZ)


class LowRate:
    """A signal at ``RATE_HZ`` in mono, kept while its blocks pass through :meth:`keeping`.

    It holds 5.3 MB per minute.

    Parameters
    ----------
    rate_hz, channels
        Of the signal.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        import soxr

        self._resampler = soxr.ResampleStream(rate_hz, RATE_HZ, channels, dtype="float32")
        self._channels = channels
        self._pieces: list[Samples] = []

    def keeping(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Pass on the blocks of a signal, shape ``(channels, n)`` each, and keep it."""
        for block in blocks:
            bounded = np.ascontiguousarray(np.clip(block.T, -LOUDEST, LOUDEST))
            self._pieces.append(self._resampler.resample_chunk(bounded))
            yield block
        end = np.zeros((0, self._channels), np.float32)
        self._pieces.append(self._resampler.resample_chunk(end, last=True))

    def mono(self) -> Mono:
        """Return the signal so far, shape ``(samples,)``, with its peak just below full scale."""
        frames = np.concatenate([piece.reshape(-1, self._channels) for piece in self._pieces])
        mid = frames.mean(axis=1)
        energy = np.einsum("nc,nc->", frames, frames, dtype=np.float64) / frames.shape[1]
        if np.einsum("n,n->", mid, mid, dtype=np.float64) < MIN_MID * energy:
            mid = np.ascontiguousarray(frames[:, 0])
        peak = float(np.abs(mid).max(initial=0.0))
        return mid * np.float32(PEAK / peak) if peak else mid


def store(outputs: Storage, path: str, low: LowRate) -> None:
    """Store what was kept of a stem beside it; `path` is the stem's."""
    mono = low.mono()
    # Resampled, the shortest stems would be too short to be read as audio.
    mono = np.pad(mono, (0, max(0, MIN_SAMPLES - len(mono))))
    audio.write_flac(outputs, _beside(path), mono[None], RATE_HZ)


def read(storage: Storage, path: str, file: Path) -> Mono:
    """Return a stored stem at ``RATE_HZ`` in mono, as a map of a temporary file that is made.

    Raises
    ------
    TrackError
        ``"artifact-missing"`` if it is gone, or damaged.
    """
    try:
        if storage.exists(_beside(path)):
            blocks = audio.stream(storage, _beside(path), rate_hz=RATE_HZ, channels=1)
        else:
            # Earlier versions stored none.
            blocks = iter([_decoded(storage, path)[None]])
        with open(file, "wb") as target:
            for block in blocks:
                target.write(np.ascontiguousarray(block, np.float32).tobytes())
    except TrackError as error:
        raise TrackError(
            "artifact-missing",
            f"{path} is gone from {storage.address}, or damaged: remove the folder of finished "
            "results (checkpoints in it, or --checkpoint_dir) and prepare the stems again.",
        ) from error
    mapped: Mono = np.memmap(file, np.float32, "r")
    return mapped


def _decoded(storage: Storage, path: str) -> Mono:
    info = audio.probe(storage, path)
    channels = 1 if info.channels == 1 else 2
    low = LowRate(info.sample_rate_hz, channels)
    blocks = audio.stream(
        storage, path, rate_hz=info.sample_rate_hz, channels=1 if channels == 1 else 2
    )
    for _ in low.keeping(blocks):
        pass
    return low.mono()


def _beside(path: str) -> str:
    return f"{path.removesuffix('.opus')}-low.flac"
