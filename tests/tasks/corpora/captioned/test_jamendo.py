"""Song Describer, MTG-Jamendo and JamendoMaxCaps, which share ids of Jamendo."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tasks.corpora.captioned.entry import CorpusError, Tag
from tests.tasks.corpora.captioned.reading import read, reasons

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"


def test_the_same_song_has_the_same_id_in_all_three(corpora: Path):
    shared, artists = [], []
    for name in ("song_describer", "mtg_jamendo", "jamendo_max_caps"):
        entries, _ = read(name, corpora / name)
        shared.append(sorted(entry.shared_ids for entry in entries))
        artists.append({entry.artist_id for entry in entries})
    assert shared[0] == shared[1] == shared[2]
    assert len(shared[0]) == 5
    assert artists[0] == artists[1] == artists[2]


@pytest.mark.parametrize("inner", ["audio", "audio/audio"])
def test_song_describer_may_be_unpacked_twice_over(inner: str, tmp_path: Path):
    (tmp_path / "song_describer.csv").write_text(
        "\ufeffcaption_id,track_id,caption,is_valid_subset,familiarity,artist_id,album_id,path,"
        'duration\n1,1004034,"Calm, and\n""slow""",True,0,351,2,34/1004034.mp3,120\n'
        "2,1004034,  ,False,0,351,2,34/1004034.mp3,120\n"
        "3,1004034,Piano.,False,0,351,2,34/1004034.mp3,120\n"
        "4,,Nothing.,False,0,351,2,,120\n",
        encoding="utf-8",
    )
    shard = tmp_path / inner / "34"
    shard.mkdir(parents=True)
    (shard / "1004034.2min.mp3").touch()
    [entry], dropped = read("song_describer", tmp_path)
    assert entry.audio == f"{inner}/34/1004034.2min.mp3"
    assert entry.captions == ('Calm, and "slow"', "Piano.")
    assert entry.evaluation_only
    assert reasons(dropped) == {"empty-caption": 1, "malformed-row": 1}
    assert [each.where for each in dropped] == ["song_describer.csv:4", "song_describer.csv:6"]


@pytest.mark.parametrize("shape", ["list", "mapping", "below"])
def test_song_describer_as_metadata_json(shape: str, tmp_path: Path):
    track = {"captions": ["One.", "Two.", "One."], "path": "34/1004034.mp3", "license": "CC-BY-4.0"}
    track |= {"genre": ["genre---rock"], "mood/theme": "['mood/theme---calm']"}
    documents = {
        "list": [track, 3],
        "mapping": {"1004034": track, "b": 3, "c": 4},
        "below": {"tracks": [track, "x"], "version": 1},
    }
    (tmp_path / "metadata.json").write_text(json.dumps(documents[shape]))
    [entry], dropped = read("song_describer", tmp_path)
    assert entry.native_id == "1004034"
    assert entry.captions == ("One.", "Two.")
    assert entry.licence == "CC-BY-4.0"
    assert entry.tags == (Tag("genre", "rock"), Tag("mood", "calm"))
    assert reasons(dropped)["malformed-row"] == (2 if shape == "mapping" else 1)


def test_other_metadata_json_is_no_song_describer(tmp_path: Path):
    (tmp_path / "metadata.json").write_text('{"song.mp3": {"artist": "a"}}')
    with pytest.raises(CorpusError, match=r"no metadata\.json with captions"):
        read("song_describer", tmp_path)


def mtg(folder: Path, *rows: str) -> Path:
    """autotagging.tsv of some rows."""
    (folder / "autotagging.tsv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_rows_of_mtg_jamendo_are_ragged(tmp_path: Path):
    ids = "track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7"
    tags = ("genre---hiphop", "instrument---acousticguitar", "instrument---voice")
    more = ("mood/theme---calm", "mood/theme---film", "mood/theme---slow", "mood/theme---ballad")
    folder = mtg(
        tmp_path,
        "\t".join([ids, *tags, *more]),
        "track_0000950\tartist_000087\talbum_000149\t50/950.mp3\t248.0\tmood/theme---background",
        "track_x\tartist_1\talbum_1\t1/1.mp3\t1.0\tgenre---rock",
        "track_0000951\tartist_000087",
        "\t".join([ids, "genre---rock"]),
    )
    (first, second), dropped = read("mtg_jamendo", folder)
    assert first.tags == (
        Tag("genre", "hip-hop"),
        Tag("instrument", "acoustic guitar"),
        Tag("voice", "vocal"),
        Tag("mood", "calm"),
        Tag("theme", "film"),
        Tag("speed", "slow"),
        Tag("other", "ballad"),
    )
    assert (first.audio, first.duration_seconds) == ("audio/48/948.mp3", 212.7)
    assert (first.artist_id, first.album_id) == ("jamendo:87", "jamendo:149")
    assert second.tags == (Tag("theme", "background"),)
    assert reasons(dropped) == {"no-audio-folder": 1, "malformed-row": 2, "repeated-id": 1}


def test_audio_of_both_qualities(tmp_path: Path):
    row = "track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tgenre---rock"
    low = tmp_path / "raw_30s" / "audio-low" / "48"
    low.mkdir(parents=True)
    (low / "948.low.mp3").touch()
    [entry], _ = read("mtg_jamendo", mtg(tmp_path, row))
    assert entry.audio == "raw_30s/audio-low/48/948.low.mp3"
    whole = tmp_path / "raw_30s" / "audio_files" / "48"
    whole.mkdir(parents=True)
    (whole / "948.mp3").touch()
    [entry], _ = read("mtg_jamendo", tmp_path)
    assert entry.audio == "raw_30s/audio_files/48/948.mp3"


def test_the_test_set_of_split_0_is_for_evaluation_alone(corpora: Path, tmp_path: Path):
    entries, _ = read("mtg_jamendo", corpora / "mtg_jamendo")
    assert {(entry.split, entry.evaluation_only) for entry in entries} == {("test", True)}
    row = "track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tgenre---rock"
    [entry], _ = read("mtg_jamendo", mtg(tmp_path, row))
    assert (entry.split, entry.evaluation_only) == (None, False)


def test_names_and_licences_of_mtg_jamendo(corpora: Path):
    entries, _ = read("mtg_jamendo", corpora / "mtg_jamendo")
    assert entries[1].artist == "The Everywhere Band"
    assert entries[0].title == "Piece 0"
    assert entries[0].licence == "http://creativecommons.org/licenses/by/3.0/"


def test_captions_of_windows_are_in_the_order_of_their_times(corpora: Path):
    entries, _ = read("jamendo_max_caps", corpora / "jamendo_max_caps")
    for entry in entries:
        first, second = entry.captions
        assert first.startswith(("A ", "An "))
        assert second.startswith("Music at a ")


def test_captions_without_metadata_and_metadata_without_captions(tmp_path: Path):
    captions = [
        {"id": "12", "caption": "Late.", "start_time": 30.0, "end_time": 60.0},
        {"id": 12, "caption": "Early.", "start_time": 0.0, "end_time": 30.0},
        {"id": 12, "caption": " ", "start_time": 60.0, "end_time": 90.0},
        {"caption": "Of none."},
    ]
    lines = [*map(json.dumps, captions), "{oops"]
    (tmp_path / "final_caption30sec.jsonl").write_text("\n".join(lines))
    (tmp_path / "2009-05-01.jsonl").write_text('{"id": "13", "duration": 7}\n[]\n')
    (tmp_path / "12.mp3").touch()
    (thirteen, twelve), dropped = read("jamendo_max_caps", tmp_path)
    assert (thirteen.native_id, thirteen.captions, thirteen.audio) == ("13", (), "13.mp3")
    assert (twelve.native_id, twelve.captions) == ("12", ("Early.", "Late."))
    assert reasons(dropped) == {"empty-caption": 1, "malformed-row": 3}


def test_every_row_and_every_tag_of_a_table_is_there(tmp_path: Path):
    words = ("calm", "film", "epic", "dark", "love", "slow")
    rows, count = [], Counter[str]()
    for index in range(150):
        chosen = [words[(index + step) % len(words)] for step in range(1 + index % 4)]
        count.update(chosen)
        ids = f"track_{index:07d}\tartist_{index // 3:06d}\talbum_{index // 3:06d}"
        tags = "\t".join(f"mood/theme---{word}" for word in chosen)
        rows.append(f"{ids}\t{index % 100:02d}/{index}.mp3\t{100.5 + index}\t{tags}")
    entries, dropped = read("mtg_jamendo", mtg(tmp_path, *rows))
    assert [int(entry.native_id) for entry in entries] == list(range(150))
    assert Counter(tag.value for entry in entries for tag in entry.tags) == count
    assert sum(entry.duration_seconds or 0 for entry in entries) == sum(
        100.5 + index for index in range(150)
    )
    assert reasons(dropped) == {"no-audio-folder": 1}
