import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.storage import Storage
from tasks.corpora.discover import Discovery, discover
from tasks.corpora.layout import MAX_METADATA_BYTES
from tests.tasks.stems.makers import (
    UUID,
    slakh_stem,
    write_moisesdb,
    write_musdb18,
    write_musdb18_hq,
    write_slakh,
    write_stems,
    write_zipped_song,
)


def find(source: Path) -> Discovery:
    return discover(Storage(str(source)), None)


def only_failure(source: Path) -> tuple[str, str]:
    found = find(source)
    assert found.songs == []
    [failure] = found.failures
    return failure.path, failure.reason


def stems_of(source: Path) -> list[tuple[str, str, str | None, int]]:
    [song] = find(source).songs
    return [(stem.name, stem.path, stem.instrument, stem.stream) for stem in song.stems]


def test_archives_are_of_the_artist_their_folder_is_named_after(tmp_path: Path):
    write_zipped_song(tmp_path / "The Band" / "Song.ZIP", ["drums.wav", "bass.wav"])
    write_zipped_song(tmp_path / "alone.zip", ["drums.wav"], 900)
    found = find(tmp_path)
    assert [(s.path, s.artist, s.title, s.layout, s.archive, s.stems) for s in found.songs] == [
        ("The Band/Song.ZIP", "The Band", "Song", "archives", True, ()),
        ("alone.zip", "alone", "alone", "archives", True, ()),
    ]
    assert found.failures == []


@pytest.mark.parametrize("name", ["song.rar", "song.7z", "song.tar.gz"])
def test_archives_of_other_kinds_are_failures(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"?")
    assert only_failure(tmp_path) == (name, "unsupported-archive")


def test_folders_of_stems_are_songs(tmp_path: Path):
    write_stems(tmp_path / "Label" / "The Band" / "Song", ["drums.wav", "bass.flac"])
    write_stems(tmp_path / "Alone", ["vox.wav", "gtr.ogg"], 700)
    (tmp_path / "Alone" / "notes.txt").write_text("text")
    found = find(tmp_path)
    assert [(s.path, s.artist, s.title, s.layout, s.archive) for s in found.songs] == [
        ("Alone", "Alone", "Alone", "folders", False),
        ("Label/The Band/Song", "The Band", "Song", "folders", False),
    ]
    assert [(stem.name, stem.path) for stem in found.songs[1].stems] == [
        ("bass", "Label/The Band/Song/bass.flac"),
        ("drums", "Label/The Band/Song/drums.wav"),
    ]
    assert found.failures == []


def test_a_source_of_stems_is_one_song(tmp_path: Path):
    write_stems(tmp_path / "My Song", ["drums.wav", "bass.wav"])
    [song] = find(tmp_path / "My Song").songs
    assert (song.path, song.artist, song.title) == (".", "My Song", "My Song")
    assert [stem.path for stem in song.stems] == ["bass.wav", "drums.wav"]


def test_one_file_makes_no_song(tmp_path: Path):
    write_stems(tmp_path / "Song", ["mix.wav"])
    assert only_failure(tmp_path) == ("Song", "too-few-stems")


def test_musdb18_has_its_stems_in_streams(tmp_path: Path):
    path = write_musdb18(tmp_path / "train" / "The Band - Song - Live.stem.mp4")
    [song] = find(tmp_path).songs
    assert (song.artist, song.title, song.layout) == ("The Band", "Song - Live", "musdb18")
    name = str(path.relative_to(tmp_path))
    assert song.path == name
    assert stems_of(tmp_path) == [
        ("bass", name, "bass", 2),
        ("drums", name, "drum", 1),
        ("other", name, "other", 3),
        ("vocals", name, "vocals", 4),
    ]


def test_musdb18_hq_leaves_the_mixture_out(tmp_path: Path):
    write_musdb18_hq(tmp_path / "train" / "The Band - Song")
    [song] = find(tmp_path).songs
    assert (song.artist, song.title, song.layout) == ("The Band", "Song", "musdb18-hq")
    assert [(stem.name, stem.instrument) for stem in song.stems] == [
        ("bass", "bass"),
        ("drums", "drum"),
        ("other", "other"),
        ("vocals", "vocals"),
    ]
    assert find(tmp_path / "train").songs[0].artist == "The Band"
    assert find(tmp_path / "train" / "The Band - Song").songs[0].artist == "The Band"


def test_a_folder_with_a_dash_and_other_stems_is_not_musdb18_hq(tmp_path: Path):
    write_stems(tmp_path / "The Band" / "Song - Live", ["drums.wav", "bass.wav", "vocals.wav"])
    [song] = find(tmp_path).songs
    assert (song.artist, song.title, song.layout) == ("The Band", "Song - Live", "folders")


MOISES_TRACKS = {
    "drums": ["snare drum", "kick drum"],
    "guitar": ["clean electric guitar"],
    "bowed_strings": ["string section"],
    "other_keys": ["synth pad", "organ, electric organ"],
    "percussion": ["a-tonal percussion (claps, shakers, congas, cowbell etc)"],
    "wind": ["reeds (saxophone, clarinets, oboe, english horn, bagpipe)"],
    "other": ["fx/processed sound, scratches, gun shots, explosions etc"],
}


def test_each_track_of_moisesdb_is_a_stem(tmp_path: Path):
    write_moisesdb(tmp_path / "moisesdb_v0.1" / UUID, MOISES_TRACKS)
    [song] = find(tmp_path).songs
    assert (song.artist, song.title, song.layout) == ("The Band", "The Song", "moisesdb")
    assert song.metadata == {"genre": "rock"}
    assert sorted((stem.name.split()[0], stem.instrument) for stem in song.stems) == [
        ("a-tonal", "perc"),
        ("clean", "guitar"),
        ("fx/processed", "fx"),
        ("kick", "drum"),
        ("organ,", "other"),
        ("reeds", "winds"),
        ("snare", "drum"),
        ("string", "strings"),
        ("synth", "synth"),
    ]
    assert all((tmp_path / stem.path).is_file() for stem in song.stems)


def test_moisesdb_may_name_files_that_are_not_there_or_not_its_own(tmp_path: Path):
    song = write_moisesdb(tmp_path / "in" / UUID, {"drums": ["toms", "cymbals"], "bass": ["x"]})
    write_stems(tmp_path, ["secret.wav"])
    data = json.loads((song / "data.json").read_text())
    data["stems"][0]["tracks"].append({"id": "gone", "trackType": "toms", "extension": "wav"})
    data["stems"].append(
        {"stemName": "../..", "tracks": [{"id": "secret", "trackType": "x", "extension": "wav"}]}
    )
    (song / "data.json").write_text(json.dumps(data))
    found = find(tmp_path / "in")
    assert len(found.songs[0].stems) == 3
    assert [(f.path, f.reason) for f in found.failures] == [
        (f"{UUID}/../../secret.wav", "missing"),
        (f"{UUID}/drums/gone.wav", "missing"),
    ]


SLAKH_STEMS = [
    slakh_stem("Guitar", "Distortion Guitar"),
    slakh_stem("Strings (continued)", "String Ensemble 1"),
    slakh_stem("Strings (continued)", "Choir Aahs"),
    slakh_stem("Drums", "Drums", is_drum=True),
    slakh_stem("Bass", "Fretless Bass", audio_rendered=False),
    slakh_stem("Sound effects", "Gunshot"),
    slakh_stem("Reed", "Alto Sax"),
]


def test_slakh_tells_the_instrument_of_each_stem(tmp_path: Path):
    write_slakh(tmp_path / "train" / "Track00001", SLAKH_STEMS, "1a81")
    [song] = find(tmp_path).songs
    assert (song.artist, song.title, song.layout) == ("Track00001", "Track00001", "slakh2100")
    assert [(stem.name, stem.path[-8:], stem.instrument) for stem in song.stems] == [
        ("Alto Sax", "S06.flac", "winds"),
        ("Choir Aahs", "S02.flac", "other"),
        ("Distortion Guitar", "S00.flac", "guitar"),
        ("Drums", "S03.flac", "drum"),
        ("Gunshot", "S05.flac", "fx"),
        ("String Ensemble 1", "S01.flac", "strings"),
    ]
    assert find(tmp_path).failures == []


def test_slakh_tracks_of_one_score_are_a_group(tmp_path: Path):
    for number, (folder, uuid) in enumerate((("train", "x"), ("test", "x"), ("test", "y"))):
        write_slakh(tmp_path / folder / f"Track0000{number}", SLAKH_STEMS, uuid, 300 + 7 * number)
    groups = [song.group for song in sorted(find(tmp_path).songs, key=lambda song: song.title)]
    assert groups[0] == groups[1] != groups[2]


def test_slakh_names_stems_that_are_not_there(tmp_path: Path):
    track = write_slakh(tmp_path / "Track00001", SLAKH_STEMS)
    (track / "stems" / "S00.flac").unlink()
    found = find(tmp_path)
    assert len(found.songs[0].stems) == 5
    assert [(f.path, f.reason) for f in found.failures] == [("Track00001/stems/S00", "missing")]


BAD_JSON = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{",
    "a list": b"[]",
    "artist is a number": b'{"artist": 3, "stems": []}',
    "stems is a mapping": b'{"stems": {}}',
    "no stems": b"{}",
    "a stem is text": b'{"stems": ["drums"]}',
    "tracks is text": b'{"stems": [{"stemName": "drums", "tracks": "x"}]}',
    "a lone surrogate": b'{"song": "\\ud800", "stems": []}',
    "deep": b"[" * 100_000,
    "a long number": b"1" * 10_000,
    "large": b" " * (MAX_METADATA_BYTES + 1),
}


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_metadata_of_moisesdb_is_a_failure(tmp_path: Path, content: bytes):
    song = write_moisesdb(tmp_path / UUID, {"drums": ["toms", "cymbals"]})
    (song / "data.json").write_bytes(content)
    assert only_failure(tmp_path) == (f"{UUID}/data.json", "bad-metadata")


BAD_YAML = {
    "no YAML": b"{",
    "text": b"text",
    "nothing": b"",
    "stems is a list": b"stems: [1]",
    "a stem is text": b"stems: {S00: x}",
    "UUID is a list": b"UUID: [1]\nstems: {}",
    "an object": b"!!python/object/apply:os.system ['touch pwned']",
    "deep": b"- " * 100_000,
    "laughs": b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nstems: *c",
    "itself": b"stems: &a\n  S00: *a",
    "large": b"#" * (MAX_METADATA_BYTES + 1),
}


@pytest.mark.parametrize("content", BAD_YAML.values(), ids=BAD_YAML)
def test_bad_metadata_of_slakh_is_a_failure(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    track = write_slakh(tmp_path / "in" / "Track00001", SLAKH_STEMS)
    (track / "metadata.yaml").write_bytes(content)
    assert only_failure(tmp_path / "in") == ("Track00001/metadata.yaml", "bad-metadata")
    assert os.listdir(tmp_path) == ["in"]


KEYS = st.sampled_from(
    ["song", "stems", "stemName", "tracks", "id", "extension", "UUID", "S00", "inst_class"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values=st.dictionaries(KEYS, VALUES, max_size=4), noise=st.binary(max_size=20))
def test_metadata_of_any_kind_raises_nothing(tmp_path: Path, values, noise: bytes):
    for folder in (tmp_path / UUID, tmp_path / "Track00001"):
        folder.mkdir(exist_ok=True)
    (tmp_path / UUID / "data.json").write_bytes(json.dumps(values).encode() + noise)
    (tmp_path / "Track00001" / "metadata.yaml").write_bytes(yaml.safe_dump(values).encode() + noise)
    found = find(tmp_path)
    assert found.songs == []
    assert all(failure.reason and failure.message for failure in found.failures)


def test_all_layouts_may_lie_below_one_source(tmp_path: Path):
    write_moisesdb(tmp_path / "moises" / UUID, MOISES_TRACKS, first_hz=210)
    write_slakh(tmp_path / "slakh" / "Track00001", SLAKH_STEMS, first_hz=220)
    write_musdb18(tmp_path / "musdb" / "A - B.stem.mp4")
    write_musdb18_hq(tmp_path / "hq" / "test" / "C - D", first_hz=230)
    write_zipped_song(tmp_path / "Band" / "zip.zip", ["a.wav"], 240)
    write_stems(tmp_path / "Band" / "folder", ["a.wav", "b.wav"], 250)
    found = find(tmp_path)
    assert [(song.path, song.layout) for song in found.songs] == [
        ("Band/folder", "folders"),
        ("Band/zip.zip", "archives"),
        ("hq/test/C - D", "musdb18-hq"),
        (f"moises/{UUID}", "moisesdb"),
        ("musdb/A - B.stem.mp4", "musdb18"),
        ("slakh/Track00001", "slakh2100"),
    ]
    assert found.failures == []
    assert found.duplicates == {}


def test_names_that_are_not_utf8_can_be_shown(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9")
    write_stems(tmp_path / name / name, [f"{name}.wav", "b.wav"])
    write_zipped_song(tmp_path / name / f"{name}.zip", ["a.wav"], 900)
    shutil.copy(write_musdb18(tmp_path / "x - y.stem.mp4"), tmp_path / f"{name} - {name}.stem.mp4")
    (tmp_path / f"{name}.rar").write_bytes(b"?")
    found = find(tmp_path)
    assert len(found.songs) == 3
    for song in found.songs:
        for text in (song.artist, song.title, *(stem.name for stem in song.stems)):
            assert text.encode()
        for stem in song.stems:
            assert (tmp_path / stem.path).is_file()
    assert [failure.message.encode()[:12] for failure in found.failures] == [b"caf\\xe9.rar "]
