"""Files that hold audio, opened by the first decoder that gets anything out of them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from blocks.storage import Storage
from tasks.audio.containers import container_of
from tasks.audio.decoders import ANY_READERS, READERS
from tasks.audio.readers import DecodeError, Decoder, NoSuchStreamError, Reader
from tasks.text import printable
from tasks.track import TrackError


@contextmanager
def audio_file(storage: Storage, path: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file that holds audio, and tell its container.

    Raises
    ------
    TrackError
        ``"missing"``, ``"unreadable"``, ``"empty"`` or ``"not-audio"``.
    """
    try:
        with storage.reading(path, keep=True) as local, open(local, "rb") as file:
            container = container_of(file, path)
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                raise TrackError("empty", f"{printable(path)} is an empty file.")
            if container is None:
                raise TrackError("not-audio", f"{printable(path)} does not contain audio.")
            file.seek(0)
            yield file, container
    except FileNotFoundError as error:
        raise missing(path) from error
    except PermissionError as error:
        raise TrackError("unreadable", f"{printable(path)} may not be read.") from error


@contextmanager
def opened(
    storage: Storage, path: str, audio_stream: int, decoder: Decoder | None = None
) -> Iterator[Reader]:
    """Reader of a file by a decoder, or else by the first that gets audio out of it.

    Raises
    ------
    TrackError
        As :func:`probe`.
    """
    with audio_file(storage, path) as (file, container):
        reasons = []
        for reader_class in READERS.get(container, ANY_READERS):
            if decoder not in (None, reader_class.decoder):
                continue
            file.seek(0)
            try:
                reader = reader_class(file, audio_stream)
            except NoSuchStreamError as error:
                raise no_such_stream(path, audio_stream, error) from error
            except DecodeError as error:
                reasons.append(str(error))
                continue
            try:
                yield reader
            finally:
                reader.close()
            return
        raise undecodable(path, container, reasons)


def no_such_stream(path: str, audio_stream: int, error: NoSuchStreamError) -> TrackError:
    """Return the error of a file that has fewer audio streams than asked for."""
    return TrackError(
        "missing-stream",
        f"{printable(path)} has no audio stream {audio_stream} counted from 0: "
        f"it has {error.audio_streams}.",
    )


def undecodable(path: str, container: str, reasons: Iterable[str]) -> TrackError:
    """Return the error of a file that no decoder gets anything out of."""
    return TrackError(
        "undecodable",
        f"{printable(path)} looks like {container} but cannot be decoded "
        f"({'; '.join(dict.fromkeys(reasons))}).",
    )


def missing(path: str) -> TrackError:
    """Return the error of a file that was there when files were looked for."""
    return TrackError("missing", f"{printable(path)} is not there any more.")
