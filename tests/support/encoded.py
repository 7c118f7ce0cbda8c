"""Tones in the formats that FFmpeg writes, alone or beside moving pictures."""

from pathlib import Path

import av
import numpy as np

from tests.conftest import tone


def encode(
    path: Path,
    codec: str | None,
    *,
    rate_hz: int = 48_000,
    channels: int = 1,
    seconds: float = 1.0,
    pictures: bool = False,
    bit_rate: int | None = None,
) -> Path:
    """Write a tone of 440 Hz and, if wanted, pictures; the name tells the container."""
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=rate_hz, layout=layout) if codec else None
        if sound is not None and bit_rate:
            sound.bit_rate = bit_rate
        if pictures:
            film = container.add_stream("mpeg4", rate=25)
            film.width = film.height = 32
            film.pix_fmt = "yuv420p"
            for level in range(round(25 * seconds)):
                picture = np.full((32, 32, 3), level, np.uint8)
                container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(film.encode(None))
        if sound is not None:
            samples = np.ascontiguousarray(tone(440.0, seconds, rate_hz, channels).T)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            resampler = av.AudioResampler(sound.codec_context.format, layout, rate_hz)
            fifo = av.AudioFifo()
            for converted in resampler.resample(frame):
                fifo.write(converted)
            # The frame size is known once the encoder is open.
            sound.codec_context.open(strict=False)
            size = sound.codec_context.frame_size or 1024
            while (chunk := fifo.read(size, partial=True)) is not None:
                container.mux(sound.encode(chunk))
            container.mux(sound.encode(None))
    return path
