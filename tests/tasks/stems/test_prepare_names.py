"""Names, folders and archives to the table of stems."""

import json
from pathlib import Path

import pytest
import soundfile

from flows import prepare_stems
from flows.prepare_stems_params import PrepareStemsParams
from tasks.corpora import prepared as prepared_table
from tasks.stems import prepared_stems, source_report
from tests.tasks.corpora.archives.test_zip_names import write_raw
from tests.tasks.stems.makers import write_zipped_song
from tests.tasks.stems.studio import RATE_HZ, Prepared, melody, prepare


def write(path: Path, seed: int, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, melody(seed, seconds, channels=1), RATE_HZ)


def rows(found: Prepared) -> set[tuple[str, str, str, str | None]]:
    return {(row["artist"], row["song"], row["stem"], row["instrument"]) for row in found.stems}


def remarks(found: Prepared) -> dict[str, tuple[str, bool]]:
    return {row["file_path"]: (row["reason"], row["in_dataset"]) for row in found.failures}


def test_folders_and_archives_of_instruments_are_songs_of_their_artist(tmp_path: Path):
    for number, name in enumerate(("Drums/Kick", "Drums/01", "Guitars/01", "Vocals/BGV")):
        write(tmp_path / "in" / "Artist" / "Song" / f"{name}.wav", number)
    write_zipped_song(
        tmp_path / "in" / "Zip" / "Numbered.zip",
        [f"Song/{part}/{number:02d}.wav" for part in ("Drums", "Bass") for number in (1, 2)],
    )
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert rows(found) == {
        ("Artist", "Song", "Drums/Kick", "drum"),
        ("Artist", "Song", "Drums/01", "drum"),
        ("Artist", "Song", "Guitars/01", "guitar"),
        ("Artist", "Song", "Vocals/BGV", "vocals"),
        *(("Zip", "Numbered", f"Drums/0{number}", "drum") for number in (1, 2)),
        *(("Zip", "Numbered", f"Bass/0{number}", "bass") for number in (1, 2)),
    }
    assert found.failures == []


def test_several_songs_in_one_place_are_several_or_refused(tmp_path: Path):
    for number, name in enumerate(("1_Alpha", "2_Beta - Love")):
        for at, kind in enumerate(("Vocals", "Drum", "Instrumental")):
            write(tmp_path / "in" / "UVR" / "out" / f"{name}_({kind}).wav", 10 * number + at)
    names = [f"{s}/{s}_{k}.wav" for s in ("Gamma", "Delta") for k in ("bass", "vocals")]
    write_zipped_song(tmp_path / "in" / "Deck" / "Album.zip", names)
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert {(artist, song) for artist, song, _, _ in rows(found)} == {
        ("Alpha", "Alpha"),
        ("Beta", "Love"),
    }
    assert {instrument for *_, instrument in rows(found)} == {"vocals", "drum"}
    assert remarks(found) == {"Deck/Album.zip": ("several-songs", False)}
    [failure] = found.failures
    assert "(Delta, Gamma)" in failure["message"]


def test_what_is_odd_in_a_song_as_a_whole_is_remarked_on(tmp_path: Path):
    folder = tmp_path / "in" / "A"
    for at, name in enumerate(("vocals", "no_vocals")):
        write(folder / "Two" / f"{name}.wav", at)
    for at, name in enumerate(("Gtr L", "Gtr R")):
        write(folder / "Duo" / f"{name}.wav", 10 + at)
    for at, name in enumerate(("Nick Vox", "Nick Gtr", "Anna Vox", "Anna Keys")):
        write(folder / "Band" / f"{name}.wav", 20 + at)
    for at, (name, seconds) in enumerate(
        {"drums": 1.0, "bass": 1.0, "drums b": 1.5, "bass b": 1.5}.items()
    ):
        write(folder / "Mixed" / f"{name}.wav", 30 + at, seconds)
    # Trimmed tracks are nothing odd, but that they are shorter.
    for at, (name, seconds) in enumerate({"drums": 2.0, "bass": 1.5, "vox": 1.0}.items()):
        write(folder / "Trimmed" / f"{name}.wav", 40 + at, seconds)
    found = prepare(tmp_path / "in", tmp_path / "out")
    whole = {path: said for path, said in remarks(found).items() if not path.endswith(".wav")}
    assert whole == {
        "A/Two": ("one-stem", True),
        "A/Duo": ("one-instrument", True),
        "A/Band": ("several-titles", True),
        "A/Mixed": ("unlike-lengths", True),
    }
    assert all(row["message"].endswith(".") for row in found.failures)


def test_parts_and_japanese_names_are_prepared(tmp_path: Path):
    for number, names in ((1, ["Gtr.wav", "Bass.wav"]), (2, ["Drums.wav", "Vox.wav"])):
        path = tmp_path / "in" / "Drive" / f"Song-20240501T101010Z-{number:03d}.zip"
        write_zipped_song(path, [f"Song/{name}" for name in names], 300 * number)
    (tmp_path / "in" / "Nihon").mkdir()
    names = ["ギター.wav", "ギターソ.wav", "ソ.wav", "表/guitar.wav"]
    write_raw(tmp_path / "in" / "Nihon" / "S.zip", [name.encode("cp932") for name in names])
    found = prepare(tmp_path / "in", tmp_path / "out")
    assert {row for row in rows(found) if row[0] == "Drive"} == {
        ("Drive", "Song", name, instrument)
        for name, instrument in zip(
            ("Gtr", "Bass", "Drums", "Vox"), ("guitar", "bass", "drum", "vocals"), strict=True
        )
    }
    assert {row[2:] for row in rows(found) if row[0] == "Nihon"} == {
        *(("ギター", "guitar"), ("ギターソ", "guitar"), ("ソ", None), ("表/guitar", "guitar"))
    }


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_summary_counts_what_was_passed_over_and_names_real_files(tmp_path: Path, slash: str):
    for at, name in enumerate(("Drums", "Bass", "Song MIX")):
        write(tmp_path / "in" / "A" / "Song" / f"{name}.wav", at)
    (tmp_path / "in" / "A" / "Song" / "Song.mid").write_bytes(b"MThd")
    (tmp_path / "in" / "A" / "Song" / "Thumbs.db").write_bytes(b"x")
    write_zipped_song(tmp_path / "in" / "B" / "Zip.zip", ["Gtr.wav", "Bass.wav", "x.ptx"], 700)
    found = prepare(tmp_path / "in", tmp_path / "out")
    left_out = prepared_stems.left_out(found.carried.results)
    notes = source_report.passed_over(found.found, left_out)
    assert notes == [
        "Left out as mixtures or guides, by their names: 1",
        "Passed over: 1 .mid, 1 .ptx",
    ]
    prepared_stems.write_left_out(found.storage, found.found, left_out)
    lines = (tmp_path / "out" / prepared_stems.LEFT_OUT).read_text("utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [
        ("A/Song/Song MIX.wav", "mixture"),
        ("B/Zip.zip: x.ptx", "not-audio"),
        ("A/Song/Song.mid", "not-audio"),
    ]
    params = PrepareStemsParams(source=str(tmp_path / "in"), output=f"{tmp_path}/out{slash}")
    said = prepare_stems.describe(params, found.stems, found.failures, notes)
    assert f": {tmp_path}/out/{prepared_table.MANIFEST}\n" in said
    assert notes[1] in said.splitlines()
