"""Several streams of one file, decoded in one pass over it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from blocks.storage import Storage
from tasks.audio import files, opening
from tasks.audio.conversion import Conversion
from tasks.audio.decoders import Assembly, is_exact, open_container, stated_seconds
from tasks.audio.diagnosis import ABOVE_ANY_MIX
from tasks.audio.inspection import DAMAGED_PACKETS, UNREAD_BYTES, is_shorter
from tasks.audio.readers import Block, DecodeError, NoSuchStreamError
from tasks.audio.repair import AS_FOUND, Repair
from tasks.track import Samples


@dataclass
class Heard:
    """What was found of a stream while it was decoded.

    Attributes
    ----------
    rates_hz, channels
        Sample rates and numbers of channels of its parts, in order; mostly one.
    seconds
        Length of what was decoded.
    stated_seconds
        Length that the file states; 0 where it states none that counts.
    peak
        Largest sample, as decoded; infinite where one is no number.
    damaged_packets, unread_bytes, format
        As a reader has them.
    """

    rates_hz: list[int] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    seconds: float = 0.0
    stated_seconds: float = 0.0
    peak: float = 0.0
    damaged_packets: int = 0
    unread_bytes: int = 0
    format: str = ""

    def add(self, block: Block) -> None:
        """Note a block."""
        frames, channels = block.samples.shape
        if [block.rate_hz] != self.rates_hz[-1:]:
            self.rates_hz.append(block.rate_hz)
        if [channels] != self.channels[-1:]:
            self.channels.append(channels)
        self.seconds += frames / block.rate_hz
        peak = float(np.maximum(block.samples.max(initial=0), -block.samples.min(initial=0)))
        self.peak = max(self.peak, peak if np.isfinite(peak) else np.inf)

    @property
    def is_odd(self) -> bool:
        """Whether :func:`tasks.audio.inspect` may find something wrong with the file."""
        return (
            self.seconds < files.MIN_SECONDS
            or is_shorter(self.seconds, self.stated_seconds, self.rates_hz[0])
            or (self.damaged_packets >= DAMAGED_PACKETS and not self.format.startswith("mp3"))
            or (self.unread_bytes > UNREAD_BYTES and self.format.startswith("FLAC"))
            or len(self.rates_hz) > 1
            or len(self.channels) > 1
            or self.peak > ABOVE_ANY_MIX
        )


class StreamPass:
    """One pass over a file, which decodes the streams that are wanted.

    Parameters
    ----------
    storage, path
        Which file.
    audio_streams
        Which of its audio streams.
    rate_hz, channels
        What is wanted.
    repairs
        How each stream is read.

    Attributes
    ----------
    heard
        What was found of each stream, when the pass has ended.
    """

    def __init__(
        self,
        storage: Storage,
        path: str,
        audio_streams: Sequence[int],
        *,
        rate_hz: int,
        channels: Literal[1, 2],
        repairs: Sequence[Repair] = (),
    ) -> None:
        self._storage, self._path = storage, path
        self._streams = tuple(audio_streams)
        self._repairs = tuple(repairs) or (AS_FOUND,) * len(self._streams)
        self._conversions = [Conversion(rate_hz, channels, repair) for repair in self._repairs]
        self.heard = [Heard() for _ in self._streams]

    def __iter__(self) -> Iterator[tuple[int, Samples]]:
        """Yield audio in the order of the file, whatever stream it is of.

        Yields
        ------
        int, Samples
            Place of the stream in `audio_streams`; the next of it, shape ``(channels, n)``.

        Raises
        ------
        TrackError
            As :func:`tasks.audio.probe`.
        """
        for at, block in self._one() if len(self._streams) == 1 else self._several():
            self.heard[at].add(block)
            for samples in self._conversions[at].take(block):
                yield at, samples
        for at, conversion in enumerate(self._conversions):
            for samples in conversion.end():
                yield at, samples

    def _one(self) -> Iterator[tuple[int, Block]]:
        [stream], [repair], [heard] = self._streams, self._repairs, self.heard
        with opening.opened(self._storage, self._path, stream, repair.decoder) as reader:
            info = reader.info
            heard.format = info.format
            heard.stated_seconds = info.duration_seconds if info.states_duration else 0.0
            for block in reader.blocks():
                yield 0, block
            heard.damaged_packets = reader.damaged_packets
            heard.unread_bytes = reader.unread_bytes

    def _several(self) -> Iterator[tuple[int, Block]]:
        with opening.audio_file(self._storage, self._path) as (file, container):
            try:
                opened = open_container(file)
            except DecodeError as error:
                raise opening.undecodable(self._path, container, [str(error)]) from error
            with closing(opened):
                yield from self._demuxed(opened)

    def _demuxed(self, container: Any) -> Iterator[tuple[int, Block]]:
        there = container.streams.audio
        for stream in self._streams:
            if stream >= len(there):
                error = NoSuchStreamError(len(there))
                raise opening.no_such_stream(self._path, stream, error)
        chosen = [there[stream] for stream in self._streams]
        places = {stream.index: at for at, stream in enumerate(chosen)}
        assemblies = [Assembly() for _ in chosen]
        for heard, stream in zip(self.heard, chosen, strict=True):
            heard.format = container.format.name
            heard.stated_seconds = stated_seconds(container, stream) if is_exact(container) else 0.0
        for packet in _packets(container, chosen):
            at = places[packet.stream.index]
            for block in assemblies[at].take(_frames(packet, self.heard[at])):
                yield at, block
        for at, assembly in enumerate(assemblies):
            for block in assembly.end():
                yield at, block


def _packets(container: Any, streams: Sequence[Any]) -> Iterator[Any]:
    """Packets up to the end of the file or to where it is damaged beyond reading."""
    import av

    try:
        yield from container.demux(*streams)
    except av.FFmpegError:
        return


def _frames(packet: Any, heard: Heard) -> Sequence[Any]:
    """Frames of a packet; none of a damaged one, which is counted."""
    import av

    try:
        frames: Sequence[Any] = packet.decode()
    except av.FFmpegError:
        heard.damaged_packets += 1
        return ()
    return frames
