import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.unified import COLUMNS
from tasks.dataset.unified_reader import UnifiedError, read

ROW = {
    "id": "song_describer_1",
    "audio_path": "/music/1.mp3",
    "caption": "A calm acoustic song",
    "alt_captions": ["Calm guitar"],
    "duration": 12.5,
}


def write(tmp_path, *rows):
    path = tmp_path / "unified.json"
    path.write_text(json.dumps(rows))
    return path


def test_a_row_of_the_reference_has_all_columns(tmp_path):
    reference = ROW | {
        "dataset": "song_describer",
        "artist": "Artist Name",
        "title": "Song Title",
        "tags": ["acoustic"],
        "license": "CC-BY-4.0",
    }
    (row,) = read(write(tmp_path, reference)).rows
    assert set(COLUMNS.names) == set(row)
    assert {name: row[name] for name in reference} == reference
    assert row["split"] is row["group"] is row["start_seconds"] is None


def test_parquet_is_the_same(tmp_path):
    path = tmp_path / "unified.parquet"
    pq.write_table(pa.Table.from_pylist([ROW | {"split": "test"}], schema=COLUMNS), path)
    (row,) = read(path).rows
    (other,) = read(write(tmp_path, ROW | {"split": "test"})).rows
    assert row == other


def test_captions_are_stripped_distinct_and_none_is_empty(tmp_path):
    messy = ROW | {"caption": " One ", "alt_captions": ["One", "", "  ", "Two\n", None, "Two"]}
    (row,) = read(write(tmp_path, messy)).rows
    assert (row["caption"], row["alt_captions"]) == ("One", ["Two"])


def test_a_relative_path_lies_beside_the_file(tmp_path):
    (row,) = read(write(tmp_path, ROW | {"audio_path": "audio/1.mp3"})).rows
    assert row["audio_path"] == str(tmp_path / "audio" / "1.mp3")


def without(name):
    return {key: value for key, value in ROW.items() if key != name}


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        (without("caption"), "missing-field", "Row 2 lacks caption: "),
        (without("duration") | {"id": ""}, "missing-field", "Row 2 lacks id and duration: "),
        (ROW | {"duration": "12"}, "malformed-row", "duration that is no number: '12'"),
        (ROW | {"duration": float("-1")}, "malformed-row", "a duration of -1.0 s"),
        (ROW | {"duration": True}, "malformed-row", "duration that is no number: True"),
        (ROW | {"caption": ""}, "empty-caption", "Row 2 has an empty caption"),
        (ROW | {"caption": "  "}, "empty-caption", "Row 2 has an empty caption"),
        (ROW | {"alt_captions": "text"}, "malformed-row", "a text in alt_captions"),
        (ROW | {"alt_captions": 5}, "malformed-row", "a text in alt_captions"),
        (ROW | {"split": "dev"}, "malformed-row", "Row 2 has the split 'dev'"),
        (ROW | {"start_seconds": "0:10"}, "malformed-row", "a start_seconds that is no number"),
        (ROW, "repeated-id", "Row 2 has the id song_describer_1 of a row before it"),
        ("text", "malformed-row", "Row 2 is no object with fields, but 'text'"),
        (None, "malformed-row", "Row 2 is no object"),
    ],
)
def test_a_bad_row_is_counted_and_takes_no_other(tmp_path, bad, reason, said):
    found = read(write(tmp_path, ROW, bad, ROW | {"id": "other"}))
    assert [row["id"] for row in found.rows] == ["song_describer_1", "other"]
    (failed,) = found.failures
    assert (failed["reason"], failed["step"], failed["in_dataset"]) == (reason, "read", False)
    assert said in failed["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[{", "is no JSON, or was not written to its end"),
        ('{"rows": []}', "is no unified dataset: a JSON list of rows is expected"),
        ("[]", "holds no rows"),
        ('[{"id": "a"}, {"id": "b"}]', r"None of the 2 rows of .* can be used \(a, b \.\.\.\)"),
    ],
)
def test_what_is_no_unified_dataset_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "unified.json"
    path.write_text(content)
    with pytest.raises(UnifiedError, match=said) as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_a_damaged_parquet_and_a_missing_file_are_named(tmp_path):
    path = tmp_path / "unified.parquet"
    path.write_bytes(b"PAR1 and nothing")
    with pytest.raises(UnifiedError, match="no Parquet file, or a damaged one"):
        read(path)
    with pytest.raises(UnifiedError, match=r"does not exist: make it with .*unify_datasets\.py"):
        read(tmp_path / "nothing.json")
