"""Which songs are found, what each stem is taken for, and which split a song is in."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.corpora.prepared import MANIFEST, STEMS
from tasks.separator.data_error import DataError
from tasks.separator.songs import Found, discover, place_of
from tasks.separator.splits import CUSTOMARY, assigned, of_folders
from tasks.separator.training_song import SOURCES, TrainingSong
from tests.support.s3_server import S3Server, bucket, store
from tests.tasks.stems.makers import (
    UUID,
    slakh_stem,
    wav_bytes,
    write_moisesdb,
    write_musdb18,
    write_musdb18_hq,
    write_slakh,
    write_stems,
    write_zipped_song,
)

__all__ = ["bucket", "store"]

PAIR = ("vocals", "accompaniment")


def find(place: Path, sources: tuple[str, ...] = SOURCES) -> Found:
    return discover(Storage(str(place)), None, sources=sources)


def files(song: TrainingSong) -> dict[str, str]:
    """File -> source of a song."""
    return {Path(file.path).name: file.source for file in song.files}


def splits(found: Found) -> dict[str, str]:
    return {song.path: song.split for song in found.songs}


def test_musdb18_in_both_forms(tmp_path: Path):
    write_musdb18(tmp_path / "train" / "A - B.stem.mp4", 0.2)
    write_musdb18_hq(tmp_path / "train" / "Leaf - Summerghost")
    write_musdb18_hq(tmp_path / "test" / "C - D", 900)
    found = find(tmp_path)
    assert found.failures == []
    assert splits(found) == {
        "test/C - D": "test",
        "train/A - B.stem.mp4": "train",
        "train/Leaf - Summerghost": "validation",
    }
    streams = {file.source: file.stream for file in found.songs[1].files}
    assert streams == {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}
    assert files(found.songs[0])["mixture.wav"] == "mixture"


def test_the_customary_songs_are_those_of_musdb():
    import importlib.util

    import yaml

    spec = importlib.util.find_spec("musdb")
    assert spec is not None
    assert spec.submodule_search_locations
    listed = Path(spec.submodule_search_locations[0], "configs", "mus.yaml").read_text()
    names = yaml.safe_load(listed)["validation_tracks"]
    assert {name.casefold() for name in names} == CUSTOMARY


def test_other_corpora(tmp_path: Path):
    write_moisesdb(
        tmp_path / UUID, {"drums": ["kick"], "percussion": ["shaker"], "vocals": ["lead"]}
    )
    stems = [slakh_stem("Bass", "x"), slakh_stem("Guitar", "y"), slakh_stem("Piano", "z")]
    write_slakh(tmp_path / "Track00001", stems, first_hz=700)
    found = find(tmp_path, ("vocals", "drums", "guitar", "other"))
    by_layout = {song.layout: Counter(file.source for file in song.files) for song in found.songs}
    assert by_layout == {
        "moisesdb": {"drums": 2, "vocals": 1},
        "slakh2100": {"guitar": 1, "other": 2, "mixture": 1},
    }


def test_names_tell_the_sources_of_a_folder(tmp_path: Path):
    names = ["Kick.wav", "Shaker.wav", "Lead Vox.wav", "DI Bass.wav", "Gtr L.wav", "Rhodes.wav"]
    write_stems(tmp_path / "Song", [*names, "Mix.wav", "No Vocals.wav", "Track 07.wav"])
    found = find(tmp_path)
    [song] = found.songs
    assert files(song) == {
        "Kick.wav": "drums",
        "Shaker.wav": "drums",
        "Lead Vox.wav": "vocals",
        "DI Bass.wav": "bass",
        "Gtr L.wav": "other",
        "Rhodes.wav": "other",
        "Mix.wav": "mixture",
    }
    assert {(each.path, each.reason) for each in found.failures} == {
        ("Song/No Vocals.wav", "mixture"),
        ("Song/Track 07.wav", "unknown-instrument"),
    }


def test_an_accompaniment_is_a_source_beside_the_voice_alone(tmp_path: Path):
    for number, rest in enumerate(("accompaniment", "no_vocals", "Instrumental")):
        write_stems(tmp_path / f"Song {number}", ["vocals.wav", f"{rest}.wav"], 200 + 300 * number)
    assert {file.source for song in find(tmp_path, PAIR).songs for file in song.files} == {*PAIR}
    of_four = find(tmp_path)
    assert {file.source for song in of_four.songs for file in song.files} == {"vocals"}
    assert Counter(each.reason for each in of_four.failures) == {"mixture": 3}


def test_folders_of_sources_with_common_names_are_songs(tmp_path: Path):
    for number, source in enumerate(("vocals", "drums", "mixture")):
        names = [f"{song} {source}.wav" for song in ("Alpha", "Beta", "Gamma")]
        write_stems(tmp_path / "data" / source, names, 200 + 500 * number)
    found = find(tmp_path)
    assert [(song.title, len(song.files), song.layout) for song in found.songs] == [
        (title, 3, "source-folders") for title in ("Alpha", "Beta", "Gamma")
    ]
    assert len({song.split for song in found.songs}) == 3


def test_files_of_folders_of_sources_without_common_names_are_remixed(tmp_path: Path):
    # Numbers stand for the same song only where all folders have all of them.
    for number, source in enumerate(("vocals", "drums", "guitar")):
        names = [f"{index:03d}.wav" for index in range(5 + number)]
        write_stems(tmp_path / source, names, 200 + 1000 * number)
    found = find(tmp_path)
    training = [song for song in found.songs if song.split == "train"]
    assert {len(song.files) for song in training} == {1}
    kept = [song for song in found.songs if song.split != "train"]
    assert {song.split for song in kept} == {"validation", "test"}
    for song in kept:
        assert {file.source for file in song.files} == {"vocals", "drums", "other"}
    used = [file.path for song in found.songs for file in song.files]
    assert len(used) == len(set(used)) == 18
    assert any("18 files of one source each" in each for each in found.notices)
    for index in range(5, 7):
        (tmp_path / "guitar" / f"{index:03d}.wav").unlink()
    (tmp_path / "drums" / "005.wav").unlink()
    assert {len(song.files) for song in find(tmp_path).songs} == {3}


def test_a_song_alone_of_folders_by_instrument_is_no_folder_of_sources(tmp_path: Path):
    write_stems(tmp_path / "Drums", ["kick.wav", "snare.wav"])
    write_stems(tmp_path / "Vocals", ["lead.wav"], 500)
    [song] = find(tmp_path).songs
    assert (song.layout, len(song.files)) == ("folders", 3)


def test_a_table_of_paths(tmp_path: Path):
    for number in range(4):
        write_stems(tmp_path / "a" / f"s{number}", ["1.wav", "2.wav", "3.wav"], 200 + 300 * number)
    write_stems(tmp_path / "a", ["unnamed.wav"], 5000)
    (tmp_path / "outside.wav").write_bytes(wav_bytes())
    rows = [
        "s0/1.wav;s0/2.wav;;s0/3.wav;Art;One;train",
        "s1/1.wav;s1/2.wav;;s1/3.wav;Bo;Two;Test",
        "s2/1.wav;s2/2.wav;s2/3.wav;;Art;Three;valid",
        "s3/1.wav;gone.wav;;;;;",
        "../outside.wav;;;;;;",
        "s3/2.wav;;;;;;soon",
    ]
    header = "Vocals;Kalimba;drums;mixture;artist;title;split"
    (tmp_path / "a" / "songs.csv").write_text("\n".join([header, *rows]))
    found = find(tmp_path / "a", ("vocals", "kalimba", "drums", "other"))
    assert [(song.title, song.artist, song.split) for song in found.songs] == [
        ("One", "Art", "train"),
        ("Two", "Bo", "test"),
        ("Three", "Art", "validation"),
    ]
    assert [file.source for file in found.songs[0].files] == ["vocals", "kalimba", "mixture"]
    assert [file.source for file in found.songs[2].files] == ["vocals", "kalimba", "drums"]
    assert {(each.path, each.reason) for each in found.failures} == {
        ("gone.wav", "missing"),
        ("../outside.wav", "outside"),
        ("s3/2.wav", "bad-metadata"),
    }
    assert found.notices == ["songs.csv does not name 2 files beside it: left out."]


def test_the_place_of_a_table_is_its_folder():
    assert place_of("data/songs.csv") == Storage("data")
    assert place_of("songs.csv") == Storage(".")
    assert place_of("s3://bucket/data/songs.tsv") == Storage("s3://bucket/data")
    assert place_of("data/musdb18") == Storage("data/musdb18")


def test_what_was_prepared_keeps_its_balance(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_stems(tmp_path / "audio", ["0.opus", "1.opus", "2.opus"])
    rows = [
        dict.fromkeys(STEMS.names)
        | {
            "song_id": "s",
            "artist": "Art",
            "song": "Title",
            "group": "artist art",
            "source": "x.zip",
        }
        | {"stem_id": str(at), "stem": name, "instrument": name, "silent": at == 2}
        | {"path": f"audio/{at}.opus", "gain_db": -6.0 * at, "duration_seconds": 0.2}
        for at, name in enumerate(("vocals", "bass", "drum"))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=STEMS), tmp_path / MANIFEST)
    found = find(tmp_path)
    [song] = found.songs
    assert (song.layout, song.title, song.group) == ("prepared", "Title", "artist art")
    # The softest is the measure of the others.
    assert [(f.source, f.gain_db) for f in song.files] == [("vocals", -6.0), ("bass", 0.0)]


def test_a_bucket_holds_the_same_songs(tmp_path: Path, bucket: str, store: S3Server):
    write_musdb18_hq(tmp_path / "train" / "A - B")
    write_musdb18_hq(tmp_path / "test" / "C - D", 900)
    place = Storage(f"{bucket}/musdb")
    for name in Storage(str(tmp_path)).files():
        place.write_bytes(name, (tmp_path / name).read_bytes())
    store.forget()
    assert discover(place, place.below("own"), sources=SOURCES) == find(tmp_path)
    # Ten files, and the digests that are not there yet.
    assert store.counts == {"LIST": 1, "GET": 11, "PUT": 1}


def test_archives_are_sent_to_be_prepared(tmp_path: Path):
    write_zipped_song(tmp_path / "Band" / "Song.zip", ["drums.wav", "bass.wav"])
    found = find(tmp_path)
    [failure] = found.failures
    assert (found.songs, failure.reason) == ([], "archive")
    assert "flows/prepare_stems.py" in failure.message


def test_a_song_with_a_file_that_cannot_be_read_is_left_out(tmp_path: Path):
    write_stems(tmp_path / "Song", ["drums.wav", "vocals.wav"])
    (tmp_path / "Song" / "drums.wav").write_bytes(b"")
    found = find(tmp_path)
    [failure] = found.failures
    assert (found.songs, failure.path, failure.reason) == ([], "Song/drums.wav", "empty")


def test_ids_are_of_content_and_of_what_is_which(tmp_path: Path):
    write_stems(tmp_path / "Song", ["drums.wav", "vocals.wav"])
    [before] = find(tmp_path).songs
    (tmp_path / "Song").rename(tmp_path / "Other")
    assert find(tmp_path).songs[0].track_id == before.track_id
    (tmp_path / "Other" / "drums.wav").rename(tmp_path / "Other" / "bass.wav")
    assert find(tmp_path).songs[0].track_id != before.track_id
    write_stems(tmp_path / "Copy", ["bass.wav", "vocals.wav"])
    copied = find(tmp_path)
    assert copied.duplicates == {"Other": "Copy"}
    assert "Left out as copies: 1 song, such as Other" in copied.notices[0]


def song(name: str, artist: str = "", group: str = "") -> TrainingSong:
    return TrainingSong(name, name, artist=artist or name, title=name, group=group)


def test_artists_stay_in_one_split_and_each_split_has_songs():
    songs = [song(f"{artist}{at}", artist) for artist in "abcdefgh" for at in range(3)]
    placed, notices = assigned(songs, {})
    of_artist = {artist: {s.split for s in placed if s.artist == artist} for artist in "abcdefgh"}
    assert all(len(each) == 1 for each in of_artist.values())
    assert {s.split for s in placed} == {"train", "validation", "test"}
    assert notices == []
    other, _ = assigned(songs, {}, seed=7)
    assert [s.split for s in other] != [s.split for s in placed]


def test_validation_is_drawn_from_a_train_that_has_none_of_the_customary():
    songs = [song(f"{artist}{at}", artist) for artist in "abcdefgh" for at in range(2)]
    said = {each.track_id: "test" if each.artist == "a" else "train" for each in songs}
    placed, _ = assigned(songs, said)
    assert {s.artist for s in placed if s.split == "test"} == {"a"}
    validating = {s.artist for s in placed if s.split == "validation"}
    assert validating
    assert not validating & {s.artist for s in placed if s.split == "train"}


def test_one_artist_alone_is_split_by_song_and_said():
    songs = [replace(song(name), artist="The Band") for name in ("x", "y", "z")]
    placed, [notice] = assigned(songs, {})
    assert {s.split for s in placed} == {"train", "validation", "test"}
    assert "All 3 songs are of one artist or group (The Band)" in notice


def test_songs_of_an_artist_who_is_tested_do_not_train():
    songs = [song("kept", "A"), song("extra", "A"), *(song(f"{at}") for at in range(6))]
    placed, _ = assigned(songs, {"kept": "test"})
    assert {s.track_id: s.split for s in placed}["extra"] == "test"


def test_folders_tell_splits_and_an_artist_called_train_does_not():
    assert of_folders(["train/a", "test/b", "valid/c"]) == {
        "train/a": "train",
        "test/b": "test",
        "valid/c": "validation",
    }
    assert of_folders(["musdb/train/a", "musdb/test/b", "more/c/d"]) == {
        "musdb/train/a": "train",
        "musdb/test/b": "test",
    }
    assert of_folders(["Train/Drops", "Sting/Fields"]) == {}
    assert of_folders(["slakh/train/a", "slakh/omitted/b"])["slakh/omitted/b"] is None


@pytest.mark.parametrize(
    "sources",
    [("vocals", "drums"), ("other",), ("vocals", "voice", "other"), ("other", "accompaniment")],
)
def test_sources_that_do_not_add_up_are_refused(tmp_path: Path, sources: tuple[str, ...]):
    with pytest.raises(DataError, match=r"sources \(") as caught:
        find(tmp_path, sources)
    assert str(caught.value).endswith(".")
