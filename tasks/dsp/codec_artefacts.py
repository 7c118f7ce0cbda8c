"""Distortion by lossy codecs: a signal as it comes back from MP3 or Ogg Opus."""

import io
from typing import Any

import numpy as np

from tasks.audio.stderr import MUTED_STDERR
from tasks.track import Samples

KBPS_PER_CHANNEL = {"mp3": (32, 40, 48, 56, 64), "opus": (16, 24, 32, 48)}
"""Bit rates at which music is audibly coded. Twice as much, for stereo, is 64 to 128 kb/s of
MP3 (all of them rates that its formats define) and 32 to 96 kb/s of Opus."""

MP3_RATES_HZ = 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000
OPUS_RATE_HZ = 48_000

_ENCODERS = {
    "mp3": ("mp3", "libmp3lame", "fltp", {"compression_level": "7"}),
    "opus": ("ogg", "libopus", "flt", {"application": "lowdelay"}),
}
"""FFmpeg's names of the container, the encoder and its samples, and options. LAME's level 7
takes half the time of its default and keeps 2 dB more of the waveform. Opus without its
mode for speech (SILK), which at low rates may take over and is two samples early."""

BLOCK_SAMPLES = 2**18
"""Samples that a codec takes or gives at once."""


def draw(rng: np.random.Generator, signal: Samples, rate_hz: int) -> dict[str, Any]:
    """Draw a codec and its bit rate."""
    name = list(KBPS_PER_CHANNEL)[int(rng.integers(len(KBPS_PER_CHANNEL)))]
    kbps = KBPS_PER_CHANNEL[name][int(rng.integers(len(KBPS_PER_CHANNEL[name])))]
    return {"format": name, "bit_rate_kbps": kbps * len(signal)}


def codec(signal: Samples, rate_hz: int, *, format: str, bit_rate_kbps: int) -> Samples:
    """Encode and decode a signal, in memory; its time and length stay the same.

    A codec treats channels together: swapped channels and a repeated one give nearly, but
    not exactly, what they give apart.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``, one or two channels.
    rate_hz
        Sample rate.
    format
        ``"mp3"`` or ``"opus"``.
    bit_rate_kbps
        Of all channels together.
    """
    import soxr

    count = signal.shape[1]
    if count == 0:
        return signal
    coded_rate_hz = _coded_rate_hz(format, rate_hz)
    frames = np.ascontiguousarray(signal.T, np.float32)
    if coded_rate_hz != rate_hz:
        frames = soxr.resample(frames, rate_hz, coded_rate_hz)
    coded = encode(frames, coded_rate_hz, format, bit_rate_kbps)
    decoded = _decode(coded, len(frames), signal.shape[0])
    if coded_rate_hz != rate_hz:
        decoded = soxr.resample(decoded, coded_rate_hz, rate_hz)
    result = np.zeros_like(signal, order="C")
    kept = decoded[:count].T
    result[:, : kept.shape[1]] = kept
    return result


def encode(frames: Samples, rate_hz: int, format: str, bit_rate_kbps: int) -> bytes:
    """File that holds `frames`, of shape ``(samples, channels)``, as MP3 or Ogg Opus."""
    import av

    container, encoder, sample_format, options = _ENCODERS[format]
    layout = "mono" if frames.shape[1] == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=rate_hz, layout=layout, options=options)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 1000 * bit_rate_kbps
        stream.format = sample_format
        for first in range(0, len(frames), BLOCK_SAMPLES):
            block = frames[first : first + BLOCK_SAMPLES]
            # Planar samples have a row per channel, interleaved ones a single row.
            rows = block.T if sample_format.endswith("p") else block.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(rows), format=sample_format, layout=layout
            )
            frame.sample_rate = rate_hz
            frame.pts = first
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _decode(coded: bytes, count: int, channels: int) -> Samples:
    """`count` samples of a file, without the codec's delay; shape ``(samples, channels)``."""
    import soundfile

    frames = np.zeros((count, channels), np.float32)
    # Frames that are coded near their limit are reported, and decoded all the same.
    with MUTED_STDERR, soundfile.SoundFile(io.BytesIO(coded)) as file:
        for first in range(0, count, BLOCK_SAMPLES):
            file.read(out=frames[first : first + BLOCK_SAMPLES], fill_value=0.0)
    return frames


def _coded_rate_hz(format: str, rate_hz: int) -> int:
    """Rate that the codec works at: the signal's, or the next higher that it knows."""
    if format == "opus":
        return OPUS_RATE_HZ
    return next((rate for rate in MP3_RATES_HZ if rate >= rate_hz), MP3_RATES_HZ[-1])
