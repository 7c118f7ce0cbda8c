"""Which files of a folder or bucket are audio: by content where looking is free, else by name."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from blocks.storage import Storage
from tasks import audio
from tasks.dataset.digests import READ_THREADS


class Look(NamedTuple):
    """What a file is found to be before it is read.

    Attributes
    ----------
    candidate
        Whether it holds audio, or is named as if it did.
    video
        Whether it holds moving pictures too.
    """

    candidate: bool
    video: bool


def looks_of(source: Storage, paths: Sequence[str]) -> dict[str, Look]:
    """Tell files named like audio, and files that hold audio under another name, from others."""
    looks = {path: _look_at_name(path) for path in paths}
    if source.is_local:
        # In a bucket every look into a file is a request that is billed. Most of a folder's
        # files are songs by their names: opening them all would read them twice.
        unsure = [path for path, look in looks.items() if look.video or not look.candidate]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            looks |= zip(unsure, pool.map(partial(_look_into, source), unsure), strict=True)
    return looks


def _look_at_name(path: str) -> Look:
    suffix = PurePosixPath(path).suffix.lower()
    video = suffix in audio.VIDEO_EXTENSIONS
    return Look(video or suffix in audio.EXTENSIONS, video)


def _look_into(source: Storage, path: str) -> Look:
    by_name = _look_at_name(path)
    local = Path(source.address, path)
    try:
        with open(local, "rb") as file:
            container = audio.container_of(file, path)
    except OSError:
        container = None
    if streams := audio.video_streams(local, container):
        return Look(streams.sound, streams.sound and streams.pictures)
    # What is named like a song but cannot be opened becomes a failure.
    return Look(container is not None or by_name.candidate, False)
