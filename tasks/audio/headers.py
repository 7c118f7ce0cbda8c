"""What headers say of the length that decoders do not tell."""

import os
from typing import BinaryIO

from tasks.audio.stderr import MUTED_STDERR

RIFF_PLACEHOLDER = 0x7FFF_0000
"""Lengths from here on are written by who does not know the length yet."""

MP3_FRAME_BYTES = 1441
"""The largest frame of an MP3."""


def riff_seconds(file: BinaryIO) -> float | None:
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


def mp3_states_length(file: BinaryIO) -> bool:
    """Whether the first frame of an MP3 is one of Xing, Info or VBRI, which counts the frames."""
    head = os.pread(file.fileno(), 10, 0)
    begin = 0
    if head[:3] == b"ID3":
        # Seven bits of each byte (ID3v2.4, 6.2).
        begin = 10 + sum(
            byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
    frame = os.pread(file.fileno(), MP3_FRAME_BYTES, begin)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def mp3_seconds(file: BinaryIO) -> float | None:
    """Length of an MP3 whose first frame counts the frames; None for any other file.

    Without the encoder's delay and padding, as decoders leave them out. FFmpeg reads this
    one frame; libsndfile goes through all of them when it opens an MP3.
    """
    import av

    if os.pread(file.fileno(), 3, 0) != b"ID3" and not _is_mp3_frame(os.pread(file.fileno(), 2, 0)):
        return None
    if not mp3_states_length(file):
        return None
    try:
        with MUTED_STDERR, av.open(file, format="mp3") as container:
            stream = container.streams.audio[0]
            if stream.duration is None or stream.time_base is None:
                return None
            return float(stream.duration * stream.time_base)
    except (av.error.FFmpegError, IndexError):
        return None


def _is_mp3_frame(head: bytes) -> bool:
    # Sync word, and layer III (ISO 11172-3, 2.4.1.3).
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
