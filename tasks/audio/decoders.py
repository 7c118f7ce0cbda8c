"""Decoders of audio files: libsndfile, and FFmpeg through PyAV. Only files.py uses them."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from tasks.audio.chains import chained_links
from tasks.audio.headers import mp3_states_length, riff_seconds
from tasks.audio.readers import (
    NAMES_BY_COUNT,
    VORBIS_NAMES,
    AudioInfo,
    Block,
    DecodeError,
    NoSuchStreamError,
    Reader,
)
from tasks.audio.stderr import MUTED_STDERR
from tasks.track import Samples

BLOCK_FRAMES = 2**18
"""Frames decoded at once. One Ogg block longer than about 95 s can crash libsndfile."""

MOST_SECONDS = 10.0**6
"""A header that states more, eleven days, states nothing: libsndfile gives 2^63 samples for
streams of unknown length."""

PLANES_OF_PYAV = 8
"""With so many planes PyAV 18 takes what lies behind them for one more."""

EXACT_CONTAINERS = frozenset({"mov", "matroska", "asf", "flac", "wav", "wv", "tta", "ape", "caf"})
"""Containers whose stated length counts; of streams without one, FFmpeg guesses by bit rate."""


class SndfileReader(Reader):
    """libsndfile, through soundfile.

    It stops at the end of a chain's first link: the others are opened one after the other.
    """

    decoder = "libsndfile"
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
                riff_seconds(file) or self._file.frames / self._file.samplerate
            ),
            sample_rate_hz=self._file.samplerate,
            channels=self._file.channels,
            format=f"{self._file.format} {self._file.subtype}",
            decoder=self.decoder,
            states_duration=self._file.format != "MP3" or mp3_states_length(file),
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


def _plausible(seconds: float) -> float:
    return seconds if 0 < seconds < MOST_SECONDS else 0.0


class FfmpegReader(Reader):
    """FFmpeg, through PyAV, which carries its own."""

    decoder = "ffmpeg"
    forced_format: str | None = None
    """Name of the demuxer; None to let FFmpeg find out."""

    def __init__(self, file: BinaryIO, audio_stream: int) -> None:
        self._container = open_container(file, self.forced_format)
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
            duration_seconds=stated_seconds(self._container, self._stream),
            sample_rate_hz=self._first.rate_hz,
            channels=self._first.samples.shape[1],
            format=f"{self._container.format.name} {self._stream.codec_context.name}",
            decoder=self.decoder,
            states_duration=is_exact(self._container),
        )

    def blocks(self) -> Iterator[Block]:  # noqa: D102
        yield from chain((self._first,), self._decoded)

    def close(self) -> None:  # noqa: D102
        self._container.close()

    def _decode(self) -> Iterator[Block]:
        """Audio in blocks of some BLOCK_FRAMES; damaged packets are passed over."""
        import av

        assembly = Assembly()
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.damaged_packets += 1
                continue
            yield from assembly.take(decoded)
        yield from assembly.end()

    def _packets(self) -> Iterator[Any]:
        """Packets up to the end of the file or to where it is damaged beyond reading."""
        import av

        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            return


def open_container(file: BinaryIO, forced_format: str | None = None) -> Any:
    """Open a file with FFmpeg.

    Raises
    ------
    DecodeError
        If it is nothing that FFmpeg knows.
    """
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        return av.open(AnyPlace(file), "r", format=forced_format)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DecodeError(f"ffmpeg: {reason}") from error


def is_exact(container: Any) -> bool:
    """Return whether the length that a container states counts."""
    return bool(EXACT_CONTAINERS & set(container.format.name.split(",")))


def stated_seconds(container: Any, stream: Any) -> float:
    """Length that a container states of a stream; 0 where there is none."""
    import av

    length, unit = stream.duration, stream.time_base
    if length and unit:
        return _plausible(float(length * unit))
    return _plausible((container.duration or 0) / av.time_base)


class Assembly:
    """Frames of one stream, put together to blocks of some BLOCK_FRAMES."""

    def __init__(self) -> None:
        self._pending: list[Samples] = []
        self._frames = 0
        # Rate and channels may change from frame to frame, in damaged files and in joined ones.
        self._kind: tuple[int, tuple[str, ...]] | None = None

    def take(self, decoded: Iterable[Any]) -> Iterator[Block]:
        """Yield the blocks that frames of FFmpeg, as a packet has them, make whole."""
        for frame in decoded:
            samples = _interleaved(frame)
            if self._kind != (kind := (frame.sample_rate, _layout(frame))):
                yield from self.end()
                self._kind = kind
            self._pending.append(samples)
            self._frames += len(samples)
        if self._frames >= BLOCK_FRAMES:
            yield from self.end()

    def end(self) -> Iterator[Block]:
        """Yield what is left."""
        if self._kind and self._pending:
            block = Block(np.concatenate(self._pending), *self._kind)
            self._pending, self._frames = [], 0
            yield block


class AnyPlace:
    """A file that can be asked for any place: damaged ones point to places that no file has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell, self.name = file.read, file.tell, file.name

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or to the end if there is no such place."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, OverflowError, ValueError):
            return self._file.seek(0, os.SEEK_END)


def _interleaved(frame: Any) -> Samples:
    """Return a frame of FFmpeg, shape ``(frames, channels)``, full scale being 1."""
    if frame.format.is_planar and frame.layout.nb_channels >= PLANES_OF_PYAV:
        import av

        (frame,) = av.AudioResampler(frame.format.packed.name).resample(frame)
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
        with av.open(AnyPlace(file), "r") as container:
            stream = container.streams.audio[0]
            length = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(length * stream.time_base) if stream.time_base else None
    except (av.FFmpegError, ValueError, IndexError):
        return None


class FfmpegMpegReader(FfmpegReader):
    """FFmpeg, told that a file is MPEG audio, for one that starts within a frame."""

    forced_format = "mp3"


# What libsndfile does not know at all goes straight to FFmpeg; it names no channels, so that
# files of more than two are its own only where FFmpeg reads nothing.
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
ANY_READERS: tuple[type[Reader], ...] = (SndfileReader, FfmpegReader, UnnamedSndfileReader)
