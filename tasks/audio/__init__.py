"""The only place that opens or writes audio."""

from tasks.audio.containers import (
    EXTENSIONS,
    SNIFF_BYTES,
    VIDEO_EXTENSIONS,
    container_of,
    sniff,
)
from tasks.audio.decoders import AudioInfo
from tasks.audio.files import (
    CACHE_BYTES,
    MIN_SECONDS,
    load,
    probe,
    resampled,
    stream,
    to_channels,
)
from tasks.audio.videos import Streams, video_streams
from tasks.audio.writers import mp3, write_flac, write_opus

__all__ = [
    "CACHE_BYTES",
    "EXTENSIONS",
    "MIN_SECONDS",
    "SNIFF_BYTES",
    "VIDEO_EXTENSIONS",
    "AudioInfo",
    "Streams",
    "container_of",
    "load",
    "mp3",
    "probe",
    "resampled",
    "sniff",
    "stream",
    "to_channels",
    "video_streams",
    "write_flac",
    "write_opus",
]
