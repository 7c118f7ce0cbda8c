"""What lies in the store against what was written, and what becomes of files that are not whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks import audio
from tasks.separator import store
from tasks.separator.decode import STEP, DecodeConfig, stored_song
from tasks.separator.planes import Planes
from tasks.step import COMMON_COLUMNS, Row
from tasks.track import TrackError
from tests.tasks.separator.band import (
    RATE_HZ,
    band,
    decoded,
    found,
    low_noise,
    noise,
    write,
    write_song,
)
from tests.tasks.stems.makers import write_musdb18


def one(place: Path, outputs: Path, **options: Any) -> Row:
    """Row of the one song of a folder."""
    config = DecodeConfig(**options)
    songs = found(place, config.sources).songs
    [row] = decoded(place, outputs, songs, config)
    assert not isinstance(row, TrackError), row.message
    # As the engine stores it.
    assert pa.Table.from_pylist([row], schema=STEP.columns).num_rows == 1
    assert not set(STEP.columns.names) & set(COMMON_COLUMNS.names)
    store.write_index(
        Storage(str(outputs)),
        "songs",
        sample_rate_hz=config.sample_rate_hz,
        channels=config.channels,
        sources=config.sources,
        has_mixture=config.mixture == "own",
        songs=[stored_song(song, row) for song in songs],
    )
    return row


def samples(outputs: Path) -> np.ndarray:
    """Planes of the one song of a store, full scale being 1."""
    read = store.read(str(outputs / "songs.json"))
    return read.samples(read.songs[0]) / np.float32(store.FULL_SCALE)


def error(place: Path, outputs: Path, **options: Any) -> TrackError:
    """Why the one song of a folder cannot be stored; nothing of it is."""
    config = DecodeConfig(**options)
    [caught] = decoded(place, outputs, found(place).songs, config)
    assert isinstance(caught, TrackError)
    assert caught.message.endswith(".")
    assert not [path for path in outputs.rglob("*") if path.is_file()]
    return caught


def test_planes_are_the_sources_in_order_and_stems_of_one_add_up(tmp_path: Path):
    kick, voice = noise(1, channels=2), noise(2, channels=2)
    stems = {
        "Kick": kick,
        "Snare": noise(3, channels=2),
        "Lead Vox": voice,
        "Gtr": noise(4, channels=2),
    }
    write_song(
        tmp_path / "Song", stems | {"Shaker": noise(5, channels=2), "Mix": noise(6, channels=2)}
    )
    row = one(tmp_path, tmp_path / "out", channels=2)
    planes = samples(tmp_path / "out")
    assert planes.shape == (4, len(kick), 2)
    drums = kick + noise(3, channels=2) + noise(5, channels=2)
    for plane, source in zip(planes, (voice, drums, 0 * kick, stems["Gtr"]), strict=True):
        assert np.abs(plane - source).max() < 3 / store.FULL_SCALE
    assert row["flags"] == [[], [], ["empty"], []]
    assert row["rms_dbfs"][0] == pytest.approx(20 * np.log10(0.1 / 3**0.5), abs=0.1)
    assert row["rms_dbfs"][2] is None
    assert row["silent_share"] == [0, 0, 1, 0]
    assert row["gain_db"] == 0


def test_streams_of_one_file_are_stored_as_each_is_decoded(tmp_path: Path):
    write_musdb18(tmp_path / "A - B.stem.mp4", 1.0)
    one(tmp_path, tmp_path / "out", channels=2, mixture="own")
    planes = samples(tmp_path / "out")
    for plane, stream in zip(planes, (4, 1, 2, 3, 0), strict=True):
        alone = audio.load(
            Storage(str(tmp_path)),
            "A - B.stem.mp4",
            rate_hz=RATE_HZ,
            channels=2,
            audio_stream=stream,
        )
        assert np.abs(plane - alone.T).max() <= 0.51 / store.FULL_SCALE


def test_stems_are_stored_with_the_gain_of_their_song(tmp_path: Path):
    write_song(tmp_path / "Song", band(1))
    [song] = found(tmp_path).songs
    softer = [
        replace(file, gain_db=-6.0) if file.source == "drums" else file for file in song.files
    ]
    config = DecodeConfig()
    rows = [
        decoded(tmp_path, tmp_path / "out", [each], config)[0]
        for each in (song, replace(song, files=softer))
    ]
    levels = [row["rms_dbfs"] for row in rows if not isinstance(row, TrackError)]
    assert np.subtract(*levels) == pytest.approx([0, 6, 0, 0], abs=1e-4)


def test_windows_tell_where_a_source_sounds(tmp_path: Path):
    voice = noise(1, 2.2)
    voice[:RATE_HZ] = 0
    voice[RATE_HZ + RATE_HZ // 2 : 2 * RATE_HZ] *= np.float32(10**-4)
    write_song(tmp_path / "Song", {"vocals": voice, "drums": noise(2, 2.2)})
    row = one(tmp_path, tmp_path / "out")
    assert row["active"] == ["00101", "11111", "00000", "00000"]
    assert row["silent_share"][0] == pytest.approx(3 / 5)


def test_a_sum_above_full_scale_is_stored_softer_by_one_gain(tmp_path: Path):
    stems = {
        "vocals": noise(1, level=0.9),
        "kick": noise(2, level=0.9),
        "snare": noise(3, level=0.9),
    }
    write_song(tmp_path / "Song", stems)
    row = one(tmp_path, tmp_path / "out")
    planes = samples(tmp_path / "out")
    gain = 10 ** (row["gain_db"] / 20)
    assert row["gain_db"] < -3
    assert np.abs(planes[0] - gain * stems["vocals"]).max() < 3 / store.FULL_SCALE
    assert np.abs(planes[1] - gain * (stems["kick"] + stems["snare"])).max() < 3 / store.FULL_SCALE
    assert np.abs(planes.sum(axis=0)).max() == pytest.approx(1, abs=1e-3)


def test_the_address_is_of_the_content_and_of_what_changes_samples(tmp_path: Path):
    write_song(tmp_path / "Song", band(1))
    path = one(tmp_path, tmp_path / "out")["path"]
    (tmp_path / "Song").rename(tmp_path / "Elsewhere")
    assert one(tmp_path, tmp_path / "out")["path"] == path
    assert one(tmp_path, tmp_path / "out", match=True)["path"] == path
    others = {one(tmp_path, tmp_path / "out", sample_rate_hz=22_050)["path"]}
    others.add(one(tmp_path, tmp_path / "out", channels=2)["path"])
    write_song(tmp_path / "Elsewhere", {"bass": low_noise(99)})
    others.add(one(tmp_path, tmp_path / "out")["path"])
    assert len(others | {path}) == 4


def test_other_rates_and_mono_are_said(tmp_path: Path):
    time = np.arange(48_000) / 48_000
    tone = (0.2 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)[:, None]
    write(tmp_path / "Song" / "vocals.wav", tone, 48_000)
    write(tmp_path / "Song" / "drums.wav", noise(1, 1.0, channels=2))
    row = one(tmp_path, tmp_path / "out", channels=2)
    plane = samples(tmp_path / "out")[0]
    assert row["frames"] == RATE_HZ
    expected = 0.2 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)
    inner = slice(500, -500)
    assert np.abs(plane[inner, 0] - expected[inner]).max() < 1e-3
    assert np.array_equal(plane[:, 0], plane[:, 1])
    assert row["brightness_hz"][0] == pytest.approx(1000, rel=0.01)
    assert [notice.partition(":")[0] for notice in row["audio_notices"]] == ["other-rate", "mono"]
    assert "48000 Hz; resampled to 44100 Hz" in row["audio_notices"][0]
    assert (row["rates_hz"], row["found_channels"]) == ([44_100, 48_000], [1, 2])


def test_a_shorter_stem_ends_in_silence_and_is_said(tmp_path: Path):
    write_song(tmp_path / "Song", {"vocals": noise(1, 1.0), "drums": noise(2, 1.3)})
    row = one(tmp_path, tmp_path / "out")
    planes = samples(tmp_path / "out")
    assert planes.shape[1] == round(1.3 * RATE_HZ)
    assert not planes[0, RATE_HZ:].any()
    [notice] = row["audio_notices"]
    assert notice.startswith("shorter-stem: Song/vocals.wav is 0.3 s shorter")


def test_a_stem_that_is_cut_off_is_no_silence(tmp_path: Path):
    write_song(tmp_path / "Song", band(1))
    path = write(tmp_path / "Song" / "bass.wav", noise(7, 3.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    caught = error(tmp_path, tmp_path / "out")
    assert caught.reason == "damaged"
    assert "Song/bass.wav is not whole: The header states 3.0 s, but 1.5 s" in caught.message


def test_a_missing_stream_is_no_silence(tmp_path: Path):
    whole = write_musdb18(tmp_path / "whole" / "x.stem.mp4", 0.5)
    (tmp_path / "songs").mkdir()
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "songs" / "A - B.stem.mp4"), "w", format="mp4") as target,
    ):
        kept = source.streams.audio[:3]
        copies = {stream.index: target.add_stream_from_template(stream) for stream in kept}
        for packet in source.demux(*kept):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    caught = error(tmp_path / "songs", tmp_path / "out")
    assert (caught.reason, "it has 3." in caught.message) == ("missing-stream", True)


def test_a_song_without_its_own_mixture_is_told_to_do_without(tmp_path: Path):
    write_song(tmp_path / "Song", band(1))
    caught = error(tmp_path, tmp_path / "out", mixture="own")
    assert caught.reason == "no-mixture"
    assert "--mixture sum" in caught.message


def test_samples_at_the_scale_of_integers_are_brought_to_one(tmp_path: Path):
    import soundfile

    write_song(tmp_path / "Song", band(1))
    loud = noise(5, level=20_000)
    soundfile.write(tmp_path / "Song" / "vocals.wav", loud, RATE_HZ, subtype="FLOAT")
    row = one(tmp_path, tmp_path / "out")
    assert (
        np.abs(samples(tmp_path / "out")[0] * 2**15 - loud * 10 ** (row["gain_db"] / 20)).max() < 2
    )
    assert row["audio_notices"][0].startswith("integer-scale: Song/vocals.wav: ")


def test_a_stem_on_one_side_stays_there(tmp_path: Path):
    left = noise(1, channels=2)
    left[:, 1] = 0
    write_song(tmp_path / "Song", {"vocals": left, "drums": noise(2, channels=2)})
    one(tmp_path, tmp_path / "out", channels=2)
    assert not samples(tmp_path / "out")[0, :, 1].any()


def test_sources_that_are_others_are_flagged(tmp_path: Path):
    stems = band(1)
    write_song(tmp_path / "same", stems | {"other": 0.5 * stems["drums"]})
    assert one(tmp_path / "same", tmp_path / "a")["flags"] == [
        [],
        ["same as other"],
        [],
        ["same as drums"],
    ]
    rest = stems["drums"] + stems["bass"] + stems["other"]
    write_song(tmp_path / "whole", stems | {"vocals": stems["vocals"] + rest})
    assert one(tmp_path / "whole", tmp_path / "b")["flags"] == [["mixture"], [], [], []]
    write_song(tmp_path / "own", {"vocals": stems["vocals"] + rest, "drums": stems["drums"]})
    write(tmp_path / "own" / "mixture.wav", stems["vocals"] + rest)
    row = one(tmp_path / "own", tmp_path / "c", mixture="own")
    assert row["flags"][:2] == [["mixture"], []]


def test_the_residual_of_the_own_mixture(tmp_path: Path):
    stems = band(1)
    mixture = sum(stems.values())
    write_song(tmp_path / "Song", {**stems, "mixture": mixture + noise(50, level=0.01)})
    row = one(tmp_path, tmp_path / "out", mixture="own")
    expected = 20 * np.log10(np.std(noise(50, level=0.01)) / np.std(mixture))
    assert row["mixture_residual_db"] == pytest.approx(expected, abs=0.1)


def test_tempo_and_key_are_found_where_they_are_asked_for(tmp_path: Path):
    # A minor over clicks at 120 bpm: A C E, then D F A, then E G B.
    time = np.arange(16 * RATE_HZ) / RATE_HZ
    chords = ((57, 60, 64), (62, 65, 69), (64, 67, 71), (57, 60, 64))
    music = np.zeros(len(time))
    for bar in range(8):
        part = (time >= 2 * bar) & (time < 2 * bar + 2)
        for pitch in chords[bar % 4]:
            for order in (1, 2, 3):
                hz = order * 440 * 2 ** ((pitch - 69) / 12)
                music[part] += 0.05 / order * np.sin(2 * np.pi * hz * time[part])
    clicks = np.zeros(len(time), np.float32)
    for beat in np.arange(0, 16, 0.5):
        at = round(beat * RATE_HZ)
        clicks[at : at + 800] = noise(int(2 * beat), 1.0, level=0.5)[:800, 0]
    write_song(
        tmp_path / "Song", {"piano": music.astype(np.float32)[:, None], "drums": clicks[:, None]}
    )
    row = one(tmp_path, tmp_path / "out", match=True)
    assert row["tempo_bpm"] == pytest.approx(120, rel=0.01)
    assert row["major_key"] == 0
    assert one(tmp_path, tmp_path / "out")["tempo_bpm"] is None


def test_planes_add_where_samples_are_and_grow_where_none_were(tmp_path: Path):
    with Planes(tmp_path, 2, 1) as planes:
        planes.add(0, 0, np.ones((1, 10), np.float32))
        planes.add(0, 5, np.ones((1, 10), np.float32))
        planes.add(1, 0, np.full((1, 3), 3, np.float32))
        [*blocks] = planes.blocks(4)
        whole = np.concatenate(blocks, axis=1)[..., 0]
    assert whole[0].tolist() == [1] * 5 + [2] * 5 + [1] * 5
    assert whole[1].tolist() == [3] * 3 + [0] * 12
    assert not list(tmp_path.iterdir())
