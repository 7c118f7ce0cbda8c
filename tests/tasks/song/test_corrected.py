"""Corrections of people, merged over what was computed."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from tasks.dataset.corrections import CORRECTIONS, Correction, Corrections, add
from tasks.song.corrected import AFTERWARDS, Merge, say
from tasks.song.dataset import Paths
from tasks.song.discover import Shard
from tasks.song.merge_shards import merge_shards
from tests.tasks.song.library import Library
from tests.tasks.song.records import make_record


def corrected(*corrections: Correction, **changes: Any) -> tuple[dict[str, Any], Merge]:
    """Record of a track with its corrections, without a way to make prompts again."""
    merge = Merge(Corrections({"a": corrections}))
    made = merge(make_record(track_id="a", **changes))
    assert made is not None
    return made, merge


def test_a_corrected_tempo_leaves_nothing_that_speaks_of_the_old_one():
    record, merge = corrected(Correction("a", "tempo", 128.0))
    assert (record["tempo"], record["tempo_confidence"]) == (128.0, None)
    assert record["corrected"] == ["tempo"]
    assert record["beats"] == [0.5, 1.25]
    for segment in record["segments"]:
        assert segment["prompt"] is segment["prompt_embedding"] is segment["prompt_sources"] is None
        assert segment["corrected"] == []
    assert merge.summary()["values"] == {"tempo": 1}
    assert merge.summary()["afterwards"]["tempo"]["tempo_confidence"] == "null"


def test_what_a_model_made_of_a_prompt_stays_as_long_as_the_prompt():
    prompts = {"prompt": ["A song.", "Another."], "phrases": [[], []]}
    merge = Merge(
        Corrections({"a": (Correction("a", "key", "C major"),)}), lambda track, record: prompts
    )
    record = merge(make_record(track_id="a"))
    assert record is not None
    assert (record["dominant_key"], record["mode"]) == ("C", "major")
    assert record["key_confidence"] is None
    assert record["corrected"] == ["dominant_key", "mode"]
    first, second = record["segments"]
    assert first["prompt_embedding"] is not None
    assert (second["prompt"], second["prompt_embedding"]) == ("Another.", None)


def test_a_section_is_corrected_where_it_still_begins():
    moved = Correction("a", "section_type", "outro", segment_idx=1, start_time=12.0)
    beyond = Correction("a", "section_type", "outro", segment_idx=2, start_time=20.0)
    right = Correction("a", "section_type", "chorus", segment_idx=0, start_time=0.0)
    record, merge = corrected(moved, beyond, right)
    assert [each["section_type"] for each in record["segments"]] == ["chorus", "verse"]
    assert [each["corrected"] for each in record["segments"]] == [["section_type"], []]
    summary = merge.summary()
    assert (summary["values"], len(summary["unused"])) == ({"section_type": 1}, 2)
    assert "2 corrections kept without use" in say(summary)[1]


def test_lyrics_of_as_many_lines_keep_their_times_and_others_have_none():
    lines = [
        {"text": "la la", "start_time": 1.0, "end_time": 2.0},
        {"text": "lo lo", "start_time": 11.0, "end_time": 12.0},
    ]
    same, _ = corrected(Correction("a", "lyrics", "one\n\ntwo"), lyrics_lines=lines)
    assert [line["text"] for line in same["lyrics_lines"]] == ["one", "two"]
    assert [line["start_time"] for line in same["lyrics_lines"]] == [1.0, 11.0]
    assert [each["segment_lyrics"] for each in same["segments"]] == ["one", "two"]
    assert same["lyrics_words"] is same["phonemes"] is None
    assert (same["lyrics_source"], same["lyrics_language"]) == ("correction", "en")

    more, _ = corrected(Correction("a", "lyrics", "one\ntwo\nthree"), lyrics_lines=lines)
    assert more["lyrics_lines"] is more["segments"][0]["segment_lyrics"] is None
    none, _ = corrected(Correction("a", "lyrics", None), lyrics_lines=lines)
    assert none["lyrics"] is none["lyrics_language"] is none["lyrics_lines"] is None


def test_every_column_that_can_be_corrected_says_what_follows():
    record, _ = corrected(Correction("a", "lyrics_language", "de"))
    assert (record["lyrics_language"], record["phonemes"]) == ("de", None)
    named = {name for after in AFTERWARDS.values() for names in after for name in names.split(", ")}
    assert named <= record.keys() | record["segments"][0].keys()


def test_a_build_merges_corrections_and_the_next_one_writes_nothing(library: Library):
    for number, name in enumerate(["a.wav", "b.wav", "c.wav"]):
        library.add(name, b"x" * (number + 1))
    paths, before = library.build()
    ids = [row["track_id"] for row in pq.read_table(paths.tables[0]).to_pylist()]
    steps = sorted((paths.folder / "checkpoints").rglob("*.parquet"))
    add(paths.storage, Correction(ids[0], "tempo", 128.0))
    add(paths.storage, Correction(ids[1], "drop", True))
    add(paths.storage, Correction("gone", "tempo", 100.0))
    with open(paths.folder / CORRECTIONS, "ab") as file:
        file.write(b'{"track_id": "x", "column": "tempo", "value": -3}\n')

    _, manifest = library.build()
    assert sorted((paths.folder / "checkpoints").rglob("*.parquet")) == steps
    rows = pq.read_table(paths.tables[0]).to_pylist()
    assert [row["track_id"] for row in rows] == [ids[0], ids[2]]
    assert (rows[0]["tempo"], rows[0]["corrected"], rows[1]["corrected"]) == (128.0, ["tempo"], [])
    assert orjson.loads(paths.json.read_bytes())[0]["tempo"] == 128.0
    assert (before["counts"]["tracks"], manifest["counts"]["tracks"]) == (3, 2)
    told = manifest["corrections"]
    assert told["values"] == {"tempo": 1}
    assert told["dropped"] == [{"track_id": ids[1], "file_path": f"{library.audio_dir}/b.wav"}]
    assert [each["track_id"] for each in told["unused"]] == ["gone"]
    assert "-3 is no tempo" in told["left_out"][0]
    said = "\n".join(say(told))
    assert "tempo 1" in said
    assert "1 track is left out" in said
    assert "1 track is left out" in paths.report.read_text()

    written = {path: path.stat().st_mtime_ns for path in (paths.json, *paths.tables)}
    library.build()
    assert {path: path.stat().st_mtime_ns for path in written} == written
    add(paths.storage, Correction(ids[1], "drop", revoked=True))
    assert library.build()[1]["counts"]["tracks"] == 3


def test_a_dropped_track_with_failures_is_not_in_the_dataset():
    merge = Merge(Corrections({"a": (Correction("a", "drop", True),)}))
    assert merge(make_record(track_id="a")) is None
    rows = [{"track_id": each, "in_dataset": True} for each in ("a", "b")]
    assert [each["in_dataset"] for each in merge.seen_by(rows)] == [False, True]


def test_merged_shards_keep_their_corrections_and_get_those_of_the_whole(
    library: Library, tmp_path: Path
):
    for number in range(6):
        library.add(f"{number}.wav", b"x" * (number + 1))
    shards = [library.build(f"s{at}", Shard(at, 2, "alphabetical"))[0] for at in range(2)]
    first, second = (pq.read_table(shard.tables[0])["track_id"].to_pylist() for shard in shards)
    add(shards[0].storage, Correction(first[0], "tempo", 128.0))
    add(shards[1].storage, Correction(second[0], "drop", True))
    for at in range(2):
        library.build(f"s{at}", Shard(at, 2, "alphabetical"))
    target = Paths(tmp_path / "M.json")
    target.folder.mkdir()
    add(target.storage, Correction(second[1], "tempo", 70.0))
    manifest = merge_shards(shards, target)
    assert manifest["counts"]["tracks"] == 5
    assert manifest["corrections"]["values"] == {"tempo": 2}
    assert [each["track_id"] for each in manifest["corrections"]["dropped"]] == [second[0]]
    rows = {row["track_id"]: row["tempo"] for row in pq.read_table(target.tables[0]).to_pylist()}
    assert (rows[first[0]], rows[second[1]]) == (128.0, 70.0)
