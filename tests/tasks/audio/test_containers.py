import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from tasks import audio
from tasks.step import TrackError
from tests.conftest import tone
from tests.support.encoded import encode

FFMPEG = [
    ("a.mka", "flac", {}, "matroska"),
    ("a.webm", "libopus", {}, "matroska"),
    ("a.wma", "wmav2", {"channels": 2, "bit_rate": 128_000}, "asf"),
    ("a.wv", "wavpack", {}, "wavpack"),
    ("a.tta", "tta", {}, "tta"),
    ("alac.caf", "alac", {}, "caf"),
    ("ulaw.aifc", "pcm_mulaw", {}, "aiff"),
    ("a.ac3", "ac3", {"channels": 2}, "ac3"),
    ("odd.ac3", "ac3", {"rate_hz": 44_100}, "ac3"),
    ("a.eac3", "eac3", {"channels": 2}, "ac3"),
    ("a.mp2", "mp2", {}, "mp3"),
    ("low.mp3", "libmp3lame", {"rate_hz": 16_000}, "mp3"),
    ("a.aac", "aac", {}, "aac"),
    ("a.ra", "real_144", {"rate_hz": 8_000}, "realaudio"),
    ("a.avi", "libmp3lame", {"pictures": True}, "avi"),
    ("a.mkv", "aac", {"pictures": True}, "matroska"),
    ("a.mov", "aac", {"pictures": True}, "mp4"),
    ("a.ts", "aac", {"pictures": True}, "mpegts"),
    ("a.mpg", "mp2", {"pictures": True}, "mpeg"),
]
LIBSNDFILE = [
    ("a.caf", {}, "caf"),
    ("a.au", {}, "au"),
    ("little.snd", {"format": "AU", "endian": "LITTLE"}, "au"),
    ("a.w64", {}, "w64"),
    ("a.rf64", {}, "wav"),
    ("big.wav", {"endian": "BIG"}, "wav"),
    ("a.voc", {"subtype": "PCM_16"}, "voc"),
    ("a.sph", {"format": "NIST"}, "nist"),
    ("a.iff", {"format": "SVX"}, "svx"),
]


def container_of(content: bytes, name: str) -> str | None:
    return audio.container_of(io.BytesIO(content), name)


def heard(folder: Path, name: str) -> tuple[float, float]:
    """Seconds and frequency of what a file holds."""
    samples = audio.load(Storage(str(folder)), name, rate_hz=16_000, channels=1)[0]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return len(samples) / 16_000, float(np.argmax(spectrum) * 16_000 / len(samples))


@pytest.mark.parametrize(("name", "codec", "options", "container"), FFMPEG)
def test_what_ffmpeg_reads_is_known_by_its_content(tmp_path: Path, name, codec, options, container):
    encode(tmp_path / name, codec, **options).rename(tmp_path / "song")

    assert container_of((tmp_path / "song").read_bytes(), "song") == container
    seconds, frequency_hz = heard(tmp_path, "song")
    assert seconds == pytest.approx(1.0, abs=0.1)
    assert frequency_hz == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("name", "options", "container"), LIBSNDFILE)
def test_what_libsndfile_reads_is_known_by_its_content(tmp_path: Path, name, options, container):
    soundfile.write(tmp_path / name, tone(440.0), 22_050, **options)
    (tmp_path / name).rename(tmp_path / "song")

    assert container_of((tmp_path / "song").read_bytes(), "song") == container
    assert heard(tmp_path, "song") == (pytest.approx(1.0, abs=0.01), pytest.approx(440, abs=1))


def test_dsd_is_read(tmp_path: Path):
    """A first-order modulation of a tone, in the blocks of Sony's DSF of one channel."""
    rate_hz, block = 2_822_400, 4096
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz // 4) / rate_hz)
    bits = (np.diff(np.floor(np.cumsum((wave + 1) / 2)), prepend=0) > 0).astype(np.uint8)
    data = np.packbits(bits, bitorder="little").tobytes()
    data += bytes(-len(data) % block)
    form = [1, 0, 1, 1, rate_hz, 1, len(bits), block, 0]
    header = b"fmt " + (52).to_bytes(8, "little")
    for index, value in enumerate(form):
        header += value.to_bytes(8 if index == 6 else 4, "little")
    body = header + b"data" + (12 + len(data)).to_bytes(8, "little") + data
    head = b"DSD " + b"".join(n.to_bytes(8, "little") for n in (28, 28 + len(body), 0))
    (tmp_path / "a.dsf").write_bytes(head + body)

    assert container_of(head + body, "song") == "dsf"
    seconds, frequency_hz = heard(tmp_path, "a.dsf")
    assert (seconds, frequency_hz) == (pytest.approx(0.25, abs=0.01), pytest.approx(440, abs=4))


def id3_tag(size_bytes: int) -> bytes:
    return (
        b"ID3\4\0\0"
        + bytes(size_bytes >> bits & 127 for bits in (21, 14, 7, 0))
        + bytes(size_bytes)
    )


@pytest.fixture(scope="module")
def mp3() -> bytes:
    made = io.BytesIO()
    soundfile.write(made, tone(440.0, 2.0, 44_100), 44_100, format="MP3")
    return made.getvalue()


NOISE = np.random.default_rng(5).bytes(20_000)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("zeros.mp3", bytes(1024)),
        ("zeros", bytes(1024)),
        ("zeros-to-the-edge.mp3", bytes(audio.SNIFF_BYTES - 1)),
        ("many-zeros.mp3", bytes(300_000)),
        ("noise.mp3", NOISE),
        ("reply.mp3", b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"),
        ("two-tags.mp3", id3_tag(5000) + id3_tag(100_000)),
        ("tag-and-zeros.mp3", id3_tag(5000) + bytes(3000)),
    ],
)
def test_an_mp3_may_begin_late(tmp_path: Path, mp3: bytes, name: str, before: bytes):
    (tmp_path / name).write_bytes(before + mp3)

    assert container_of(before + mp3, name) == "mp3"
    seconds, frequency_hz = heard(tmp_path, name)
    assert (seconds, frequency_hz) == (pytest.approx(2.0, abs=0.1), pytest.approx(440, abs=1))


def test_an_mp3_may_begin_within_a_frame(tmp_path: Path, mp3: bytes):
    (tmp_path / "ripped.mp3").write_bytes(mp3[777:])
    seconds, frequency_hz = heard(tmp_path, "ripped.mp3")
    assert (seconds, frequency_hz) == (pytest.approx(2.0, abs=0.1), pytest.approx(440, abs=1))


@pytest.mark.parametrize(
    ("name", "codec", "container"), [("a.flac", None, "flac"), ("a.aac", "aac", "aac")]
)
def test_what_follows_an_id3_tag_counts(tmp_path: Path, name, codec, container):
    path = tmp_path / name
    encode(path, codec) if codec else soundfile.write(path, tone(440.0), 22_050)
    content = id3_tag(200_000) + path.read_bytes()
    path.write_bytes(content)

    assert container_of(content, name) == container
    assert heard(tmp_path, name)[1] == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    "content",
    [
        "Exact Audio Copy V1.6\r\n".encode("utf-16"),
        "\ufeffbig endian".encode("utf-16-be"),
        "FILE".encode("utf-16-le"),
        b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf" + bytes(200),
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(200),
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + NOISE,
        b"\x89PNG\r\n\x1a\n" + NOISE,
        b"RIFF\x10\0\0\0WEBPVP8 " + NOISE,
        b"GIF89a" + NOISE,
        b"MAC addresses of the studio",
        b"MP+ and MP3",
        b"\xff\xfb" + bytes(100),
        b"PK\3\4" + NOISE,
        bytes(100_000),
        NOISE,
        b"",
    ],
)
@pytest.mark.parametrize("name", ["rip.log", "song.mp3"])
def test_what_is_no_audio_is_none(content: bytes, name: str):
    if content == b"\xff\xfb" + bytes(100):
        # One header may be the first frame of a damaged MP3; it is no proof under another name.
        assert container_of(content, name) == ("mp3" if name == "song.mp3" else None)
    else:
        assert container_of(content, name) is None


def test_noise_is_no_mp3_whatever_it_is_called():
    random = np.random.default_rng(3)
    assert not any(container_of(random.bytes(65_536), "a.mp3") for _ in range(100))


def test_frames_within_other_files_make_no_song(mp3: bytes):
    assert container_of(b"PK\3\4stored" + mp3, "songs.zip") is None
    assert container_of(b"junk" + mp3, "sounds.bin") is None


def test_the_first_bytes_alone_tell_as_much(mp3: bytes):
    assert audio.sniff((id3_tag(1000) + mp3)[: audio.SNIFF_BYTES]) == "mp3"
    assert audio.sniff(id3_tag(audio.SNIFF_BYTES)[: audio.SNIFF_BYTES]) == "mp3"
    assert audio.sniff((b"junk" + mp3)[: audio.SNIFF_BYTES], "a.mp3") == "mp3"


@pytest.mark.parametrize(
    ("name", "codec", "pictures", "streams"),
    [
        ("film.mp4", "aac", True, (True, True)),
        ("silent.mp4", None, True, (False, True)),
        ("song.mp4", "aac", False, (True, False)),
        ("silent.mkv", None, True, (False, True)),
        ("named.m4a", "aac", False, None),
    ],
)
def test_videos_say_what_they_hold(tmp_path: Path, name, codec, pictures, streams):
    path = encode(tmp_path / name, codec, pictures=pictures)
    assert audio.video_streams(path, container_of(path.read_bytes(), name)) == streams


def test_a_damaged_video_says_nothing(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(50))
    assert audio.video_streams(tmp_path / "a.mp4", "mp4") is None
    with pytest.raises(TrackError, match="cannot be decoded"):
        audio.probe(Storage(str(tmp_path)), "a.mp4")
