"""Reading of audio: headers, whole signals, and signals block by block.

Files are told apart by content, never by extension. libsndfile reads first: it
is the fastest decoder measured (50 ms of CPU per minute of MP3, PyAV 84) and
seeks sample-exactly. PyAV, with its own FFmpeg, reads what libsndfile does not:
AAC, M4A, MP4 and damaged headers. Each file is always decoded by the same one,
since MP3 decoders may differ by 20-40 ms of delay; :func:`probe` says by which.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cachetools import LRUCache

from blocks.storage import Storage
from tasks.audio.containers import container_of
from tasks.audio.decoders import (
    READERS,
    AudioInfo,
    DecodeError,
    FfmpegReader,
    NoSuchStreamError,
    Reader,
    SndfileReader,
)
from tasks.text import printable
from tasks.track import Samples, TrackError

MIN_SECONDS = 0.05
"""Less audio than this is taken for a file that could not be decoded."""

CACHE_BYTES = 192 * 2**20
"""Decoded audio that a worker process keeps, so that steps of one batch share it: that of 32
clips of 30 s. A batch of whole songs would need gigabytes, and is decoded once per step."""


def probe(storage: Storage, path: str, *, audio_stream: int = 0) -> AudioInfo:
    """Read what the header of a file says.

    Parameters
    ----------
    storage, path
        Which file.
    audio_stream
        Which of its audio streams, where a container holds several.

    Raises
    ------
    TrackError
        ``"missing"``, ``"empty"``, ``"not-audio"``, ``"undecodable"`` or ``"missing-stream"``.
    """
    with _opened(storage, path, audio_stream) as reader:
        return reader.info


def stream(
    storage: Storage,
    path: str,
    *,
    rate_hz: int,
    channels: Literal[1, 2],
    audio_stream: int = 0,
) -> Iterator[Samples]:
    """Decode a file at a rate, as mono or stereo, block by block.

    Of several audio streams, those that were not asked for are not decoded.

    Yields
    ------
    Samples
        Shape ``(channels, n)``, nominally within [-1, 1]; some seconds, n varies.

    Raises
    ------
    TrackError
        As :func:`probe`, and at the end ``"too-short"`` if there was less than
        ``MIN_SECONDS`` of audio.
    """
    count = 0
    with _opened(storage, path, audio_stream) as reader:
        blocks = (np.ascontiguousarray(to_channels(block, channels)) for block in reader.blocks())
        for block in _resampled(blocks, reader.info.sample_rate_hz, rate_hz, channels):
            count += len(block)
            yield np.nan_to_num(block.T, copy=False)
    if count < MIN_SECONDS * rate_hz:
        raise TrackError(
            "too-short", f"{printable(path)} holds only {count / rate_hz:.3f} s of audio."
        )


def load(
    storage: Storage,
    path: str,
    *,
    rate_hz: int,
    channels: Literal[1, 2],
    audio_stream: int = 0,
) -> Samples:
    """Decode a whole file at a rate, as mono or stereo.

    The result is kept in a cache bounded by ``CACHE_BYTES`` and shared by the
    steps of a batch; it is read-only.

    Returns
    -------
    Samples
        Shape ``(channels, samples)``, nominally within [-1, 1].

    Raises
    ------
    TrackError
        As :func:`stream`.
    """
    key = (storage.address, path, _stamp(storage, path), rate_hz, channels, audio_stream)
    samples = _CACHE.get(key)
    if samples is None:
        blocks = stream(
            storage, path, rate_hz=rate_hz, channels=channels, audio_stream=audio_stream
        )
        samples = _joined(blocks, channels)
        samples.setflags(write=False)
        if samples.nbytes <= _CACHE.maxsize:
            _CACHE[key] = samples
    return samples


def resampled(
    blocks: Iterable[Samples], source_rate_hz: int, rate_hz: int, channels: int
) -> Iterator[Samples]:
    """Blocks of a signal, shape ``(channels, n)`` each, at another rate."""
    frames = (np.ascontiguousarray(block.T) for block in blocks)
    for block in _resampled(frames, source_rate_hz, rate_hz, channels):
        yield block.T


def to_channels(block: Samples, channels: Literal[1, 2]) -> Samples:
    """Downmix interleaved audio, shape ``(frames, n)``, to ``(frames, channels)``.

    Mono and stereo fold by averaging and doubling; six channels in the order
    L R C LFE Ls Rs by ITU-R BS.775 (centre and surrounds at -3 dB, no LFE),
    scaled so that a full-scale signal in all of them does not clip; any other
    count is averaged.
    """
    count = block.shape[1]
    if count == channels:
        return block
    if count == 6:
        side = np.sqrt(0.5)
        matrix = np.zeros((6, 2), np.float32)
        matrix[[0, 2, 4], 0] = 1, side, side
        matrix[[1, 2, 5], 1] = 1, side, side
        matrix /= 1 + 2 * side
    elif count == 2:
        matrix = np.eye(2, dtype=np.float32)
    else:
        matrix = np.full((count, 2), 1 / count, np.float32)
    if channels == 1:
        matrix = matrix.mean(axis=1, keepdims=True)
    # A product with a small matrix: 1.3 ms per minute where mean(axis=1) takes 31.
    return block @ matrix


_CACHE: LRUCache[Any, Samples] = LRUCache(CACHE_BYTES, getsizeof=attrgetter("nbytes"))


def _stamp(storage: Storage, path: str) -> tuple[int, int] | None:
    """Return what tells a replaced file from the one that was decoded before."""
    if not storage.is_local:
        return None
    try:
        status = os.stat(Path(storage.address, path))
    except OSError as error:
        raise _missing(path) from error
    return status.st_mtime_ns, status.st_size


def _resampled(
    blocks: Iterable[Samples], source_rate_hz: int, rate_hz: int, channels: int
) -> Iterator[Samples]:
    """Blocks of shape ``(frames, channels)`` at another rate."""
    import soxr

    if source_rate_hz == rate_hz:
        yield from blocks
        return
    resampler = soxr.ResampleStream(source_rate_hz, rate_hz, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def _joined(blocks: Iterable[Samples], channels: int) -> Samples:
    """Blocks one after the other, in the memory of the result and one block.

    The result grows in place: the system moves the pages of a large array without
    copying them. np.concatenate would hold all blocks beside it.
    """
    frames = np.empty((0, channels), np.float32)
    for block in blocks:
        begin = len(frames)
        frames.resize((begin + block.shape[1], channels), refcheck=False)
        frames[begin:] = block.T
    return frames.T


@contextmanager
def _opened(storage: Storage, path: str, audio_stream: int) -> Iterator[Reader]:
    """Reader of a file by the first decoder that gets audio out of it."""
    try:
        with storage.reading(path) as local, open(local, "rb") as file:
            container = container_of(file, path)
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                raise TrackError("empty", f"{printable(path)} is an empty file.")
            if container is None:
                raise TrackError("not-audio", f"{printable(path)} does not contain audio.")
            reasons = []
            for reader_class in READERS.get(container, (SndfileReader, FfmpegReader)):
                file.seek(0)
                try:
                    reader = reader_class(file, audio_stream)
                except NoSuchStreamError as error:
                    raise TrackError(
                        "missing-stream",
                        f"{printable(path)} has no audio stream {audio_stream} counted from 0: "
                        f"it has {error.audio_streams}.",
                    ) from error
                except DecodeError as error:
                    reasons.append(str(error))
                    continue
                try:
                    yield reader
                finally:
                    reader.close()
                return
            raise TrackError(
                "undecodable",
                f"{printable(path)} looks like {container} but cannot be decoded "
                f"({'; '.join(reasons)}).",
            )
    except FileNotFoundError as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise TrackError("unreadable", f"{printable(path)} may not be read.") from error


def _missing(path: str) -> TrackError:
    return TrackError("missing", f"{printable(path)} is not there any more.")
