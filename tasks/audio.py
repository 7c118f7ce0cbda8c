"""The only place that opens or writes audio.

Files are told apart by content, never by extension. libsndfile reads first: it
is the fastest decoder measured (50 ms of CPU per minute of MP3, PyAV 84) and
seeks sample-exactly. PyAV, with its own FFmpeg, reads what libsndfile does not:
AAC, M4A, MP4 and damaged headers. Each file is always decoded by the same one,
since MP3 decoders may differ by 20-40 ms of delay; :func:`probe` says by which.
"""

import ctypes
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

from blocks.storage import Storage, StorageError
from tasks.step import Samples, TrackError

Decoder = Literal["libsndfile", "ffmpeg"]

EXTENSIONS = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".mp4"})
"""Names that promise audio: such a file is reported when its content is not."""

SNIFF_BYTES = 64
"""As much of a file as :func:`sniff` needs."""

MIN_SECONDS = 0.05
"""Less audio than this is taken for a file that could not be decoded."""

CACHE_BYTES = 512 * 2**20
"""Decoded audio that a worker process keeps, so that steps of one batch share it."""

BLOCK_FRAMES = 2**18
"""Frames decoded at once. One Ogg block longer than about 95 s can crash libsndfile."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says, and who decodes it."""

    duration_seconds: float
    sample_rate_hz: int
    channels: int
    format: str
    decoder: Decoder


def sniff(head: bytes) -> str | None:
    """Name of the audio container that starts with `head`, or None.

    Parameters
    ----------
    head
        At least the first ``SNIFF_BYTES`` bytes of the file, or all of it.
    """
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "opus" if b"OpusHead" in head else "ogg"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) >= 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] >> 1 & 3
        if layer == 0 and head[1] & 0xF0 == 0xF0:
            return "aac"
        # Bitrate 15 and rate 3 are reserved: no MPEG frame carries them.
        if layer and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3:
            return "mp3"
    return None


def probe(storage: Storage, path: str) -> AudioInfo:
    """What the header of a file says.

    Raises
    ------
    TrackError
        ``"missing"``, ``"empty"``, ``"not-audio"`` or ``"undecodable"``.
    """
    with _opened(storage, path) as reader:
        return reader.info


def stream(
    storage: Storage, path: str, *, rate_hz: int, channels: Literal[1, 2]
) -> Iterator[Samples]:
    """Decode a file at a rate, as mono or stereo, block by block.

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
    with _opened(storage, path) as reader:
        blocks = (np.ascontiguousarray(to_channels(block, channels)) for block in reader.blocks())
        for block in _resampled(blocks, reader.info.sample_rate_hz, rate_hz, channels):
            count += len(block)
            yield np.nan_to_num(block.T, copy=False)
    if count < MIN_SECONDS * rate_hz:
        raise TrackError(
            "too-short", f"{printable(path)} holds only {count / rate_hz:.3f} s of audio."
        )


def load(storage: Storage, path: str, *, rate_hz: int, channels: Literal[1, 2]) -> Samples:
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
    key = (storage.address, path, _stamp(storage, path), rate_hz, channels)
    samples = _CACHE.get(key)
    if samples is None:
        samples = _joined(stream(storage, path, rate_hz=rate_hz, channels=channels), channels)
        samples.setflags(write=False)
        _CACHE.put(key, samples)
    return samples


def write_flac(
    storage: Storage, path: str, samples: Samples | Iterable[Samples], rate_hz: int
) -> None:
    """Store a signal as 16-bit FLAC, whole or not at all.

    Parameters
    ----------
    storage, path
        Where to.
    samples
        Shape ``(channels, samples)``, or such blocks one after the other; what exceeds
        [-1, 1] is clipped. Nothing is stored if the blocks end in an exception.
    rate_hz
        Sample rate.
    """
    import soundfile

    blocks = iter((samples,) if isinstance(samples, np.ndarray) else samples)
    first = next(blocks, None)
    if first is None:
        raise ValueError("a signal has at least one block")
    try:
        with (
            storage.writing(path) as target,
            soundfile.SoundFile(
                target, "w", rate_hz, len(first), subtype="PCM_16", format="FLAC"
            ) as file,
        ):
            for block in chain((first,), blocks):
                for start in range(0, block.shape[1], BLOCK_FRAMES):
                    file.write(np.clip(block[:, start : start + BLOCK_FRAMES].T, -1.0, 1.0))
    except soundfile.SoundFileError as error:
        # libsndfile does not pass on why the system refused a write.
        raise StorageError(
            f"{storage.address}/{path} could not be written; is there space left? What is "
            "finished stays."
        ) from error


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


class _ByteBoundedCache:
    """Most recently used arrays, no more than a number of bytes of them."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._used_bytes = 0
        self._arrays: OrderedDict[Any, Samples] = OrderedDict()

    def get(self, key: Any) -> Samples | None:
        if key in self._arrays:
            self._arrays.move_to_end(key)
        return self._arrays.get(key)

    def put(self, key: Any, array: Samples) -> None:
        if array.nbytes > self._capacity_bytes:
            return
        self._arrays[key] = array
        self._used_bytes += array.nbytes
        while self._used_bytes > self._capacity_bytes:
            _, dropped = self._arrays.popitem(last=False)
            self._used_bytes -= dropped.nbytes


_CACHE = _ByteBoundedCache(CACHE_BYTES)


def _stamp(storage: Storage, path: str) -> tuple[int, int] | None:
    """What tells a replaced file from the one that was decoded before."""
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
def _opened(storage: Storage, path: str) -> Iterator["_Reader"]:
    """Reader of a file by the first decoder that gets audio out of it."""
    try:
        with storage.reading(path) as local, open(local, "rb") as file:
            container = sniff(file.read(SNIFF_BYTES))
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                raise TrackError("empty", f"{printable(path)} is an empty file.")
            if container is None:
                raise TrackError("not-audio", f"{printable(path)} does not contain audio.")
            reasons = []
            for reader_class in _READERS.get(container, (_SndfileReader, _FfmpegReader)):
                file.seek(0)
                try:
                    reader = reader_class(file)
                except _DecodeError as error:
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


def printable(path: str) -> str:
    """Name of a file for people and for JSON: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _missing(path: str) -> TrackError:
    return TrackError("missing", f"{printable(path)} is not there any more.")


class _DecodeError(Exception):
    """A decoder that gets nothing out of a file."""


class _Reader(Protocol):
    """An open file: what it says it is, and its audio in blocks of (frames, channels)."""

    info: AudioInfo

    def __init__(self, file: BinaryIO) -> None: ...

    def blocks(self) -> Iterator[Samples]: ...

    def close(self) -> None: ...


class _MutedStderr:
    """While it is entered, C libraries print nothing to stderr (with glibc).

    libmpg123 reports every damaged MP3 there, and libsndfile has no switch for it (its
    issue 958). What is exchanged is the C library's variable, not descriptor 2: Python
    prints on in other threads, and processes that start meanwhile inherit the terminal.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0 and self._streams:
                stderr, _, null = self._streams
                stderr.value = null
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._streams:
                stderr, shown, _ = self._streams
                stderr.value = shown

    @cached_property
    def _streams(self) -> tuple[ctypes.c_void_p, int | None, int] | None:
        """The variable, its value, and a stream to nowhere; None where it is a constant."""
        if "CS_GNU_LIBC_VERSION" not in os.confstr_names:
            return None
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        null = libc.fopen(os.devnull.encode(), b"w")
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        return (stderr, stderr.value, null) if null else None


_MUTED_STDERR = _MutedStderr()


class _SndfileReader:
    def __init__(self, file: BinaryIO) -> None:
        import soundfile

        self._error = soundfile.SoundFileError
        try:
            # A descriptor, not a name: libsndfile then reads on its own, without
            # calling back into Python, and any file name works.
            with _MUTED_STDERR:
                self._file = soundfile.SoundFile(os.dup(file.fileno()), closefd=True)
        except soundfile.SoundFileError as error:
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            raise _DecodeError(f"libsndfile: {reason}") from error
        self.info = AudioInfo(
            duration_seconds=self._file.frames / self._file.samplerate,
            sample_rate_hz=self._file.samplerate,
            channels=self._file.channels,
            format=f"{self._file.format} {self._file.subtype}",
            decoder="libsndfile",
        )
        self._first = self._read()
        if len(self._first) == 0:
            self.close()
            raise _DecodeError("libsndfile: no audio")

    def blocks(self) -> Iterator[Samples]:
        block = self._first
        while len(block):
            yield block
            block = self._read()

    def close(self) -> None:
        self._file.close()

    def _read(self) -> Samples:
        try:
            with _MUTED_STDERR:
                return self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except self._error:
            # The damaged end of a file: what came before it counts.
            return np.empty((0, self.info.channels), np.float32)


class _FfmpegReader:
    def __init__(self, file: BinaryIO) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = av.open(file, "r")
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _DecodeError(f"ffmpeg: {reason}") from error
        if not self._container.streams.audio:
            self.close()
            raise _DecodeError("ffmpeg: no audio stream")
        self._stream = self._container.streams.audio[0]
        context = self._stream.codec_context
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            self.close()
            raise _DecodeError("ffmpeg: no audio")
        length, unit = self._stream.duration, self._stream.time_base
        self.info = AudioInfo(
            duration_seconds=float(length * unit) if length and unit else 0.0,
            sample_rate_hz=context.sample_rate,
            channels=self._first.shape[1],
            format=f"{self._container.format.name} {context.name}",
            decoder="ffmpeg",
        )

    def blocks(self) -> Iterator[Samples]:
        yield from chain((self._first,), self._decoded)

    def close(self) -> None:
        self._container.close()

    def _decode(self) -> Iterator[Samples]:
        """Audio in blocks of some BLOCK_FRAMES; damaged packets are passed over."""
        import av

        resampler = av.AudioResampler(format="flt")
        pending: list[Samples] = []
        frames = 0
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                continue
            for frame in decoded:
                for converted in resampler.resample(frame):
                    channels = converted.layout.nb_channels
                    samples = converted.to_ndarray().astype(np.float32, copy=False)
                    pending.append(samples.reshape(-1, channels))
                    frames += converted.samples
            if frames >= BLOCK_FRAMES:
                yield np.concatenate(pending)
                pending, frames = [], 0
        if pending:
            yield np.concatenate(pending)

    def _packets(self) -> Iterator[Any]:
        """Packets up to the end of the file or to where it is damaged beyond reading."""
        import av

        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            return


# Containers that libsndfile does not know at all go straight to FFmpeg.
_READERS: dict[str, tuple[type[_Reader], ...]] = {
    "mp4": (_FfmpegReader,),
    "aac": (_FfmpegReader,),
}
