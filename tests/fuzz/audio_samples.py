"""Valid audio of every format, about a second of each."""

import io
from collections.abc import Iterator

import av
import numpy as np
import soundfile

SNDFILE = (
    ("WAV", "PCM_16", 44_100, 2),
    ("WAV", "FLOAT", 48_000, 1),
    ("WAV", "PCM_24", 22_050, 6),
    ("WAV", "IMA_ADPCM", 22_050, 1),
    ("AIFF", "PCM_16", 44_100, 2),
    ("FLAC", "PCM_16", 44_100, 2),
    ("OGG", "VORBIS", 44_100, 2),
    ("OGG", "OPUS", 48_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
    ("MP3", "MPEG_LAYER_III", 22_050, 1),
    ("CAF", "PCM_16", 44_100, 2),
    ("AU", "PCM_16", 44_100, 1),
    ("W64", "PCM_16", 44_100, 2),
)
FFMPEG = (
    ("mp4", "aac", 44_100, "stereo"),
    ("adts", "aac", 22_050, "mono"),
    ("webm", "libopus", 48_000, "stereo"),
    ("matroska", "ac3", 48_000, "5.1"),
    ("asf", "wmav2", 44_100, "stereo"),
    ("wv", "wavpack", 44_100, "stereo"),
    ("tta", "tta", 44_100, "stereo"),
    ("ipod", "alac", 44_100, "stereo"),
)


def signal(rate_hz: int, channels: int, seconds: float = 1.2) -> np.ndarray:
    """Two partials, a click every 0.3 s and some noise, shape ``(samples, channels)``."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    random = np.random.default_rng(channels)
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.1 * np.sin(2 * np.pi * 660 * time)
    wave += 0.5 * (time % 0.3 < 0.004) + 0.01 * random.standard_normal(len(time))
    gains = np.linspace(1, 0.5, channels)
    return (wave[:, None] * gains).astype(np.float32)


def samples() -> list[bytes]:
    """Return a file of each format."""
    return [*_by_sndfile(), *_by_ffmpeg()]


def _by_sndfile() -> Iterator[bytes]:
    for container, codec, rate_hz, channels in SNDFILE:
        file = io.BytesIO()
        wave = signal(rate_hz, channels)
        soundfile.write(file, wave, rate_hz, format=container, subtype=codec)
        yield file.getvalue()


def _by_ffmpeg() -> Iterator[bytes]:
    for container, codec, rate_hz, layout in FFMPEG:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate_hz, layout=layout)
            stream.bit_rate = 128_000
            wave = signal(rate_hz, stream.layout.nb_channels)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wave.T), format="fltp", layout=layout
            )
            frame.sample_rate = rate_hz
            # Codecs take other sample formats and lengths of frames than one whole signal.
            graph = av.AudioResampler(
                format=stream.format.name, layout=layout, frame_size=stream.frame_size or 1024
            )
            for piece in (*graph.resample(frame), *graph.resample(None)):
                output.mux(stream.encode(piece))
            output.mux(stream.encode(None))
        yield file.getvalue()
