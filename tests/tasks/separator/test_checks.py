"""Each kind of wrong data: one sentence, before the first step."""

from pathlib import Path

import numpy as np
import pytest

from tasks.separator.checks import Checked, check_decoded, check_found
from tasks.separator.data_error import DataError
from tasks.separator.decode import DecodeConfig
from tasks.separator.likeness import EMPTY
from tasks.separator.training_song import SOURCES
from tasks.track import TrackError
from tests.tasks.separator.band import (
    SECONDS,
    band,
    decoded,
    found,
    low_noise,
    noise,
    write,
    write_band,
    write_song,
)
from tests.tasks.stems.makers import write_zipped_song


def checked(place: Path, sources: tuple[str, ...] = SOURCES) -> Checked:
    """What is said of a folder."""
    config = DecodeConfig(sources=sources)
    there = found(place, sources)
    check_found(there, str(place), sources)
    rows = decoded(place, place / "out", there.songs, config)
    pairs = [
        (song, row)
        for song, row in zip(there.songs, rows, strict=True)
        if not isinstance(row, TrackError)
    ]
    return check_decoded([song for song, _ in pairs], [row for _, row in pairs], str(place), config)


def stopped(place: Path, sources: tuple[str, ...] = SOURCES) -> str:
    """The sentence that stops a training."""
    with pytest.raises(DataError) as caught:
        checked(place, sources)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said.replace(str(place), "HERE")


def test_good_data_are_said(tmp_path: Path):
    write_band(tmp_path)
    said = checked(tmp_path)
    assert said.notices == []
    assert said.lines[0] == "train: 1 song, 0.0 min"
    assert len(said.lines) == 3 * 5
    assert "  vocals: sounds for 0.0 min, 0% silent, -24.8 dB RMS" in said.lines


def test_nothing_there(tmp_path: Path):
    assert stopped(tmp_path).startswith("HERE holds no audio: --data_root takes MUSDB18 (")
    (tmp_path / "notes.txt").write_text("text")
    assert stopped(tmp_path).startswith("HERE holds no audio")


def test_archives_alone(tmp_path: Path):
    write_zipped_song(tmp_path / "Song.zip", ["drums.wav", "bass.wav"])
    assert "flows/prepare_stems.py" in stopped(tmp_path)


def test_no_stem_known(tmp_path: Path):
    for name in ("a", "b"):
        write_song(tmp_path / name, {"x1": noise(1), "x2": noise(2)})
    assert stopped(tmp_path) == (
        "HERE holds no song to train on: a holds no stem whose name tells a source."
    )


def test_one_song_only(tmp_path: Path):
    write_band(tmp_path, songs=1)
    assert stopped(tmp_path).startswith("HERE holds one song only (Band 0 - Song): ")


def test_a_source_that_no_song_has(tmp_path: Path):
    for seed in range(3):
        write_song(tmp_path / f"S{seed}", band(seed, ("vocals", "drums", "other")))
    assert stopped(tmp_path) == (
        "No song of HERE has bass (only drums, other, vocals): name its files or folders "
        "after it, or leave it out of --sources."
    )
    assert checked(tmp_path, ("vocals", "drums", "other")).notices == []


def test_songs_of_the_test_only(tmp_path: Path):
    (tmp_path / "songs.csv").write_text(
        "vocals,drums,bass,other,split\n"
        + "".join(
            f"S{n}/vocals.wav,S{n}/drums.wav,S{n}/bass.wav,S{n}/other.wav,test\n" for n in "01"
        )
    )
    for seed in range(2):
        write_song(tmp_path / f"S{seed}", band(seed))
    assert "no song to train on: all 2" in stopped(tmp_path)


def test_all_silent(tmp_path: Path):
    silence = np.zeros_like(noise(0))
    for seed in range(3):
        # Of different lengths, or they would be copies.
        stems = dict.fromkeys(SOURCES, silence[: -seed - 1])
        write_song(tmp_path / f"S{seed}", stems)
    assert stopped(tmp_path).startswith(
        "All sources are silent in every song to train on in HERE (1): "
    )


def test_one_source_silent(tmp_path: Path):
    write_band(tmp_path, bass=np.zeros_like(noise(0)))
    assert stopped(tmp_path).startswith("bass is silent in every song to train on in HERE (1): ")


def test_the_same_files_under_two_sources(tmp_path: Path):
    write_band(tmp_path)
    for folder in tmp_path.iterdir():
        (folder / "drums.wav").write_bytes((folder / "vocals.wav").read_bytes())
    assert stopped(tmp_path) == (
        "vocals and drums are the same recording in 1 of 1 song to train on in HERE: one of them "
        "lies in the wrong folder."
    )


def test_the_mix_in_place_of_a_source(tmp_path: Path):
    for seed in range(3):
        stems = band(seed)
        write_song(tmp_path / f"S{seed}", stems | {"vocals": sum(stems.values())})
    assert stopped(tmp_path).startswith("vocals is the whole mix in 1 of 1 song")


def test_names_that_contradict_their_folder(tmp_path: Path):
    for number, source in enumerate(("vocals", "drums", "bass", "other")):
        for index in range(4):
            signal = (low_noise if source == "bass" else noise)(10 * number + index)
            write(tmp_path / source / f"{source} {index} {number}.wav", signal)
    (tmp_path / "vocals").rename(tmp_path / "x")
    (tmp_path / "drums").rename(tmp_path / "vocals")
    (tmp_path / "x").rename(tmp_path / "drums")
    said = stopped(tmp_path)
    assert said.startswith("drums/vocals 0 0.wav is named vocals and lies in the folder drums (")


def test_a_bass_that_is_brighter_than_the_drums_is_said(tmp_path: Path):
    for seed in range(3):
        stems = band(seed)
        swapped = {"bass": stems["drums"], "drums": stems["bass"]}
        write_song(tmp_path / f"S{seed}", stems | swapped)
    [notice, *_] = checked(tmp_path).notices
    assert notice.startswith("bass is brighter than drums in 3 of 3 songs")


def test_what_only_some_songs_have_is_said(tmp_path: Path):
    write_band(tmp_path, songs=8)
    song = next(s for s in found(tmp_path).songs if s.split == "train")
    (tmp_path / song.path / "vocals.wav").unlink()
    write(tmp_path / song.path / "drums.wav", noise(77, SECONDS / 2))
    notices = checked(tmp_path).notices
    assert "vocals is missing from 1 song of 8, and taken to be silent there." in notices
    assert not any("validate" in each for each in notices)
    assert any(each.startswith("shorter-stem in 1 song of 8, for example: ") for each in notices)


def test_a_source_that_nothing_validates_is_said(tmp_path: Path):
    write_band(tmp_path, songs=8)
    songs, config = found(tmp_path).songs, DecodeConfig()
    rows = [
        row for row in decoded(tmp_path, tmp_path / "out", songs, config) if isinstance(row, dict)
    ]
    at = SOURCES.index("vocals")
    said = "vocals is silent in all songs that validate: nothing tells how well it is separated."
    assert said not in check_decoded(songs, rows, "HERE", config).notices
    for song, row in zip(songs, rows, strict=True):
        if song.split == "validation":
            row["flags"][at] = [EMPTY]
    assert said in check_decoded(songs, rows, "HERE", config).notices


def test_songs_that_cannot_be_decoded_leave_too_few(tmp_path: Path):
    write_band(tmp_path, songs=2)
    for name in ("Band 0 - Song", "Band 1 - Song"):
        path = tmp_path / name / "bass.wav"
        path.write_bytes(path.read_bytes()[:2000] + b"\0" * 10)
        said = stopped(tmp_path)
    assert said == (
        "No song of HERE can be decoded: the list of failures says why the others cannot."
    )
