"""Reading of audio: headers, whole signals, and signals block by block.

Files are told apart by content, never by extension. libsndfile reads first, PyAV with its own
FFmpeg what libsndfile does not: AAC, M4A, MP4, WebM, WMA, damaged headers, and whatever has more
than two channels, of which only FFmpeg says which they are. A file is always decoded by the same
one, since MP3 decoders may differ by 20-40 ms of delay: by the first that reads anything, or by
the one that a :class:`~tasks.audio.repair.Repair` names, which was found to read all of it.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from blocks.storage import Storage, StorageError
from tasks.audio import decoders
from tasks.audio.containers import container_of
from tasks.audio.conversion import converted
from tasks.audio.decoders import ANY_READERS, READERS
from tasks.audio.readers import (
    AudioInfo,
    Block,
    DecodeError,
    Decoder,
    NoSuchStreamError,
    Reader,
)
from tasks.audio.repair import AS_FOUND, Repair
from tasks.audio.shared_cache import SharedCache
from tasks.text import printable
from tasks.track import Samples, TrackError

MIN_SECONDS = 0.05
"""Less audio than this is taken for a file that could not be decoded."""

CACHE_BYTES = 192 * 2**20
"""Decoded audio that a worker process keeps, so that steps of one batch share it: that of 32
clips of 30 s. A batch of whole songs would need gigabytes, and is decoded once per step. What an
inspection decodes is kept as well, where it takes less than half of it."""

SHORT_SECONDS = 600.0
"""What is longer is decoded block by block: 10 minutes take 38 MB at 16 kHz."""


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
    with opened(storage, path, audio_stream) as reader:
        return reader.info


@contextmanager
def decoded(
    storage: Storage, path: str, audio_stream: int = 0, decoder: Decoder | None = None
) -> Iterator[tuple[Reader, Iterator[Block]]]:
    """Open a file, and decode it as it is: at its own rate, all channels, nothing put right.

    If the blocks are taken to the end and are small, :func:`stream` and :func:`load` find them
    again when they are told by their `repair` to use the decoder that it was.

    Raises
    ------
    TrackError
        As :func:`probe`.
    """
    with opened(storage, path, audio_stream, decoder) as reader:
        key = _decoded_key(storage, path, audio_stream, reader.info.decoder)
        kept = _CACHE.get(key)
        yield reader, iter(kept.blocks) if kept else _keeping(reader.blocks(), key)


def packet_seconds(storage: Storage, path: str) -> float | None:
    """Length of a file's packets, none of which is decoded; None for what FFmpeg cannot open."""
    with storage.reading(path, keep=True) as local, open(local, "rb") as file:
        return decoders.packet_seconds(file)


def stream(
    storage: Storage,
    path: str,
    *,
    rate_hz: int,
    channels: Literal[1, 2],
    audio_stream: int = 0,
    repair: Repair = AS_FOUND,
) -> Iterator[Samples]:
    """Decode a file at a rate, as mono or stereo, block by block.

    Of several audio streams, those that were not asked for are not decoded. Where the rate or
    the channels of a file change midway, each part is resampled and downmixed for itself.
    Samples that are no finite number are zero.

    Parameters
    ----------
    storage, path
        Which file.
    rate_hz, channels
        What is wanted.
    audio_stream
        Which of its audio streams, where a container holds several.
    repair
        How the file is read, as an inspection found out.

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
    blocks = _blocks(storage, path, audio_stream, repair.decoder)
    for samples in converted(blocks, rate_hz=rate_hz, channels=channels, repair=repair):
        count += samples.shape[1]
        # What is kept is not given away to be written to.
        yield samples if samples.flags.writeable else samples.copy("A")
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
    repair: Repair = AS_FOUND,
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
    with _held(storage, path):
        key = _loaded_key(storage, path, audio_stream, rate_hz, channels, repair)
        with _CACHE.making(key):
            samples: Samples | None = _CACHE.get(key)
            if samples is None:
                decoded = stream(
                    storage,
                    path,
                    rate_hz=rate_hz,
                    channels=channels,
                    audio_stream=audio_stream,
                    repair=repair,
                )
                samples = _kept(key, decoded, channels)
    return samples


def blocks(
    storage: Storage,
    path: str,
    *,
    rate_hz: int,
    channels: Literal[1, 2],
    repair: Repair = AS_FOUND,
) -> Iterator[Samples]:
    """Decode a file at a rate, whatever its length, and a short one only once.

    At most ``SHORT_SECONDS`` are one block, which is kept as by :func:`load` for the other steps
    of a batch; of what is longer, nothing is kept.

    Yields
    ------
    Samples
        Shape ``(channels, n)``, read-only where it is kept.

    Raises
    ------
    TrackError
        As :func:`stream`.
    """
    with _held(storage, path):
        key = _loaded_key(storage, path, 0, rate_hz, channels, repair)
        held: deque[Samples] = deque()
        # Of threads that want a short one, one decodes it.
        with _CACHE.making(key):
            samples: Samples | None = _CACHE.get(key)
            decoded = stream(storage, path, rate_hz=rate_hz, channels=channels, repair=repair)
            if samples is None and not _is_long(decoded, SHORT_SECONDS * rate_hz, held):
                samples = _kept(key, held, channels)
        if samples is not None:
            yield samples
            return
        while held:
            yield held.popleft()
        yield from decoded


def _is_long(blocks: Iterator[Samples], most: float, held: deque[Samples]) -> bool:
    """Take blocks until they are more than `most` samples, or all."""
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        if count > most:
            return True
    return False


class _Decoded(NamedTuple):
    """What a file holds, as it was decoded."""

    blocks: tuple[Block, ...]
    nbytes: int


_CACHE = SharedCache(CACHE_BYTES, getsizeof=attrgetter("nbytes"))
"""Signals that were loaded, and what inspections have decoded."""


def _loaded_key(
    storage: Storage, path: str, audio_stream: int, rate_hz: int, channels: int, repair: Repair
) -> tuple[Any, ...]:
    return storage.address, path, _stamp(storage, path), audio_stream, rate_hz, channels, repair


def _kept(key: tuple[Any, ...], blocks: Iterable[Samples], channels: int) -> Samples:
    """Join the blocks of a signal, and keep it if it is not too long for that."""
    samples = _joined(blocks, channels)
    samples.setflags(write=False)
    if samples.nbytes <= _CACHE.maxsize:
        _CACHE[key] = samples
    return samples


def _decoded_key(
    storage: Storage, path: str, audio_stream: int, decoder: Decoder | None
) -> tuple[Any, ...]:
    return storage.address, path, _stamp(storage, path), audio_stream, decoder


def _keeping(blocks: Iterator[Block], key: tuple[Any, ...]) -> Iterator[Block]:
    """Pass on the blocks of a file, and keep them if they are few and were all taken."""
    kept: list[Block] = []
    nbytes = 0
    for block in blocks:
        nbytes += block.samples.nbytes
        if nbytes <= _CACHE.maxsize / 2:
            block.samples.setflags(write=False)
            kept.append(block)
        else:
            kept.clear()
        yield block
    if nbytes <= _CACHE.maxsize / 2:
        _CACHE[key] = _Decoded(tuple(kept), nbytes)


def _blocks(
    storage: Storage, path: str, audio_stream: int, decoder: Decoder | None
) -> Iterator[Block]:
    """Yield what a file holds, from memory where it was kept."""
    with _held(storage, path):
        kept = _CACHE.get(_decoded_key(storage, path, audio_stream, decoder)) if decoder else None
        if kept is not None:
            yield from kept.blocks
            return
        with opened(storage, path, audio_stream, decoder) as reader:
            yield from reader.blocks()


@contextmanager
def _held(storage: Storage, path: str) -> Iterator[None]:
    """Read one and the same version of a file within the block; of an object, fetched once."""
    try:
        with storage.reading(path, keep=True):
            yield
    except FileNotFoundError as error:
        raise _missing(path) from error


def _stamp(storage: Storage, path: str) -> tuple[int, int]:
    """Return what tells a replaced file from the one that was decoded before."""
    try:
        with storage.reading(path, keep=True) as local:
            status = os.stat(local)
    except StorageError:
        raise
    except OSError as error:
        raise _missing(path) from error
    return status.st_mtime_ns, status.st_size


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
def audio_file(storage: Storage, path: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file that holds audio, and tell its container.

    Raises
    ------
    TrackError
        ``"missing"``, ``"unreadable"``, ``"empty"`` or ``"not-audio"``.
    """
    try:
        with storage.reading(path, keep=True) as local, open(local, "rb") as file:
            container = container_of(file, path)
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                raise TrackError("empty", f"{printable(path)} is an empty file.")
            if container is None:
                raise TrackError("not-audio", f"{printable(path)} does not contain audio.")
            file.seek(0)
            yield file, container
    except FileNotFoundError as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise TrackError("unreadable", f"{printable(path)} may not be read.") from error


@contextmanager
def opened(
    storage: Storage, path: str, audio_stream: int, decoder: Decoder | None = None
) -> Iterator[Reader]:
    """Reader of a file by a decoder, or else by the first that gets audio out of it.

    Raises
    ------
    TrackError
        As :func:`probe`.
    """
    with audio_file(storage, path) as (file, container):
        reasons = []
        for reader_class in READERS.get(container, ANY_READERS):
            if decoder not in (None, reader_class.decoder):
                continue
            file.seek(0)
            try:
                reader = reader_class(file, audio_stream)
            except NoSuchStreamError as error:
                raise no_such_stream(path, audio_stream, error) from error
            except DecodeError as error:
                reasons.append(str(error))
                continue
            try:
                yield reader
            finally:
                reader.close()
            return
        raise undecodable(path, container, reasons)


def no_such_stream(path: str, audio_stream: int, error: NoSuchStreamError) -> TrackError:
    """Return the error of a file that has fewer audio streams than asked for."""
    return TrackError(
        "missing-stream",
        f"{printable(path)} has no audio stream {audio_stream} counted from 0: "
        f"it has {error.audio_streams}.",
    )


def undecodable(path: str, container: str, reasons: Iterable[str]) -> TrackError:
    """Return the error of a file that no decoder gets anything out of."""
    return TrackError(
        "undecodable",
        f"{printable(path)} looks like {container} but cannot be decoded "
        f"({'; '.join(dict.fromkeys(reasons))}).",
    )


def _missing(path: str) -> TrackError:
    return TrackError("missing", f"{printable(path)} is not there any more.")
