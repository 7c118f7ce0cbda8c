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

from tasks.audio.chains import chained_links
from tasks.track import Samples

Decoder = Literal["libsndfile", "ffmpeg"]

BLOCK_FRAMES = 2**18
"""Frames decoded at once. One Ogg block longer than about 95 s can crash libsndfile."""


MOST_SECONDS = 10.0**6
"""A header that states more, eleven days, states nothing: libsndfile gives 2^63 samples for
streams of unknown length."""

MP3_FRAME_BYTES = 1441
"""The largest frame of an MP3."""

RIFF_PLACEHOLDER = 0x7FFF_0000
"""Lengths from here on are written by who does not know the length yet."""

EXACT_CONTAINERS = frozenset({"mov", "matroska", "asf", "flac", "wav", "wv", "tta", "ape", "caf"})
"""Containers whose stated length counts; of streams without one, FFmpeg guesses by bit rate."""

NAMES_BY_COUNT = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Channels where a file does not name them: the order of the speaker positions of
WAVEFORMATEXTENSIBLE, in which they come without a mask as well."""

VORBIS_NAMES = {
    3: ("FL", "FC", "FR"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FC", "FR", "BL", "BR"),
    6: ("FL", "FC", "FR", "BL", "BR", "LFE"),
    7: ("FL", "FC", "FR", "SL", "SR", "BC", "LFE"),
    8: ("FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"),
}
"""The order of Vorbis (its specification, 4.3.9), and of Opus in Ogg (RFC 7845, 5.1.1.2)."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says, and who decodes it.

    Attributes
    ----------
    duration_seconds
        Length that the header states, or else a decoder's guess; 0 where there is none.
    sample_rate_hz, channels
        Of the first audio.
    format
        Container and codec.
    decoder
        Who decodes it.
    states_duration
        Whether the header states the length; of streams without one it is guessed by bit rate.
    """

    duration_seconds: float
    sample_rate_hz: int
    channels: int
    format: str
    decoder: Decoder
    states_duration: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded audio of one rate and one set of channels.

    Attributes
    ----------
    samples
        Shape ``(frames, channels)``.
    rate_hz
        Sample rate.
    layout
        Names of the channels: FL, FR, FC, LFE, BL, SR; those not known are empty.
    """

    samples: Samples
    rate_hz: int
    layout: tuple[str, ...]


class DecodeError(Exception):
    """A decoder that gets nothing out of a file."""


class NoSuchStreamError(DecodeError):
    """A container that holds fewer audio streams than asked for."""

    def __init__(self, audio_streams: int) -> None:
        super().__init__(f"{audio_streams} audio streams")
        self.audio_streams = audio_streams


class Reader(Protocol):
    """An open file: what it says it is, and its audio block by block.

    Attributes
    ----------
    damaged_packets
        Packets so far that could not be decoded, and were passed over.
    unread_bytes
        At its end, what of the file was not looked at.
    """

    info: AudioInfo
    damaged_packets: int
    unread_bytes: int

    def __init__(self, file: BinaryIO, audio_stream: int) -> None: ...

    def blocks(self) -> Iterator[Block]:
        """Audio in order, up to its end or to where it is damaged beyond reading.

        Rate and channels may change from block to block.
        """
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
    """libsndfile, through soundfile. It stops at the end of a chain's first link: the others
    are opened one after the other."""

    only_named = True
    """Refuse what has more than two channels, of which libsndfile does not say which they are."""

    def __init__(self, file: BinaryIO, audio_stream: int) -> None:
        self.damaged_packets = self.unread_bytes = 0
        if audio_stream:
            raise DecodeError("libsndfile: reads the first stream only")
        self._source = file
        # A descriptor, not a name: libsndfile then reads on its own, without
        # calling back into Python, and any file name works.
        self._file = _open_sndfile(os.dup(file.fileno()))
        self.info = AudioInfo(
            duration_seconds=_plausible(
                _riff_seconds(file) or self._file.frames / self._file.samplerate
            ),
            sample_rate_hz=self._file.samplerate,
            channels=self._file.channels,
            format=f"{self._file.format} {self._file.subtype}",
            decoder="libsndfile",
            states_duration=self._file.format != "MP3" or _mp3_states_length(file),
        )
        self._first = self._read()
        if len(self._first) == 0:
            self.close()
            raise DecodeError("libsndfile: no audio")
        if self.info.channels > 2 and self.only_named:
            self.close()
            raise DecodeError("libsndfile: does not name the channels")

    def blocks(self) -> Iterator[Block]:  # noqa: D102
        samples = self._first
        while len(samples):
            yield self._block(samples)
            samples = self._read()
        read_to = os.lseek(self._source.fileno(), 0, os.SEEK_CUR)
        self.unread_bytes = os.fstat(self._source.fileno()).st_size - read_to
        for link in chained_links(self._source, self._file.format, read_to):
            self.unread_bytes = 0
            self._file.close()
            try:
                self._file = _open_sndfile(link)
            except DecodeError:
                continue
            while len(samples := self._read()):
                yield self._block(samples)

    def close(self) -> None:  # noqa: D102
        self._file.close()

    def _block(self, samples: Samples) -> Block:
        count = samples.shape[1]
        names = VORBIS_NAMES if self._file.format == "OGG" and count > 2 else NAMES_BY_COUNT
        return Block(samples, self._file.samplerate, names.get(count, ("",) * count))

    def _read(self) -> Samples:
        import soundfile

        try:
            with MUTED_STDERR:
                return self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            # The damaged end of a file: what came before it counts.
            return np.empty((0, self._file.channels), np.float32)


class UnnamedSndfileReader(SndfileReader):
    """libsndfile, whose channels are taken to come in the usual order."""

    only_named = False


def _open_sndfile(file: Any) -> Any:
    import soundfile

    try:
        with MUTED_STDERR:
            return soundfile.SoundFile(file, closefd=True)
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise DecodeError(f"libsndfile: {reason}") from error


def _riff_seconds(file: BinaryIO) -> float | None:
    """Length that a WAV file states where more is stated than there is; libsndfile says less.

    Recorders and streams that could not go back to the header have placeholders there.
    """
    head = os.pread(file.fileno(), 2**16, 0)
    size = os.fstat(file.fileno()).st_size
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, bytes_per_second = 12, 0
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            bytes_per_second = int.from_bytes(head[at + 16 : at + 20], "little")
        if name == b"data":
            is_cut = size < at + 8 + length < RIFF_PLACEHOLDER
            return length / bytes_per_second if is_cut and bytes_per_second else None
        at += 8 + length + length % 2
    return None


def _mp3_states_length(file: BinaryIO) -> bool:
    """Whether the first frame of an MP3 is one of Xing, Info or VBRI, which counts the frames."""
    head = os.pread(file.fileno(), 10, 0)
    begin = 0
    if head[:3] == b"ID3":
        # Seven bits of each byte (ID3v2.4, 6.2).
        begin = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    frame = os.pread(file.fileno(), MP3_FRAME_BYTES, begin)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _plausible(seconds: float) -> float:
    return seconds if 0 < seconds < MOST_SECONDS else 0.0


class FfmpegReader(Reader):
    """FFmpeg, through PyAV, which carries its own."""

    def __init__(self, file: BinaryIO, audio_stream: int) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = av.open(file, "r")
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError(f"ffmpeg: {reason}") from error
        self.damaged_packets = self.unread_bytes = 0
        streams = self._container.streams.audio
        if audio_stream >= len(streams):
            self.close()
            raise NoSuchStreamError(len(streams)) if streams else DecodeError("ffmpeg: no audio")
        self._stream = streams[audio_stream]
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            self.close()
            raise DecodeError("ffmpeg: no audio")
        self.info = AudioInfo(
            duration_seconds=self._seconds(),
            sample_rate_hz=self._first.rate_hz,
            channels=self._first.samples.shape[1],
            format=f"{self._container.format.name} {self._stream.codec_context.name}",
            decoder="ffmpeg",
            states_duration=bool(
                EXACT_CONTAINERS & set(self._container.format.name.split(","))
            ),
        )

    def blocks(self) -> Iterator[Block]:  # noqa: D102
        yield from chain((self._first,), self._decoded)

    def close(self) -> None:  # noqa: D102
        self._container.close()

    def _seconds(self) -> float:
        import av

        length, unit = self._stream.duration, self._stream.time_base
        if length and unit:
            return _plausible(float(length * unit))
        return _plausible((self._container.duration or 0) / av.time_base)

    def _decode(self) -> Iterator[Block]:
        """Audio in blocks of some BLOCK_FRAMES; damaged packets are passed over."""
        import av

        pending: list[Samples] = []
        frames = 0
        # Rate and channels may change from frame to frame, in damaged files and in joined ones.
        kind: tuple[int, tuple[str, ...]] | None = None
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.damaged_packets += 1
                continue
            for frame in decoded:
                samples = _interleaved(frame)
                if kind != (frame.sample_rate, layout := _layout(frame)):
                    if kind and pending:
                        yield Block(np.concatenate(pending), *kind)
                    pending, frames, kind = [], 0, (frame.sample_rate, layout)
                pending.append(samples)
                frames += len(samples)
            if kind and frames >= BLOCK_FRAMES:
                yield Block(np.concatenate(pending), *kind)
                pending, frames = [], 0
        if kind and pending:
            yield Block(np.concatenate(pending), *kind)

    def _packets(self) -> Iterator[Any]:
        """Packets up to the end of the file or to where it is damaged beyond reading."""
        import av

        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            return


def _interleaved(frame: Any) -> Samples:
    """Samples of a frame of FFmpeg, shape ``(frames, channels)``, full scale being 1."""
    values = frame.to_ndarray()
    samples = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / np.float32(128)
    # Divided as float64 where float32 would round 2^31 up first.
    scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (samples * np.float32(1 / scale)).astype(np.float32, copy=False)


def _layout(frame: Any) -> tuple[str, ...]:
    """Names of a frame's channels; those that a file does not name are named by their number."""
    names = tuple(channel.name for channel in frame.layout.channels)
    count = len(names)
    if count <= 2 or not frame.layout.name or frame.layout.name == f"{count} channels":
        return NAMES_BY_COUNT.get(count, ("",) * count)
    return names


def packet_seconds(file: BinaryIO) -> float | None:
    """Length of all packets of a file's first audio stream, none of which is decoded.

    6 ms per minute of MP3, where decoding takes 50. None for what FFmpeg cannot open.
    """
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open(file, "r") as container:
            stream = container.streams.audio[0]
            length = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(length * stream.time_base)
    except (av.FFmpegError, ValueError, IndexError):
        return None


# What libsndfile does not know at all goes straight to FFmpeg; it names no channels, so that
# files of more than two are its own only where FFmpeg reads nothing.
READERS: dict[str, tuple[type[Reader], ...]] = {
    "mp4": (FfmpegReader,),
    "aac": (FfmpegReader,),
}
ANY_READERS: tuple[type[Reader], ...] = (SndfileReader, FfmpegReader, UnnamedSndfileReader)
READER_BY_DECODER: dict[Decoder, tuple[type[Reader], ...]] = {
    "libsndfile": (SndfileReader, UnnamedSndfileReader),
    "ffmpeg": (FfmpegReader,),
}
