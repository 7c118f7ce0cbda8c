"""Decoders of audio files: libsndfile, and FFmpeg through PyAV. Only files.py uses them."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from threading import Lock
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

from tasks.track import Samples

Decoder = Literal["libsndfile", "ffmpeg"]

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


class DecodeError(Exception):
    """A decoder that gets nothing out of a file."""


class NoSuchStreamError(DecodeError):
    """A container that holds fewer audio streams than asked for."""

    def __init__(self, audio_streams: int) -> None:
        super().__init__(f"{audio_streams} audio streams")
        self.audio_streams = audio_streams


class Reader(Protocol):
    """An open file: what it says it is, and its audio in blocks of (frames, channels)."""

    info: AudioInfo

    def __init__(self, file: BinaryIO, audio_stream: int) -> None: ...

    def blocks(self) -> Iterator[Samples]:
        """Audio in order, up to its end or to where it is damaged beyond reading."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


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


MUTED_STDERR = _MutedStderr()


class SndfileReader(Reader):
    """libsndfile, through soundfile."""

    def __init__(self, file: BinaryIO, audio_stream: int) -> None:
        import soundfile

        if audio_stream:
            raise DecodeError("libsndfile: reads the first stream only")
        self._error = soundfile.SoundFileError
        try:
            # A descriptor, not a name: libsndfile then reads on its own, without
            # calling back into Python, and any file name works.
            with MUTED_STDERR:
                self._file = soundfile.SoundFile(os.dup(file.fileno()), closefd=True)
        except soundfile.SoundFileError as error:
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            raise DecodeError(f"libsndfile: {reason}") from error
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
            raise DecodeError("libsndfile: no audio")

    def blocks(self) -> Iterator[Samples]:  # noqa: D102
        block = self._first
        while len(block):
            yield block
            block = self._read()

    def close(self) -> None:  # noqa: D102
        self._file.close()

    def _read(self) -> Samples:
        try:
            with MUTED_STDERR:
                return self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except self._error:
            # The damaged end of a file: what came before it counts.
            return np.empty((0, self.info.channels), np.float32)


class FfmpegReader(Reader):
    """FFmpeg, through PyAV, which carries its own."""

    forced_format: str | None = None
    """Name of the demuxer; None to let FFmpeg find out."""

    def __init__(self, file: BinaryIO, audio_stream: int) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = av.open(file, "r", format=self.forced_format)
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError(f"ffmpeg: {reason}") from error
        streams = self._container.streams.audio
        if audio_stream >= len(streams):
            self.close()
            raise NoSuchStreamError(len(streams)) if streams else DecodeError("ffmpeg: no audio")
        self._stream = streams[audio_stream]
        context = self._stream.codec_context
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            self.close()
            raise DecodeError("ffmpeg: no audio")
        length, unit = self._stream.duration, self._stream.time_base
        self.info = AudioInfo(
            duration_seconds=float(length * unit) if length and unit else 0.0,
            sample_rate_hz=context.sample_rate,
            channels=self._first.shape[1],
            format=f"{self._container.format.name} {context.name}",
            decoder="ffmpeg",
        )

    def blocks(self) -> Iterator[Samples]:  # noqa: D102
        yield from chain((self._first,), self._decoded)

    def close(self) -> None:  # noqa: D102
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


class FfmpegMpegReader(FfmpegReader):
    """FFmpeg, told that a file is MPEG audio, for one that starts within a frame."""

    forced_format = "mp3"


# Containers that libsndfile does not know at all go straight to FFmpeg.
# fmt: off
_FFMPEG_ALONE = (
    "aac", "ac3", "amr", "ape", "asf", "avi", "dff", "dsf", "dts", "flv", "matroska", "mp4",
    "mpeg", "mpegts", "musepack", "realaudio", "shorten", "tak", "tta", "wavpack",
)
# fmt: on
READERS: dict[str, tuple[type[Reader], ...]] = {
    **dict.fromkeys(_FFMPEG_ALONE, (FfmpegReader,)),
    "mp3": (SndfileReader, FfmpegReader, FfmpegMpegReader),
}
