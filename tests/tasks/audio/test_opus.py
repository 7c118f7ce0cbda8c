"""Ogg Opus as it is written, and files with several audio streams as they are read."""

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from blocks.storage import Storage, StorageError
from tasks import audio
from tasks.audio.decoders import FfmpegReader
from tasks.step import TrackError
from tests.conftest import tone

RATE_HZ = 48_000
STREAM_TONES_HZ = (300.0, 600.0, 900.0, 1200.0, 1500.0)


def coloured_noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    """Noise below some 6 kHz, which Opus at 160 kb/s keeps as a waveform."""
    noise = np.random.default_rng(seed).standard_normal((channels, samples + 15))
    smooth = np.lib.stride_tricks.sliding_window_view(noise, 16, axis=1).mean(axis=2)
    return (0.5 * smooth).astype(np.float32)


def write_five_tones(path: Path, seconds: float = 2.0) -> None:
    """An MP4 file with a stereo tone in each of five AAC streams, as those of MUSDB18."""
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=44_100, layout="stereo") for _ in range(5)]
        for stream, frequency_hz in zip(streams, STREAM_TONES_HZ, strict=True):
            samples = np.ascontiguousarray(tone(frequency_hz, seconds, 44_100, 2).T)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44_100, 0
            container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [2_880, 48_000, 100_003])
def test_opus_has_the_samples_of_the_signal_without_delay(tmp_path: Path, channels, samples):
    storage = Storage(str(tmp_path))
    signal = coloured_noise(channels, samples)
    audio.write_opus(storage, "v/x.opus", signal)

    assert os.listdir(tmp_path / "v") == ["x.opus"]
    assert audio.probe(storage, "v/x.opus").format == "OGG OPUS"
    decoded = np.concatenate(
        list(audio.stream(storage, "v/x.opus", rate_hz=RATE_HZ, channels=channels)), axis=1
    )
    assert decoded.shape == (channels, samples)
    for before, after in zip(signal, decoded, strict=True):
        spectra = np.fft.rfft(after, 2 * samples) * np.conj(np.fft.rfft(before, 2 * samples))
        correlation = np.fft.irfft(spectra)
        assert np.argmax(correlation) == 0
        assert correlation[0] > 0.9 * np.dot(before, before)


def test_ffmpeg_decodes_the_same_samples_of_opus(tmp_path: Path):
    storage = Storage(str(tmp_path))
    audio.write_opus(storage, "x.opus", coloured_noise(2, 100_003))

    with open(tmp_path / "x.opus", "rb") as file:
        blocks = np.concatenate([block.samples for block in FfmpegReader(file, 0).blocks()])
    ours = audio.load(storage, "x.opus", rate_hz=RATE_HZ, channels=2)
    np.testing.assert_allclose(blocks.T, ours, atol=1e-3)


def test_opus_has_the_bitrate_that_was_asked_for(tmp_path: Path):
    storage = Storage(str(tmp_path))
    signal = coloured_noise(2, 10 * RATE_HZ)
    for bitrate_kbps in (64, 160):
        audio.write_opus(storage, "x.opus", signal, bitrate_kbps=bitrate_kbps)
        kbps = os.path.getsize(tmp_path / "x.opus") * 8 / 10 / 1000
        assert kbps == pytest.approx(bitrate_kbps, rel=0.2)


def test_opus_of_one_channel_takes_the_most_there_is(tmp_path: Path):
    storage = Storage(str(tmp_path))
    signal = coloured_noise(1, RATE_HZ)
    audio.write_opus(storage, "most.opus", signal, bitrate_kbps=320)
    audio.write_opus(storage, "same.opus", signal, bitrate_kbps=256)
    assert (tmp_path / "most.opus").read_bytes() == (tmp_path / "same.opus").read_bytes()


def test_opus_of_blocks_is_the_same_bytes_every_time(tmp_path: Path):
    storage = Storage(str(tmp_path))
    signal = coloured_noise(2, 7 * RATE_HZ)
    audio.write_opus(storage, "whole.opus", signal)
    audio.write_opus(storage, "again.opus", signal)
    blocks = (signal[:, at : at + 99_991] for at in range(0, 7 * RATE_HZ, 99_991))
    audio.write_opus(storage, "blocks.opus", blocks)

    whole = (tmp_path / "whole.opus").read_bytes()
    assert (tmp_path / "again.opus").read_bytes() == whole
    assert (tmp_path / "blocks.opus").read_bytes() == whole


def test_opus_of_one_long_block(tmp_path: Path):
    # One Ogg block longer than some 95 s can crash libsndfile.
    storage = Storage(str(tmp_path))
    samples = 125 * RATE_HZ + 333
    audio.write_opus(storage, "x.opus", np.tile(coloured_noise(1, RATE_HZ), 126)[:, :samples])

    blocks = audio.stream(storage, "x.opus", rate_hz=RATE_HZ, channels=1)
    assert sum(block.shape[1] for block in blocks) == samples


def test_opus_is_clipped_at_full_scale(tmp_path: Path):
    storage = Storage(str(tmp_path))
    loud = 3 * tone(440.0, 2.0, RATE_HZ).T
    audio.write_opus(storage, "loud.opus", loud)
    audio.write_opus(storage, "clipped.opus", np.clip(loud, -1, 1))

    assert (tmp_path / "loud.opus").read_bytes() == (tmp_path / "clipped.opus").read_bytes()


def test_opus_blocks_that_end_in_an_error_leave_nothing(tmp_path: Path):
    def blocks():
        yield coloured_noise(1, RATE_HZ)
        raise TrackError("too-short", "not enough")

    with pytest.raises(TrackError):
        audio.write_opus(Storage(str(tmp_path)), "v/x.opus", blocks())
    assert os.listdir(tmp_path / "v") == []


def test_opus_of_nothing_is_a_bug(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one sample"):
        audio.write_opus(Storage(str(tmp_path)), "x.opus", np.empty((1, 0), np.float32))


def test_opus_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        audio.write_opus(Storage(str(tmp_path / "file")), "x.opus", tone().T)


@pytest.mark.parametrize("write", ["write_opus(storage, 'x', x)", "write_flac(storage, 'x', x, 8)"])
def test_a_write_that_the_system_refuses_is_one_sentence(tmp_path: Path, write):
    # A limit on the size of files refuses writes as a full disk does, for this process alone.
    code = f"""
import os, resource
import numpy as np
from blocks.storage import Storage, StorageError
from tasks.audio import write_flac, write_opus

storage = Storage({str(tmp_path)!r})
x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48_000)).astype(np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    {write}
except StorageError as error:
    print(error)
print(os.listdir({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, left = done.stdout.splitlines()
    assert "could not be written" in said
    assert left == "[]"


def test_opus_in_blocks_holds_no_more_for_longer_signals(tmp_path: Path):
    code = f"""
import re
from pathlib import Path
import numpy as np
from blocks.storage import Storage
from tasks.audio import write_opus

def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

block = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 48_000)).astype(np.float32)
storage = Storage({str(tmp_path)!r})
write_opus(storage, "short.opus", (block for _ in range(10)))
before = peak_mib()
write_opus(storage, "long.opus", (block for _ in range(200)))
print(peak_mib() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 200 s are 37 MiB.
    assert float(done.stdout) < 10


@pytest.mark.parametrize("audio_stream", range(5))
def test_each_stream_of_a_file_is_read_by_its_number(tmp_path: Path, audio_stream):
    write_five_tones(tmp_path / "song.stem.mp4")
    storage = Storage(str(tmp_path))

    info = audio.probe(storage, "song.stem.mp4", audio_stream=audio_stream)
    assert (info.channels, info.sample_rate_hz, info.decoder) == (2, 44_100, "ffmpeg")
    assert info.duration_seconds == pytest.approx(2.0, abs=0.1)
    samples = audio.load(
        storage, "song.stem.mp4", rate_hz=44_100, channels=1, audio_stream=audio_stream
    )[0]
    spectrum = np.abs(np.fft.rfft(samples[: 2 * 44_100] * np.hanning(2 * 44_100)))
    assert np.argmax(spectrum) / 2 == pytest.approx(STREAM_TONES_HZ[audio_stream], abs=1)


def test_streams_of_one_file_are_kept_apart(tmp_path: Path):
    write_five_tones(tmp_path / "song.stem.mp4")
    drums, bass = (
        audio.load(
            Storage(str(tmp_path)),
            "song.stem.mp4",
            rate_hz=44_100,
            channels=1,
            audio_stream=audio_stream,
        )
        for audio_stream in (1, 2)
    )
    assert np.abs(drums - bass).max() > 0.5


def test_only_the_stream_that_was_asked_for_is_decoded(tmp_path: Path):
    write_five_tones(tmp_path / "song.stem.mp4")

    with open(tmp_path / "song.stem.mp4", "rb") as file:
        reader = FfmpegReader(file, 3)
        assert sum(len(block.samples) for block in reader.blocks()) >= 2 * 44_100
        streams = reader._container.streams.audio
        opened = [stream.codec_context.is_open for stream in streams]
        reader.close()
    # FFmpeg opens a decoder before its first packet.
    assert opened == [False, False, False, True, False]


@pytest.mark.parametrize(("name", "audio_stream"), [("x.mp4", 5), ("x.wav", 1), ("x.opus", 1)])
def test_a_missing_stream_is_an_error_with_a_reason(tmp_path: Path, name, audio_stream):
    storage = Storage(str(tmp_path))
    if name == "x.mp4":
        write_five_tones(tmp_path / name)
    elif name == "x.opus":
        audio.write_opus(storage, name, tone(rate_hz=RATE_HZ).T)
    else:
        soundfile.write(tmp_path / name, tone(), 22_050)

    for read in (
        lambda: audio.probe(storage, name, audio_stream=audio_stream),
        lambda: audio.load(storage, name, rate_hz=RATE_HZ, channels=1, audio_stream=audio_stream),
    ):
        with pytest.raises(TrackError, match=f"{name} has no audio stream") as raised:
            read()
        assert raised.value.reason == "missing-stream"


@pytest.mark.parametrize(("rate_hz", "channels"), [(24_000, 1), (48_000, 2)])
def test_a_short_signal_as_mp3_is_what_it_was(rate_hz: int, channels: int):
    signal = tone(440.0, 1.0, rate_hz, channels).T
    heard, rate = soundfile.read(io.BytesIO(audio.mp3(signal, rate_hz)), always_2d=True)
    assert (rate, heard.shape[1]) == (rate_hz, channels)
    spectrum = np.abs(np.fft.rfft(heard[:rate_hz, 0]))
    assert spectrum.argmax() == 440
