"""Writers of audio files. Only tasks/audio/files.py uses them, and passes them on."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Literal

import numpy as np

from blocks.storage import Storage, StorageError
from tasks.audio.decoders import BLOCK_FRAMES
from tasks.track import Samples

SoundFormat = Literal["flac", "wav"]

OPUS_RATE_HZ = 48_000
"""Rate that Opus works at (RFC 6716); a file's input rate is a note only."""


OPUS_MAX_KBPS = 256
"""The most that FFmpeg's libopus takes for a channel."""


def write_flac(
    storage: Storage, path: str, samples: Samples | Iterable[Samples], rate_hz: int
) -> None:
    """Store a signal as 16-bit FLAC, whole or not at all.

    Parameters
    ----------
    storage, path
        Where to.
    samples
        Shape ``(channels, samples)``, or such blocks one after the other; what exceeds
        [-1, 1] is clipped. Nothing is stored if the blocks end in an exception.
    rate_hz
        Sample rate.
    """
    channels, blocks = _with_channels(samples)
    with writing_sound(storage, path, rate_hz, channels, "flac") as write:
        for block in blocks:
            write(block)


@contextmanager
def writing_sound(
    storage: Storage,
    path: str,
    rate_hz: int,
    channels: int,
    kind: SoundFormat,
    *,
    may_be_long: bool = False,
) -> Iterator[Callable[[Samples], None]]:
    """Store a signal of 16 bits block by block, whole or not at all.

    Parameters
    ----------
    storage, path
        Where to.
    rate_hz, channels
        Of the signal.
    kind
        FLAC or WAV.
    may_be_long
        Whether a WAV may exceed the 4 GB that its header can say: then it is an RF64
        (EBU Tech 3306).

    Yields
    ------
    callable
        Takes blocks of shape ``(channels, n)``; what exceeds [-1, 1] is clipped. Nothing is
        stored if the context ends in an exception.
    """
    import soundfile

    name = "RF64" if kind == "wav" and may_be_long else kind.upper()
    try:
        with (
            storage.writing(path, keep=True) as target,
            soundfile.SoundFile(
                target, "w", rate_hz, channels, subtype="PCM_16", format=name
            ) as file,
        ):

            def write(block: Samples) -> None:
                for piece in _pieces(block):
                    file.write(piece)

            yield write
    except soundfile.SoundFileError as error:
        # libsndfile does not pass on why the system refused a write.
        raise StorageError(
            f"{storage.address}/{path} could not be written; is there space left? What is "
            "finished stays."
        ) from error


def write_opus(
    storage: Storage,
    path: str,
    samples: Samples | Iterable[Samples],
    *,
    bitrate_kbps: int = 160,
) -> None:
    """Store a signal at 48 kHz as Ogg Opus, whole or not at all.

    What :func:`tasks.audio.stream` decodes at 48 kHz has as many samples as the signal,
    without delay. The same signal gives the same bytes.

    Parameters
    ----------
    storage, path
        Where to.
    samples
        Shape ``(1, samples)`` or ``(2, samples)``, or such blocks one after the other; what
        exceeds [-1, 1] is clipped. Nothing is stored if the blocks end in an exception.
    bitrate_kbps
        What the encoder aims at on average, for all channels together; no more than 256 for
        each of them.
    """
    import av

    # PyAV with libopus takes 396 ms per minute of stereo, libsndfile 1,300.
    channels, blocks = _with_channels(samples)
    pieces = chain.from_iterable(map(_pieces, blocks))
    layout = {1: "mono", 2: "stereo"}[channels]
    # Errors of the system come from FFmpeg as OSError, which storage.writing explains. Without
    # the flag the muxer draws the stream's serial number by chance.
    with (
        storage.writing(path) as target,
        av.open(target, "w", format="ogg", container_options={"fflags": "+bitexact"}) as file,
    ):
        stream = file.add_stream("libopus", rate=OPUS_RATE_HZ, layout=layout)
        stream.codec_context.format = "flt"
        stream.codec_context.bit_rate = 1000 * min(bitrate_kbps, OPUS_MAX_KBPS * channels)
        position = 0
        for piece in pieces:
            frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), "flt", layout)
            frame.sample_rate = OPUS_RATE_HZ
            frame.pts = position
            position += frame.samples
            file.mux(stream.encode(frame))
        if not position:
            raise ValueError("a signal has at least one sample")
        file.mux(stream.encode(None))


def mp3(samples: Samples, rate_hz: int) -> bytes:
    """Encode a short signal as a file that all browsers play.

    Parameters
    ----------
    samples
        Shape ``(channels, samples)``; what exceeds [-1, 1] is clipped.
    rate_hz
        Sample rate.
    """
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(samples.T, -1.0, 1.0), rate_hz, format="MP3")
    return file.getvalue()


def _with_channels(samples: Samples | Iterable[Samples]) -> tuple[int, Iterator[Samples]]:
    """Return the number of channels of a signal, and its blocks."""
    blocks = iter((samples,) if isinstance(samples, np.ndarray) else samples)
    first = next(blocks, None)
    if first is None:
        raise ValueError("a signal has at least one block")
    return len(first), chain((first,), blocks)


def _pieces(block: Samples) -> Iterator[Samples]:
    """Yield pieces ``(n, channels)`` of a block within [-1, 1]."""
    for start in range(0, block.shape[1], BLOCK_FRAMES):
        piece = block[:, start : start + BLOCK_FRAMES].T
        yield np.ascontiguousarray(np.clip(piece, -1.0, 1.0))
