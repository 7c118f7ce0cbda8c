import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import soundfile
import soxr

from blocks.storage import Storage, StorageError
from tasks import audio
from tasks.audio import files
from tasks.audio.shared_cache import SharedCache
from tasks.step import TrackError
from tasks.text import printable
from tests.conftest import RATE_HZ, tone, write_tone


def encode_with_ffmpeg(path: Path, codec: str, channels: int = 1, rate_hz: int = 44_100) -> Path:
    """A 440-Hz tone of two seconds by FFmpeg's own encoder."""
    samples = tone(440.0, 2.0, rate_hz, channels)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout)
        fifo = av.AudioFifo()
        for converted in resampler.resample(frame):
            fifo.write(converted)
        while (chunk := fifo.read(1024, partial=True)) is not None:
            container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    return path


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def dominant_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.wav", "wav"),
        ("a.flac", "flac"),
        ("a.aiff", "aiff"),
        ("a.mp3", "mp3"),
        ("a.ogg", "ogg"),
        ("a.opus", "opus"),
    ],
)
def test_libsndfile_formats_decode_to_the_tone_they_hold(tmp_path: Path, name, container):
    path = tmp_path / name
    rate_hz = 48_000
    kwargs = {"format": "OGG", "subtype": "OPUS"} if container == "opus" else {}
    soundfile.write(path, tone(440.0, 2.0, rate_hz, 2), rate_hz, **kwargs)
    storage = Storage(str(tmp_path))

    assert audio.sniff(path.read_bytes()[: audio.SNIFF_BYTES]) == container
    info = audio.probe(storage, name)
    assert (info.decoder, info.channels, info.sample_rate_hz) == ("libsndfile", 2, rate_hz)
    samples = audio.load(storage, name, rate_hz=16_000, channels=1)
    assert samples.shape[0] == 1
    assert samples.shape[1] == pytest.approx(2 * 16_000, abs=0.06 * 16_000)
    assert dominant_hz(samples[0], 16_000) == pytest.approx(440, abs=1)
    assert np.abs(samples[0, 4000:-4000]).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.m4a", "aac", "mp4"), ("a.mp4", "aac", "mp4"), ("a.aac", "aac", "aac")],
)
def test_ffmpeg_formats_decode_to_the_tone_they_hold(tmp_path: Path, name, codec, container):
    path = encode_with_ffmpeg(tmp_path / name, codec, channels=2)
    storage = Storage(str(tmp_path))

    assert audio.sniff(path.read_bytes()[: audio.SNIFF_BYTES]) == container
    assert audio.probe(storage, name).decoder == "ffmpeg"
    samples = audio.load(storage, name, rate_hz=44_100, channels=2)
    assert samples.shape[1] == pytest.approx(2 * 44_100, abs=4096)
    assert dominant_hz(samples[0], 44_100) == pytest.approx(440, abs=1)


def test_content_counts_and_not_the_extension(tmp_path: Path):
    write_tone(tmp_path / "tone.flac").rename(tmp_path / "tone.mp3")

    assert audio.probe(Storage(str(tmp_path)), "tone.mp3").format.startswith("FLAC")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"lyrics, not music", "not-audio"),
        (b"fLaC" + b"\0" * 100, "undecodable"),
        (b"RIFF\x10\0\0\0WAVEjunk", "undecodable"),
        (b"\0\0\0\x20ftypM4A " + b"\0" * 50, "undecodable"),
        (b"ID3\x04" + b"\0" * 200, "undecodable"),
    ],
)
def test_a_file_without_audio_is_an_error_with_a_reason(tmp_path: Path, content, reason):
    (tmp_path / "x.mp3").write_bytes(content)

    with pytest.raises(TrackError) as raised:
        audio.load(Storage(str(tmp_path)), "x.mp3", rate_hz=16_000, channels=1)
    assert raised.value.reason == reason
    assert "x.mp3" in raised.value.message


def test_a_missing_file_is_an_error_with_a_reason(tmp_path: Path):
    with pytest.raises(TrackError) as raised:
        audio.load(Storage(str(tmp_path)), "gone.wav", rate_hz=16_000, channels=1)
    assert raised.value.reason == "missing"


def test_a_file_too_short_to_be_music_is_an_error(tmp_path: Path):
    write_tone(tmp_path / "click.wav", seconds=0.01)
    with pytest.raises(TrackError) as raised:
        audio.load(Storage(str(tmp_path)), "click.wav", rate_hz=16_000, channels=1)
    assert raised.value.reason == "too-short"


def test_a_truncated_file_gives_what_it_holds(tmp_path: Path):
    whole = write_tone(tmp_path / "whole.flac", seconds=4.0).read_bytes()
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])

    samples = audio.load(Storage(str(tmp_path)), "half.flac", rate_hz=RATE_HZ, channels=1)
    assert 1.0 < samples.shape[1] / RATE_HZ < 3.0


@pytest.mark.parametrize("rate_hz", [8_000, 39_000, 96_000])
def test_odd_rates_are_resampled_without_aliasing(tmp_path: Path, rate_hz):
    soundfile.write(tmp_path / "x.wav", tone(1000.0, 1.0, rate_hz), rate_hz, subtype="FLOAT")
    samples = audio.load(Storage(str(tmp_path)), "x.wav", rate_hz=22_050, channels=1)[0]

    assert len(samples) == pytest.approx(22_050, abs=2)
    spectrum = np.abs(np.fft.rfft(samples[2000:-2000] * np.hanning(len(samples) - 4000))) ** 2
    peak = int(np.argmax(spectrum))
    near = spectrum[peak - 20 : peak + 21].sum()
    assert 10 * np.log10((spectrum.sum() - near) / near) < -80


def test_six_channels_fold_by_bs775():
    side = np.sqrt(0.5)
    block = np.eye(6, dtype=np.float32)

    stereo = audio.to_channels(block, 2) * (1 + 2 * side)
    np.testing.assert_allclose(stereo[:, 0], [1, 0, side, 0, side, 0], atol=1e-6)
    np.testing.assert_allclose(stereo[:, 1], [0, 1, side, 0, 0, side], atol=1e-6)
    mono = audio.to_channels(block, 1)
    np.testing.assert_allclose(mono[:, 0], stereo.mean(axis=1) / (1 + 2 * side), atol=1e-6)


def test_mono_and_stereo_fold_without_change_of_level():
    mono = tone()
    np.testing.assert_array_equal(audio.to_channels(mono, 2), np.repeat(mono, 2, axis=1))
    np.testing.assert_allclose(audio.to_channels(np.repeat(mono, 2, axis=1), 1), mono)


def test_a_file_is_decoded_once_per_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_tone(tmp_path / "x.wav")
    storage = Storage(str(tmp_path))
    decoded = []
    original = files.stream

    def stream(*args, **kwargs):
        decoded.append((kwargs["rate_hz"], kwargs["channels"]))
        return original(*args, **kwargs)

    monkeypatch.setattr(files, "stream", stream)

    for _ in range(3):
        audio.load(storage, "x.wav", rate_hz=16_000, channels=1)
        audio.load(storage, "x.wav", rate_hz=22_050, channels=1)
    assert decoded == [(16_000, 1), (22_050, 1)]

    write_tone(tmp_path / "x.wav", frequency_hz=880.0, seconds=2.0)
    replaced = audio.load(storage, "x.wav", rate_hz=16_000, channels=1)
    assert replaced.shape[1] == 32_000


def test_the_cache_holds_no_more_than_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a", "b", "c"):
        write_tone(tmp_path / f"{name}.wav", seconds=0.25)
    write_tone(tmp_path / "long.wav", seconds=1.0)
    storage = Storage(str(tmp_path))
    # Room for two clips of 4,000 samples of 4 bytes, and not for that of 16,000.
    room = SharedCache(40_000, getsizeof=files._CACHE.getsizeof)
    monkeypatch.setattr(files, "_CACHE", room)

    def load(name: str) -> np.ndarray:
        return audio.load(storage, f"{name}.wav", rate_hz=16_000, channels=1)

    a, b = load("a"), load("b")
    assert room.currsize == a.nbytes + b.nbytes == 32_000
    assert load("a") is a
    # b was used least recently.
    c = load("c")
    assert room.currsize == 32_000
    assert load("a") is a
    assert load("c") is c

    assert load("long").shape == (1, 16_000)
    assert room.currsize == 32_000
    assert load("a") is a
    assert load("b") is not b


def test_flac_is_written_and_read_back(tmp_path: Path):
    storage = Storage(str(tmp_path))
    # Longer than one block of writing.
    samples = tone(440.0, 8.0, 44_100, 2).T * 2.5
    audio.write_flac(storage, "v/x.flac", samples, 44_100)

    read = audio.load(storage, "v/x.flac", rate_hz=44_100, channels=2)
    np.testing.assert_allclose(read, np.clip(samples, -1, 1), atol=2**-15)
    assert os.listdir(tmp_path / "v") == ["x.flac"]


@pytest.mark.parametrize(("source_hz", "channels"), [(22_050, 2), (44_100, 1), (48_000, 2)])
def test_a_stream_is_the_file_in_blocks(tmp_path: Path, source_hz, channels):
    # 20 s are more than one block at each of the rates.
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (20 * source_hz, 2))
    soundfile.write(tmp_path / "x.wav", noise, source_hz, subtype="FLOAT")
    storage = Storage(str(tmp_path))

    blocks = list(audio.stream(storage, "x.wav", rate_hz=22_050, channels=channels))
    assert len(blocks) > 1
    streamed = np.concatenate(blocks, axis=1)
    expected = noise if channels == 2 else noise.mean(axis=1, keepdims=True)
    expected = soxr.resample(expected.astype(np.float32), source_hz, 22_050)
    np.testing.assert_allclose(streamed, expected.T, atol=1e-6)
    loaded = audio.load(storage, "x.wav", rate_hz=22_050, channels=channels)
    np.testing.assert_array_equal(loaded, streamed)


def test_a_stream_that_is_left_closes_its_file(tmp_path: Path):
    path = write_tone(tmp_path / "x.wav", seconds=30.0)

    def is_open() -> bool:
        return str(path) in [file.path for file in psutil.Process().open_files()]

    blocks = audio.stream(Storage(str(tmp_path)), "x.wav", rate_hz=RATE_HZ, channels=1)
    next(blocks)
    assert is_open()
    blocks.close()
    assert not is_open()


def test_short_files_are_one_kept_block_and_long_ones_are_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    storage = Storage(str(tmp_path))
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 20 * RATE_HZ)).astype(np.float32)
    audio.write_flac(storage, "x.flac", signal, RATE_HZ)

    def blocks() -> list[np.ndarray]:
        return list(audio.blocks(storage, "x.flac", rate_hz=RATE_HZ, channels=1))

    monkeypatch.setattr(files, "SHORT_SECONDS", 19.9)
    streamed = blocks()
    assert len(streamed) > 1
    monkeypatch.setattr(files, "SHORT_SECONDS", 20.0)
    [kept], [again] = blocks(), blocks()
    assert again is kept
    assert audio.load(storage, "x.flac", rate_hz=RATE_HZ, channels=1) is kept
    np.testing.assert_array_equal(np.concatenate(streamed, axis=1), kept)


def test_flac_written_in_blocks_is_the_same_file(tmp_path: Path):
    storage = Storage(str(tmp_path))
    samples = tone(440.0, 8.0, 44_100, 2).T
    audio.write_flac(storage, "whole.flac", samples, 44_100)
    audio.write_flac(
        storage,
        "blocks.flac",
        (samples[:, at : at + 99_991] for at in range(0, 352_800, 99_991)),
        44_100,
    )
    assert (tmp_path / "blocks.flac").read_bytes() == (tmp_path / "whole.flac").read_bytes()


def test_blocks_that_end_in_an_error_leave_nothing(tmp_path: Path):
    def blocks():
        yield tone().T
        raise TrackError("too-short", "not enough")

    with pytest.raises(TrackError):
        audio.write_flac(Storage(str(tmp_path)), "v/x.flac", blocks(), RATE_HZ)
    assert os.listdir(tmp_path / "v") == []


def test_a_long_file_is_held_once_while_it_is_decoded(tmp_path: Path):
    # In a process of its own, whose peak (Linux tells it) is its alone: 88 MiB as float32.
    soundfile.write(tmp_path / "long.wav", np.zeros(240 * 96_000, np.int16), 96_000)
    code = f"""
import re
from pathlib import Path
from blocks.storage import Storage
from tasks import audio

def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])

storage = Storage({str(tmp_path)!r})
audio.load(storage, "long.wav", rate_hz=1000, channels=1)
before = peak_bytes()
samples = audio.load(storage, "long.wav", rate_hz=96_000, channels=1)
print((peak_bytes() - before) / samples.nbytes)
"""
    assert 0.9 < float(run_python(code).stdout) < 1.2


def test_damaged_mp3_files_are_read_without_a_word_from_the_decoder(tmp_path: Path):
    soundfile.write(tmp_path / "whole.mp3", tone(440.0, 4.0, 44_100), 44_100)
    whole = (tmp_path / "whole.mp3").read_bytes()
    (tmp_path / "head.mp3").write_bytes(whole[:192])
    noise = np.random.default_rng(0).bytes(len(whole) - 3000)
    (tmp_path / "torn.mp3").write_bytes(whole[:3000] + noise)
    code = f"""
import ctypes, sys
import soundfile
from blocks.storage import Storage
from tasks import audio
from tasks.track import TrackError

for name in ("head.mp3", "torn.mp3"):
    print("=plain=", file=sys.stderr)
    try:
        soundfile.read({str(tmp_path)!r} + "/" + name)
    except soundfile.SoundFileError:
        pass
    print("=quiet=", file=sys.stderr)
    try:
        audio.load(Storage({str(tmp_path)!r}), name, rate_hz=44_100, channels=1)
    except TrackError:
        pass
print("=after=", file=sys.stderr)
ctypes.CDLL(None).perror(b"the C library")
"""
    said = run_python(code).stderr
    _, plain_head, quiet_head, plain_torn, quiet_torn, after = re.split("=[a-z]+=\n", said)
    assert plain_head
    assert plain_torn
    assert (quiet_head, quiet_torn) == ("", "")
    assert after.startswith("the C library")


def test_names_that_are_not_utf8_are_decoded_and_printed(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.wav")
    write_tone(tmp_path / "tone.wav").rename(tmp_path / name)

    assert audio.load(Storage(str(tmp_path)), name, rate_hz=8_000, channels=1).shape == (1, 8_000)
    assert printable(name) == "caf\\xe9.wav"


def test_an_unwritable_place_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        audio.write_flac(Storage(str(tmp_path / "file")), "x.flac", tone().T, RATE_HZ)
