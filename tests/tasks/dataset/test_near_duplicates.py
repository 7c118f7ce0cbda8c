import io
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import soxr

from blocks.storage import Storage
from examples.songs import make_song
from tasks import audio
from tasks.dataset import near_duplicates
from tasks.dataset.near_duplicates import (
    MAX_BIT_ERROR_RATE,
    RATE_HZ,
    MixFingerprint,
    acoustic_fingerprint,
    bit_error_rate,
    duplicates,
)
from tasks.track import TrackError

SONG_RATE_HZ = 44_100


@pytest.fixture(scope="module")
def songs():
    """Four songs of some 20 seconds."""
    return [make_song(seed, seconds=20.0) for seed in range(4)]


@pytest.fixture(scope="module")
def originals(songs):
    return {f"song {song.seed}": acoustic_fingerprint(song.mix, SONG_RATE_HZ) for song in songs}


def as_mp3(signal: np.ndarray) -> np.ndarray:
    """A signal after MP3 at 128 kb/s."""
    file = io.BytesIO()
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.65}
    soundfile.write(file, signal.T, SONG_RATE_HZ, format="MP3", **options)
    assert file.tell() * 8 / (signal.shape[1] / SONG_RATE_HZ) == pytest.approx(128_000, rel=0.05)
    file.seek(0)
    return soundfile.read(file, dtype="float32", always_2d=True)[0].T


def as_opus(signal: np.ndarray, folder) -> np.ndarray:
    """A signal after Opus at 64 kb/s, at 48 kHz."""
    storage = Storage(str(folder))
    audio.write_opus(
        storage, "x.opus", soxr.resample(signal.T, SONG_RATE_HZ, 48_000).T, bitrate_kbps=64
    )
    return audio.load(storage, "x.opus", rate_hz=48_000, channels=2)


def test_songs_do_not_match_each_other(originals):
    assert duplicates(originals) == []
    names = sorted(originals)
    for first in names:
        for second in names:
            rates = [
                bit_error_rate(originals[first], originals[second], offset)
                for offset in range(-250, 251)
            ]
            if first != second:
                assert min(rate for rate, words in rates if words >= 215) > 0.4


COPIES = {
    "mp3": lambda song, folder: (as_mp3(song.mix), SONG_RATE_HZ),
    "opus": lambda song, folder: (as_opus(song.mix, folder), 48_000),
    "quieter": lambda song, folder: (0.05 * song.mix, SONG_RATE_HZ),
    "cut": lambda song, folder: (song.mix[:, int(4.321 * SONG_RATE_HZ) :], SONG_RATE_HZ),
    # Half a hop is the worst that a shift can do.
    "padded": lambda song, folder: (
        np.pad(song.mix, ((0, 0), (round(45.5 * 256 / RATE_HZ * SONG_RATE_HZ), 0))),
        SONG_RATE_HZ,
    ),
    "mono": lambda song, folder: (song.mix.mean(axis=0, keepdims=True), SONG_RATE_HZ),
    "cut, quieter, opus": lambda song, folder: (
        as_opus(0.3 * song.mix[:, int(1.777 * SONG_RATE_HZ) :], folder),
        48_000,
    ),
    "without drums": lambda song, folder: (song.mix - song.stems["drums"], SONG_RATE_HZ),
    "without vocals": lambda song, folder: (song.mix - song.stems["vocals"], SONG_RATE_HZ),
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_of_a_song_match_it_alone(songs, originals, tmp_path, change):
    copy = acoustic_fingerprint(*COPIES[change](songs[1], tmp_path))
    assert duplicates({**originals, "copy": copy}) == [("copy", "song 1")]
    assert (
        min(bit_error_rate(originals["song 1"], copy, offset)[0] for offset in range(-100, 100))
        < 0.6 * MAX_BIT_ERROR_RATE
    )


def test_of_copies_each_is_joined(songs, originals):
    song = songs[2].mix
    many = {
        f"copy {at:02d}": acoustic_fingerprint(song[:, at * 5000 :] * 0.9**at, SONG_RATE_HZ)
        for at in range(12)
    }
    reached = {"song 2"}
    pairs = duplicates({**originals, **many})
    for _ in pairs:
        reached |= {name for pair in pairs if reached & set(pair) for name in pair}
    assert reached == {"song 2", *many}


def test_pairs_do_not_depend_on_the_order_of_songs(originals):
    copies = {f"{name}, again": words[20:] for name, words in originals.items()}
    everything = {**originals, **copies}
    pairs = duplicates(everything)
    assert pairs == [(name, f"{name}, again") for name in sorted(originals)]
    assert duplicates(dict(reversed(everything.items()))) == pairs


def test_of_very_many_words_some_find_the_copies(originals, monkeypatch):
    everything = {**originals, **{f"{name}, again": each[20:] for name, each in originals.items()}}
    total = sum(map(len, everything.values()))
    monkeypatch.setattr(near_duplicates, "PASS_WORDS", total // 8)
    looked_up = [len(words) for words, _, _ in near_duplicates._index([*everything.values()])]
    assert len(looked_up) == near_duplicates.MOST_PASSES
    assert sum(looked_up) < 0.6 * total
    assert duplicates(everything) == [(name, f"{name}, again") for name in sorted(originals)]


def test_silence_and_steady_tones_match_nothing():
    time = np.arange(40 * SONG_RATE_HZ) / SONG_RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (330.0, 440.0, 550.0))
    noise = np.random.default_rng(0).standard_normal(10 * SONG_RATE_HZ)
    signals = {
        "silence": np.zeros(len(time)),
        "more silence": np.zeros(len(time) // 2),
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time),
        "tone in 16 bits": np.round(16_000 * np.sin(2 * np.pi * 440 * time + 1)) / 32_768,
        "chord": 0.1 * chord,
        "quieter chord": np.round(3000 * chord) / 32_768,
        # Long silence and a few seconds of a song are no ten seconds of it.
        "noise": np.concatenate([np.zeros(30 * SONG_RATE_HZ), noise]),
        "part of the noise": np.concatenate(
            [np.zeros(30 * SONG_RATE_HZ), noise[: 8 * SONG_RATE_HZ]]
        ),
    }
    words = {
        name: acoustic_fingerprint(signal[None].astype(np.float32), SONG_RATE_HZ)
        for name, signal in signals.items()
    }
    assert not words["silence"].any()
    assert np.count_nonzero(np.bitwise_count(words["tone in 16 bits"][1:-1]) >= 6) < 9
    assert duplicates(words) == []


def test_words_are_the_signs_of_the_paper():
    # Haitsma & Kalker 2002, equation 1, on frames computed here one by one.
    signal = np.random.default_rng(0).standard_normal(8 * 2048).astype(np.float32)
    words = acoustic_fingerprint(signal[None], RATE_HZ)

    edges = np.round(np.geomspace(300, 2000, 34) * 2048 / RATE_HZ).astype(int)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    starts = range(0, len(signal) - 2047, 256)
    power = [np.abs(np.fft.rfft(signal[at : at + 2048] * window)) ** 2 for at in starts]
    energy = np.array(
        [[frame[edges[m] : edges[m + 1]].sum() for m in range(33)] for frame in power]
    )
    expected = [
        sum(int(now[m] - now[m + 1] - (last[m] - last[m + 1]) > 0) << (31 - m) for m in range(32))
        for last, now in pairwise(energy)
    ]
    assert len(words) == len(expected) == 56
    assert np.bitwise_count(words ^ np.array(expected, np.uint32)).sum() < 5


def test_blocks_and_stems_give_the_words_of_the_mix(songs):
    song = songs[0]
    whole = acoustic_fingerprint(song.mix, SONG_RATE_HZ)
    starts = range(0, song.mix.shape[1], 70_001)
    blocks = acoustic_fingerprint((song.mix[:, at : at + 70_001] for at in starts), SONG_RATE_HZ)
    np.testing.assert_array_equal(blocks, whole)

    mix = MixFingerprint(SONG_RATE_HZ)
    for stem in song.stems.values():
        with mix.adding() as adding:
            passed = list(adding(iter([stem])))
        np.testing.assert_array_equal(passed, [stem])
    with suppress(TrackError), mix.adding() as adding:
        list(adding([song.mix]))
        raise TrackError("undecodable", "A stem that breaks off counts for nothing.")
    rate, count = bit_error_rate(whole, mix.words(), 0)
    assert count > 0.9 * len(whole)
    assert rate < 0.001


def test_what_is_too_short_has_no_words():
    short = acoustic_fingerprint(np.ones((1, 2000), np.float32), RATE_HZ)
    assert (short.dtype, len(short)) == (np.uint32, 0)
    assert duplicates({"a": short, "b": short}) == []
    assert duplicates({}) == []
    assert MixFingerprint(RATE_HZ).words().shape == (0,)


def test_bit_error_rate_counts_bits_over_the_overlap():
    first = np.full(10, 0x0F0F0F0F, np.uint32)
    second = np.full(10, 0x0F0F0F0E, np.uint32)
    second[3] = 0
    assert bit_error_rate(first, second, 0) == (1 / 32, 9)
    assert bit_error_rate(first, second, 4) == (1 / 32, 6)
    assert bit_error_rate(first, second, -4) == (1 / 32, 5)
    assert bit_error_rate(first, second, 12) == (0.5, 0)


def test_copies_are_found_among_many_songs():
    rng = np.random.default_rng(0)
    many = {f"{n:04d}": rng.integers(0, 2**32, 3000, dtype=np.uint32) for n in range(300)}
    for name in ("0007", "0123"):
        flips = np.packbits(rng.random((3000, 32)) < 0.15, axis=1).view(">u4")[:, 0]
        many[f"{name}, again"] = (many[name] ^ flips.astype(np.uint32))[200:]
    # Some words in common, at one offset too, make no copy.
    many["0200"][1000:1009] = many["0100"][500:509]
    assert duplicates(many) == [("0007", "0007, again"), ("0123", "0123, again")]
