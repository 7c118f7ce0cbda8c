"""What a file that may be a video holds: sound, pictures, or both."""

from pathlib import Path
from typing import NamedTuple

from tasks.audio.containers import EXTENSIONS, VIDEO_CONTAINERS, VIDEO_EXTENSIONS


class Streams(NamedTuple):
    """Which kinds of streams a container holds."""

    sound: bool
    pictures: bool
    """Moving ones; a cover is none."""


def video_streams(path: Path, container: str | None) -> Streams | None:
    """Kinds of streams of what may be a video.

    Parameters
    ----------
    path
        Of a local file.
    container
        What its first bytes say that it is.

    Returns
    -------
    Streams or None
        None for what by its container or by its name is no video, and for what FFmpeg cannot
        open. A look takes 1 to 5 ms.
    """
    suffix = path.suffix.lower()
    if container not in VIDEO_CONTAINERS or suffix in EXTENSIONS - VIDEO_EXTENSIONS:
        return None
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        with open(path, "rb") as file, av.open(file, "r") as opened:
            cover = av.stream.Disposition.attached_pic
            pictures = [each for each in opened.streams.video if not each.disposition & cover]
            return Streams(bool(opened.streams.audio), bool(pictures))
    except (av.FFmpegError, ValueError, OSError):
        return None
