"""Questions to the tables of a dataset: paged, filtered, and kept to the dataset."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset import query
from tasks.dataset.query import QueryError, Tables, condition, open_tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Three tracks of which one has two segments; in a folder whose name is a pattern."""
    folder = tmp_path / "it's [all] *" / "songs"
    folder.mkdir(parents=True)
    tracks = {
        "track_id": ["a", "b", "c"],
        "tempo": [90.0, 120.5, None],
        "genre": ["Rock", "pop rock", None],
        "tags": [[{"tag": "Guitar"}], [], None],
    }
    segments = {"track_id": ["a", "b", "b"], "section_type": ["verse", "verse", "chorus"]}
    pq.write_table(pa.table(tracks), folder / "tracks.parquet")
    pq.write_table(pa.table(segments), folder / "segments.parquet")
    return open_tables(folder.with_suffix(".json"))


def ids(tables: Tables, where: str | None, **options: int) -> list[str]:
    return [row["track_id"] for row in tables.rows(where, columns=["track_id"], **options)]


def test_rows_come_in_order_by_pages_and_by_what_is_in_them(tables: Tables):
    assert ids(tables, None) == ["a", "b", "c"]
    assert ids(tables, " ", offset=1, limit=1) == ["b"]
    assert ids(tables, "tempo > 100 OR tempo IS NULL", offset=1) == ["c"]
    chorus = "track_id IN (SELECT track_id FROM segments WHERE section_type = 'chorus')"
    assert (ids(tables, chorus), tables.count(chorus), tables.count()) == (["b"], 1, 3)
    assert tables.rows("section_type = 'verse'", table="segments")[1]["track_id"] == "b"
    assert tables.rows("track_id = 'a'") == [
        {"track_id": "a", "tempo": 90.0, "genre": "Rock", "tags": [{"tag": "Guitar"}]}
    ]


@pytest.mark.parametrize(
    ("column", "operator", "value", "found"),
    [
        ("tempo", "≥", "90", ["a", "b"]),
        ("tempo", "<", " 1e2 ", ["a"]),
        ("tempo", "is empty", "", ["c"]),
        ("tempo", "contains", "120.5", ["b"]),
        ("genre", "=", "Rock", ["a"]),
        ("genre", "≠", "Rock", ["b"]),
        ("genre", "contains", "ROCK", ["a", "b"]),
        ("genre", "contains", "'; DROP VIEW tracks; --", []),
        ("genre", "is not empty", "", ["a", "b"]),
        ("tags", "contains", "guitar", ["a"]),
    ],
)
def test_a_form_asks_any_column(
    tables: Tables, column: str, operator: str, value: str, found: list[str]
):
    columns = {each.name: each for each in tables.columns}
    assert ids(tables, condition(columns[column], operator, value)) == found


def test_a_number_is_compared_with_numbers(tables: Tables):
    [tempo] = (each for each in tables.columns if each.name == "tempo")
    with pytest.raises(QueryError, match="tempo is a number, and 'fast' is none"):
        condition(tempo, ">", "fast")


@pytest.mark.parametrize(
    "where",
    [
        "track_id IN (SELECT content FROM read_text('{secret}'))",
        "track_id IN (SELECT file FROM glob('{secret}'))",
        "1 IN (SELECT 1 FROM '{secret}')",
        "1=1; COPY tracks TO '{secret}'",
        "1=1); DROP VIEW tracks; --",
        "1=1 UNION SELECT 1",
        "tempoo > 1",
        "genre = '",
        "tempo >",
    ],
)
def test_what_a_person_writes_reaches_nothing_but_the_tables(
    tables: Tables, tmp_path: Path, where: str
):
    secret = tmp_path / "secret.csv"
    secret.write_text("a")
    with pytest.raises(QueryError) as raised:
        tables.count(where.format(secret=secret))
    assert "\n" not in str(raised.value)
    assert secret.read_text() == "a"
    assert tables.count() == 3


def test_what_takes_too_long_is_given_up(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(query, "LIMIT_SECONDS", 0.2)
    endless = "(SELECT sum(a.range * b.range) FROM range(100000000) a, range(1000000) b) > 1"
    with pytest.raises(QueryError, match="took more than"):
        tables.count(endless)
    assert tables.count() == 3


def test_shards_of_stems_are_one_table_that_knows_its_splits(tmp_path: Path):
    for name, values in {"train-00000": [1, 2], "train-00001": [3], "test-00000": [4]}.items():
        pairs = {"pair_id": ["p"] * len(values), "chunk": values}
        pq.write_table(pa.table(pairs), tmp_path / f"{name}.parquet")
    tables = open_tables(tmp_path)
    assert tables.names == ("pairs",)
    assert [row["id"] for row in tables.rows("split = 'train'")] == ["p-1", "p-2", "p-3"]


def test_what_is_no_dataset_is_said(tmp_path: Path):
    with pytest.raises(QueryError, match="is no dataset"):
        open_tables(tmp_path / "songs.json")
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "tracks.parquet").write_bytes(b"PAR1 of old")
    with pytest.raises(QueryError, match="cannot be read"):
        open_tables(tmp_path / "songs.json")


def test_a_page_of_a_hundred_thousand_tracks_takes_a_moment(tmp_path: Path):
    """Wherever the page lies; embeddings are not read for it."""
    count = 100_000
    table = pa.table(
        {
            "track_id": [f"{at:032x}" for at in range(count)],
            "tempo": np.arange(count) % 120 + 60.0,
            "embedding": pa.FixedSizeListArray.from_arrays(np.zeros(count * 64, np.float32), 64),
        }
    )
    pq.write_table(table, tmp_path / "tracks.parquet", row_group_size=64)
    tables = open_tables(tmp_path)
    tables.count()
    begun = time.process_time()
    page = tables.rows("tempo >= 120", columns=["track_id", "tempo"], offset=40_000, limit=50)
    seconds = time.process_time() - begun
    assert (len(page), page[0]["tempo"]) == (50, 120.0 + 40_000 % 60)
    assert seconds < 0.4, "of all threads; 0.1 on two cores"
