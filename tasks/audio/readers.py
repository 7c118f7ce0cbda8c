"""What a decoder of audio files is, and what it yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Literal, Protocol

from tasks.track import Samples

Decoder = Literal["libsndfile", "ffmpeg"]


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

    decoder: ClassVar[Decoder]
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
