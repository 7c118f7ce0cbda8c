"""Which rows are written together."""

import numpy as np
import pyarrow as pa

from blocks.storage import Storage
from tasks.export.rows import Source
from tasks.export.shards import ShardItem, shards

SOURCE = Source(Storage("x"), "songs", {}, Storage("y"), "selection")


def cut(ids: list[str], splits: list[str] | None = None, **limits: float) -> list[ShardItem]:
    rows = pa.table(
        {
            "id": ids,
            "split": splits or ["train"] * len(ids),
            "digest": pa.array([hash(name) & 0xFFFF for name in ids], pa.uint64()),
        }
    )
    return shards(rows, np.full(len(ids), 100.0), SOURCE, **limits)


def test_every_row_is_in_one_shard_of_its_split():
    ids = [f"song-{number}" for number in range(50)]
    found = cut(ids, ["train"] * 30 + ["test"] * 20, max_rows=7)
    ends = [item.first + item.count for item in found]
    assert [item.first for item in found] == [0, *ends[:-1]]
    assert ends[-1] == 50
    assert all(3 <= item.count <= 7 for item in found if item.first + item.count not in (30, 50))
    for split, first, last in (("train", 0, 30), ("test", 30, 50)):
        mine = [item for item in found if item.split == split]
        assert (mine[0].first, mine[-1].first + mine[-1].count) == (first, last)
        assert [item.path for item in mine] == [f"{split}-{at:05d}" for at in range(len(mine))]


def test_a_shard_holds_no_more_bytes_than_it_may_but_for_one_row():
    ids = [f"song-{number}" for number in range(40)]
    assert max(item.count for item in cut(ids, max_bytes=1000.0)) <= 10
    assert [item.count for item in cut(ids, max_bytes=10.0)] == [1] * 40


def test_another_row_changes_its_own_shard_and_hardly_any_other():
    ids = [f"song-{number}" for number in range(2000)]
    before = {item.track_id for item in cut(ids, max_rows=20)}
    for place in (0, 700, 1999):
        after = {item.track_id for item in cut([*ids[:place], "new", *ids[place:]], max_rows=20)}
        assert 1 <= len(after - before) <= 6
