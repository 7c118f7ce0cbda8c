"""The only place that opens or writes audio."""

from tasks.audio.containers import (
    EXTENSIONS,
    SNIFF_BYTES,
    VIDEO_EXTENSIONS,
    container_of,
    sniff,
)
from tasks.audio.conversion import resampled, resampled_mono
from tasks.audio.downmix import to_channels
from tasks.audio.files import (
    CACHE_BYTES,
    MIN_SECONDS,
    SHORT_SECONDS,
    blocks,
    load,
    probe,
    stream,
)
from tasks.audio.inspection import Inspection, inspect
from tasks.audio.readers import AudioInfo
from tasks.audio.repair import AS_FOUND, Repair
from tasks.audio.spool import Spooled, spooled
from tasks.audio.together import Heard, StreamPass
from tasks.audio.videos import Streams, video_streams
from tasks.audio.writers import (
    OPUS_RATE_HZ,
    SoundFormat,
    mp3,
    write_flac,
    write_opus,
    writing_sound,
)

__all__ = [
    "AS_FOUND",
    "CACHE_BYTES",
    "EXTENSIONS",
    "MIN_SECONDS",
    "OPUS_RATE_HZ",
    "SHORT_SECONDS",
    "SNIFF_BYTES",
    "VIDEO_EXTENSIONS",
    "AudioInfo",
    "Heard",
    "Inspection",
    "Repair",
    "SoundFormat",
    "Spooled",
    "StreamPass",
    "Streams",
    "blocks",
    "container_of",
    "inspect",
    "load",
    "mp3",
    "probe",
    "resampled",
    "resampled_mono",
    "sniff",
    "spooled",
    "stream",
    "to_channels",
    "video_streams",
    "write_flac",
    "write_opus",
    "writing_sound",
]
