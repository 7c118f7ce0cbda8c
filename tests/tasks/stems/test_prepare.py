"""Sources to the prepared folder: convert, identify and the table of stems together."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from blocks.storage import Storage
from tasks import audio
from tasks.corpora import prepared as prepared_table
from tasks.corpora.prepared import NotPreparedError
from tasks.dataset.failures import FAILURES
from tasks.stems import prepared_stems
from tasks.stems.convert import ConvertConfig
from tasks.stems.identify import IdentifyConfig
from tests.tasks.stems.makers import write_musdb18, write_zip
from tests.tasks.stems.studio import RATE_HZ, Prepared, melody, prepare, write_song


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_song(folder / "Ana" / "First", ["guitar", "Bass DI", "kick in"], seed=1, seconds=13)
    write_song(folder / "Ana" / "Second", ["gtr", "drums"], seed=2, channels=1)
    whole = write_song(folder / "Bob" / "Third", ["lead vox", "piano", "full mix"], seed=3)
    archive = {path.name: path.read_bytes() for path in whole.iterdir()}
    write_zip(folder / "Bob" / "Third.zip", archive)
    shutil.rmtree(whole)
    # The song of Ana again, somewhat softer and in another format, under another name.
    for path in sorted((folder / "Ana" / "First").iterdir()):
        signal, rate_hz = soundfile.read(path)
        copy = folder / "Cover Band" / "1st" / f"{path.stem}.flac"
        copy.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(copy, 0.8 * signal, rate_hz)
    return folder


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(source, tmp_path_factory.mktemp("prepared"))


def stem(prepared: Prepared, name: str) -> dict:
    [row] = [row for row in prepared.stems if row["stem"] == name]
    return row


def test_every_stem_is_in_the_table_with_its_instrument(prepared: Prepared):
    found = {(row["artist"], row["song"], row["stem"], row["instrument"]) for row in prepared.stems}
    assert found == {
        ("Ana", "First", "guitar", "guitar"),
        ("Ana", "First", "Bass DI", "bass"),
        ("Ana", "First", "kick in", "drum"),
        ("Ana", "Second", "gtr", "guitar"),
        ("Ana", "Second", "drums", "drum"),
        # Its mix is no stem.
        ("Bob", "Third", "lead vox", "vocals"),
        ("Bob", "Third", "piano", "piano"),
        ("Cover Band", "1st", "guitar", "guitar"),
        ("Cover Band", "1st", "Bass DI", "bass"),
        ("Cover Band", "1st", "kick in", "drum"),
    }
    assert prepared.failures == []
    assert prepared_table.read(prepared.storage) == prepared.stems


def test_stems_are_opus_of_the_same_length_and_sound(prepared: Prepared):
    row = stem(prepared, "gtr")
    info = audio.probe(prepared.storage, row["path"])
    assert "OPUS" in info.format.upper()
    assert (info.channels, row["source_channels"], row["source_rate_hz"]) == (1, 1, RATE_HZ)
    assert row["duration_seconds"] == pytest.approx(4.0, abs=1 / 48_000)
    heard = audio.load(prepared.storage, row["path"], rate_hz=RATE_HZ, channels=1)[0]
    original = melody(200, 4.0, channels=1)[:, 0]
    assert len(heard) == len(original)
    residual = heard - original
    # Opus at 160 kb/s: a clean copy without delay, which half a sample would spoil.
    assert np.sum(original**2) / np.sum(residual**2) > 10 ** (20 / 10)


def test_levels_are_those_of_the_signal(prepared: Prepared):
    row, signal = stem(prepared, "piano"), melody(301, 4.0)
    assert row["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(signal).max()), abs=0.2)
    assert row["clipped_samples"] == 0
    assert row["active_fraction"] > 0.95
    assert -40 < row["loudness_lufs"] < -10


def test_songs_of_one_artist_and_copies_of_one_recording_stay_together(prepared: Prepared):
    groups = {row["song"]: row["group"] for row in prepared.stems}
    assert groups["First"] == groups["Second"] == groups["1st"]
    assert groups["Third"] != groups["First"]


def test_songs_hold_stems_of_use_only(prepared: Prepared):
    songs = prepared.songs
    assert [song.title for song in songs] == ["First", "Second", "Third", "1st"]
    assert sorted(each.instrument for each in songs[0].stems) == ["bass", "drum", "guitar"]
    assert len({song.track_id for song in songs}) == 4


def test_nothing_is_computed_again_and_the_table_stays(source: Path, prepared: Prepared):
    table = Path(prepared.storage.address, prepared_table.MANIFEST)
    before = table.stat()
    again = prepare(source, Path(prepared.storage.address))
    assert again.carried.computed == {}
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_synonyms_convert_nothing_again(source: Path, tmp_path: Path):
    prepare(source, tmp_path)
    more = IdentifyConfig(synonyms=("synth=gtr",))
    again = prepare(source, tmp_path, identify=more)
    assert again.carried.computed == {"identify": 4}
    assert stem(again, "gtr")["instrument"] == "synth"


def test_synonyms_of_what_is_no_instrument_are_refused():
    with pytest.raises(ValidationError, match="tuba"):
        IdentifyConfig(synonyms=("tuba=sousaphone",))
    with pytest.raises(ValidationError, match="guitar=tele"):
        IdentifyConfig(synonyms=("guitar",))


def remarks(prepared: Prepared) -> dict[str, tuple[str, bool]]:
    """Reason of each remark, and whether the file is in the dataset, by the file's name."""
    return {
        re.split(r"[:/] ?", row["file_path"])[-1]: (row["reason"], row["in_dataset"])
        for row in prepared.failures
    }


def test_what_is_wrong_with_a_stem_is_said_and_the_others_go_on(tmp_path: Path):
    folder = write_song(tmp_path / "in" / "Eve" / "Odd", ["guitar", "drums", "noises"], seed=4)
    soundfile.write(folder / "piano.wav", np.zeros((4 * RATE_HZ, 2)), RATE_HZ)
    short = melody(5, 2.0)
    soundfile.write(folder / "bass.wav", short, RATE_HZ)
    soundfile.write(folder / "synth.wav", melody(6, 4.0)[: 4 * 22_050], 22_050)
    quiet = melody(7, 4.0)
    quiet[RATE_HZ:] = 0
    soundfile.write(folder / "strings.wav", quiet, RATE_HZ)
    (folder / "vocals.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt ")
    shutil.copy(folder / "guitar.wav", folder / "guitar copy.wav")
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert remarks(found) == {
        "noises.wav": ("unknown-instrument", False),
        "piano.wav": ("silent-stem", False),
        "strings.wav": ("silent-stem", False),
        "bass.wav": ("shorter-stem", True),
        "synth.wav": ("other-sample-rate", True),
        "vocals.wav": ("undecodable", False),
        "guitar copy.wav": ("duplicate-stem", False),
    }
    assert all(re.fullmatch(r"[^\n]+\.", row["message"]) for row in found.failures)
    [song] = found.songs
    assert sorted(each.instrument for each in song.stems) == ["bass", "drum", "guitar", "synth"]


def test_a_song_without_stems_is_one_failure(tmp_path: Path):
    write_song(tmp_path / "in" / "Eve" / "Odd", ["a", "b"], seed=8)
    broken = {
        "guitar.wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
        "drums.wav": b"RIFF\x00\x00\x00\x00WAVE",
    }
    write_zip(tmp_path / "in" / "Eve" / "broken.zip", broken)
    write_song(tmp_path / "in" / "Fay" / "Good", ["bass", "drums"], seed=9)
    found = prepare(tmp_path / "in", tmp_path / "out")
    reasons = {row["file_path"]: (row["step"], row["reason"]) for row in found.failures}
    assert reasons["Eve/Odd"] == ("identify", "no-known-instrument")
    assert reasons["Eve/broken.zip"] == ("convert", "no-stems")
    assert {row["song"] for row in found.stems} == {"Good"}


def test_streams_of_one_file_are_stems_of_their_own(tmp_path: Path):
    write_musdb18(tmp_path / "in" / "train" / "Ana - Song.stem.mp4")
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert {(row["artist"], row["instrument"]) for row in found.stems} == {
        ("Ana", name) for name in ("drum", "bass", "other", "vocals")
    }
    # The maker puts 220, 440, 660 and 880 Hz into them.
    for row in found.stems:
        signal = audio.load(found.storage, row["path"], rate_hz=48_000, channels=1)[0]
        spectrum = np.abs(np.fft.rfft(signal))
        peak_hz = spectrum.argmax() * 48_000 / len(signal)
        expected = {"drum": 220, "bass": 440, "other": 660, "vocals": 880}[row["instrument"]]
        assert peak_hz == pytest.approx(expected, abs=5)


def test_a_stem_that_is_too_long_is_refused(tmp_path: Path):
    write_song(tmp_path / "in" / "Eve" / "Song", ["guitar", "drums"], seed=10)
    found = prepare(tmp_path / "in", tmp_path / "out", ConvertConfig(max_minutes=0.05))
    [failure] = found.failures
    assert (failure["reason"], failure["in_dataset"]) == ("no-stems", False)
    assert "--convert.max_minutes" in failure["message"]


def test_songs_whose_source_was_deleted_stay(tmp_path: Path):
    write_song(tmp_path / "in" / "Eve" / "Song", ["guitar", "drums"], seed=11)
    write_song(tmp_path / "in" / "Fay" / "Song", ["bass", "drums"], seed=12)
    found = prepare(tmp_path / "in", tmp_path / "out")
    [gone] = [song for song in found.found.songs if song.artist == "Eve"]
    prepared_stems.mark_deleted(found.storage, {gone.track_id})
    shutil.rmtree(tmp_path / "in" / "Eve")
    again = prepare(tmp_path / "in", tmp_path / "out")
    assert {(row["artist"], row["source_deleted"]) for row in again.stems} == {
        ("Eve", True),
        ("Fay", False),
    }
    shutil.rmtree(tmp_path / "in" / "Fay")
    write_song(tmp_path / "in" / "Gil" / "Song", ["bass", "drums"], seed=13)
    again = prepare(tmp_path / "in", tmp_path / "out")
    # What is gone without that is gone from the table too.
    assert {row["artist"] for row in again.stems} == {"Eve", "Gil"}


def test_a_folder_that_is_not_prepared_is_said(tmp_path: Path):
    with pytest.raises(NotPreparedError, match=r"prepare_stems\.py SOURCE"):
        prepared_table.read(Storage(str(tmp_path)))
    (tmp_path / prepared_table.MANIFEST).write_bytes(b"PAR1 and no more")
    with pytest.raises(NotPreparedError):
        prepared_table.read(Storage(str(tmp_path)))


def test_failures_are_lines_of_json(prepared: Prepared, tmp_path: Path):
    write_song(tmp_path / "in" / "Eve" / "Odd", ["guitar", "drums", "noises"], seed=4)
    found = prepare(tmp_path / "in", tmp_path / "out")
    lines = found.storage.read_bytes(FAILURES).decode().splitlines()
    assert [json.loads(line) for line in lines] == found.failures
    assert len(lines) == 1


def test_an_archive_of_several_songs_is_refused(tmp_path: Path):
    song = write_song(tmp_path / "song", ["guitar", "drums"], seed=30)
    stems = {path.name: path.read_bytes() for path in song.iterdir()}
    both = {f"{folder}/{name}": data for folder in ("One", "Two") for name, data in stems.items()}
    write_zip(tmp_path / "in" / "Eve" / "album.zip", both)
    # Takes of one stem in folders of their own are one song.
    takes = {f"{name[:-4]}/take 1.wav": data for name, data in stems.items()}
    write_zip(tmp_path / "in" / "Eve" / "takes.zip", takes | {"guitar.wav": stems["guitar.wav"]})
    found = prepare(tmp_path / "in", tmp_path / "out")
    reasons = {row["file_path"]: row["reason"] for row in found.failures}
    assert reasons["Eve/album.zip"] == "several-songs"
    assert {row["song"] for row in found.stems} == {"takes"}
