"""Which rows of a dataset are chosen."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.query import QueryError, Tables, open_tables
from tasks.dataset.selection import Choice, null_shares, select
from tasks.dataset.unified import COLUMNS

GENRES = ("Rock", "Rock", "Rock", "Jazz")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A unified dataset of 120 rows: four artists of ten test, the others train."""
    rows = []
    for number in range(120):
        artist = number // 10
        rows.append(
            dict.fromkeys(COLUMNS.names)
            | {
                "id": f"row-{number:03d}",
                "audio_path": f"{number}.mp3",
                "caption": "music",
                "duration": 10.0,
                "split": "test" if artist >= 8 else "train",
                "group": f"artist {artist}",
                "artist": f"artist {artist}",
                "key": None if number % 3 else "A minor",
                "license": ("CC-BY-4.0", "CC-BY-NC-4.0", None)[number % 3],
                "evaluation_only": number >= 110,
                "genres": [],
                "album": GENRES[number % 4],
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, schema=COLUMNS), tmp_path / "unified.parquet")
    return open_tables(tmp_path)


def ids(tables: Tables, **choice: object) -> list[str]:
    found: list[str] = select(tables, Choice(**choice)).rows["id"].to_pylist()  # type: ignore[arg-type]
    return found


def test_rows_come_by_split_and_in_the_order_of_the_dataset(tables: Tables):
    assert ids(tables) == [f"row-{number:03d}" for number in range(120)]
    assert ids(tables, where="split = 'test' OR id < 'row-003'")[:4] == [
        *("row-000", "row-001", "row-002"),
        "row-080",
    ]


def test_a_sample_keeps_the_shares_of_splits_and_of_a_column(tables: Tables):
    rows = {row["id"]: row for row in tables.rows()}
    drawn = ids(tables, sample=30, stratify="album", seed=3)
    counts = Counter((rows[name]["split"], rows[name]["album"]) for name in drawn)
    # Of the test exactly 7.5 and 2.5: one of them is rounded up.
    assert (counts["train", "Rock"], counts["train", "Jazz"]) == (15, 5)
    assert (counts["test", "Rock"], counts["test", "Jazz"]) in {(8, 2), (7, 3)}
    assert Counter(rows[name]["split"] for name in ids(tables, sample=30)) == {
        "train": 20,
        "test": 10,
    }


def test_a_larger_sample_holds_the_smaller_one_and_another_seed_draws_others(tables: Tables):
    small, large = set(ids(tables, sample=12)), set(ids(tables, sample=60))
    assert small < large
    assert set(ids(tables, sample=12, seed=1)) != small
    assert len(ids(tables, sample=500)) == 120


def test_licences_are_summed_up_with_some_names(tables: Tables):
    found = select(tables, Choice(where="id >= 'row-107'")).licences
    said = {(group.stated, group.evaluation_only): (group.rows, group.ids[0]) for group in found}
    # 107 to 119, of which 110 and more are for evaluation.
    assert said == {
        ("CC-BY-4.0", False): (1, "row-108"),
        ("CC-BY-NC-4.0", False): (1, "row-109"),
        (None, False): (1, "row-107"),
        ("CC-BY-4.0", True): (3, "row-111"),
        ("CC-BY-NC-4.0", True): (3, "row-112"),
        (None, True): (4, "row-110"),
    }


def test_a_licence_that_is_not_stated_allows_nothing(tables: Tables):
    assert len(ids(tables, licence="commercial")) == 40
    assert len(ids(tables, licence="share-alike")) == 80
    with pytest.raises(QueryError, match="No row"):
        ids(tables, licence="commercial", where="license IS NULL")


def test_shares_without_a_value_are_of_the_rows_that_are_asked_for(tables: Tables):
    shares = null_shares(tables, Choice(where="id < 'row-004'"))
    assert shares["key"] == 0.5
    assert shares["title"] == 1.0
    assert "caption" not in shares


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(stratify="nonesuch", sample=3), "no such column"),
        (Choice(segments=True), "unified"),
        (Choice(drop_duplicates=True), "duplicate_group"),
        (Choice(where="nonesuch = 1"), "nonesuch"),
        (Choice(where="1 = 1; DROP TABLE unified"), "cannot be asked"),
        (Choice(where="id = 'x'"), "No row"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence(tables: Tables, choice: Choice, said: str):
    with pytest.raises(QueryError, match=said):
        select(tables, choice)
