"""Writers of audio files. Only tasks/audio/files.py uses them, and passes them on."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from blocks.storage import Storage, StorageError
from tasks.audio.decoders import BLOCK_FRAMES
from tasks.track import Samples

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
    import soundfile

    channels, pieces = _clipped(samples)
    try:
        with (
            storage.writing(path) as target,
            soundfile.SoundFile(
                target, "w", rate_hz, channels, subtype="PCM_16", format="FLAC"
            ) as file,
        ):
            for piece in pieces:
                file.write(piece)
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
    channels, pieces = _clipped(samples)
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


def _clipped(samples: Samples | Iterable[Samples]) -> tuple[int, Iterator[Samples]]:
    """Return the number of channels, and pieces ``(n, channels)`` of the signal within [-1, 1]."""
    blocks = iter((samples,) if isinstance(samples, np.ndarray) else samples)
    first = next(blocks, None)
    if first is None:
        raise ValueError("a signal has at least one block")
    return len(first), (
        np.ascontiguousarray(np.clip(block[:, start : start + BLOCK_FRAMES].T, -1.0, 1.0))
        for block in chain((first,), blocks)
        for start in range(0, block.shape[1], BLOCK_FRAMES)
    )
