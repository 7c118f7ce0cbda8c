"""Values of two tables against each other, and reasons from manifests written by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.dataset.comparison import Comparison, Rows, compare
from tasks.dataset.making import Making, change_of, whole
from tasks.dataset.manifest import write_manifest

NESTED = pa.list_(pa.struct([("tag", pa.string()), ("score", pa.float64())]))


def compared(
    folder: Path,
    now: dict[str, Any],
    before: dict[str, Any],
    where: str | None = None,
    manifests: Sequence[dict[str, Any] | None] = (None, None),
) -> Comparison:
    for name, columns, manifest in zip(("now", "before"), (now, before), manifests, strict=True):
        (folder / name).mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / name / "tracks.parquet")
        if manifest is not None:
            write_manifest(Storage(str(folder / name)), manifest)
    return compare(folder / "now", folder / "before", where)


def test_values_differ_as_they_are_and_not_as_they_are_hashed(tmp_path: Path):
    """DuckDB's hash takes [0] for [0, 0], and null for [] and [null]."""
    pairs: dict[str, tuple[list[Any], list[Any], pa.DataType, int]] = {
        "number": ([1.0, None, float("nan"), 2.0], [1.0, None, float("nan"), 2.5], pa.float64(), 1),
        "zeros": (
            [[0.0], [], None, [1.0]],
            [[0.0, 0.0], None, [None], [1.0]],
            pa.list_(pa.float64()),
            3,
        ),
        "order": ([[0, 1]] * 4, [[1, 0], [0, 1], [0, 1], None], pa.list_(pa.int32()), 2),
        "text": (["", None, "a", "b"], [None, None, "a", "c"], pa.string(), 2),
        "flag": ([True, None, False, True], [True, False, False, True], pa.bool_(), 1),
        "nested": (
            [[{"tag": "a", "score": None}], [], None, [{"tag": "a", "score": 1.0}]],
            [[None], [None], None, [{"tag": "a", "score": 1.0}]],
            NESTED,
            2,
        ),
        "deep": (
            [[["a"], ["b"]]] * 4,
            [[["a", "b"]], [["a"], ["b"]], [["a, b"]], None],
            pa.list_(pa.list_(pa.string())),
            3,
        ),
    }
    ids = {"track_id": ["a", "b", "c", "d"]}
    now = ids | {name: pa.array(each[0], each[2]) for name, each in pairs.items()}
    before = ids | {name: pa.array(each[1], each[2]) for name, each in pairs.items()}
    found = {each.name: each for each in compared(tmp_path, now, before).columns}
    assert {name: each.differing for name, each in found.items()} == {
        name: each[3] for name, each in pairs.items()
    }
    assert (found["zeros"].only_now, found["zeros"].only_before) == (1, 1)
    assert all("nothing in the manifests" in each.reasons[0] for each in found.values())


def test_rows_and_files_of_one_build(tmp_path: Path):
    now = {
        "track_id": ["same", "moved", "other bytes", "new"],
        "file_path": ["a.wav", "z.wav", "c.wav", "d.wav"],
        "channels": pa.array([1, 2, 2, 2], pa.int32()),
        "mode": ["minor"] * 4,
    }
    before = {
        "track_id": ["same", "moved", "bytes", "old"],
        "file_path": ["a.wav", "b.wav", "c.wav", "e.wav"],
        "channels": pa.array([1.0, 2.0, 2.0, 2.0]),
        "tempo": [100.0] * 4,
    }
    comparison = compared(tmp_path, now, before)
    assert comparison.rows["tracks"] == {
        "both": 2,
        "added": Rows(2, ["new", "other bytes"]),
        "removed": Rows(2, ["bytes", "old"]),
    }
    assert comparison.files == {
        "added": Rows(1, ["d.wav"]),
        "replaced": Rows(1, ["c.wav"]),
        "moved": Rows(1, ["b.wav -> z.wav"]),
        "removed": Rows(1, ["e.wav"]),
    }
    reasons = {each.name: each.reasons[-1] for each in comparison.columns}
    assert reasons.pop("file_path").startswith("nothing in the manifests")
    assert reasons == {
        "channels": "type DOUBLE -> INTEGER",
        "tempo": "the column is there only before",
        "mode": "the column is there only now",
    }
    part = compared(tmp_path, now, before, "file_path < 'd'")
    assert part.rows["tracks"] == {"both": 1, "added": Rows(1, ["other bytes"])}


def step(name: str, recipe: str, *upstream: str, **said: Any) -> dict[str, Any]:
    return {"step": name, "step_version": 1, "recipe": recipe, "upstream": list(upstream)} | said


def test_the_root_of_a_change_is_named_with_the_shortest_way_to_it():
    model = {"name": "beatnet", "library": "beatnet"}
    before = Making.of(
        {
            "steps": [
                step("probe", "p"),
                step("beats", "b1", "probe", models=[model | {"revision": "r1"}]),
                step("features", "f1", "probe", "beats", config={"rate": {"hz": 22050}}),
                step("harmony", "h1", "features"),
                step("pitch", "s", "probe"),
            ],
            "columns": {
                "tracks.key": {"step": "harmony", "from_steps": ["harmony"]},
                "tracks.both": {"step": "harmony", "from_steps": ["harmony", "features"]},
                "tracks.f0": {"step": "pitch", "from_steps": ["pitch"]},
                "tracks.lone": {"step": "lone", "from_steps": []},
            },
        }
    )
    now = Making(
        {
            "probe": before.steps["probe"],
            "pitch": before.steps["pitch"],
            "beats": before.steps["beats"]
            | {"recipe": "b2", "models": [model | {"revision": "r2"}]},
            "features": before.steps["features"]
            | {"recipe": "f2", "step_version": 2, "config": {"rate": {"hz": 44100}}},
            "harmony": before.steps["harmony"] | {"recipe": "h2"},
        },
        before.columns,
        {},
        {},
    )
    own = [
        "beats: model beatnet, revision r1 -> r2",
        "features: version 1 -> 2",
        "features: rate.hz 22050 -> 44100",
    ]
    assert list(whole(now, before)) == own
    beats, *features = own
    assert change_of("tracks.key", now, before).reasons == [
        *(f"{each}, by way of harmony" for each in features),
        f"{beats}, by way of features, harmony",
    ]
    assert change_of("tracks.both", now, before).reasons == [
        *features,
        f"{beats}, by way of features",
    ]
    assert change_of("tracks.f0", now, before).made_otherwise is False
    assert change_of("tracks.lone", now, before).reasons == []
    other = {"pitch": before.steps["pitch"] | {"recipe": "other"}}
    unknown = Making({**before.steps, **other}, before.columns, {}, {})
    [reason] = change_of("tracks.f0", unknown, before).reasons
    assert "do not say how" in reason


def test_datasets_without_columns_in_their_manifests_are_compared_as_a_whole(tmp_path: Path):
    ids = {"track_id": ["a"]}
    manifest = {"steps": [step("encode", "e")], "split_seed": 1}
    comparison = compared(
        tmp_path,
        ids | {"codes": [1], "kind": ["basic"]},
        ids | {"codes": [2], "kind": ["basic"]},
        manifests=(manifest | {"split_seed": 2}, manifest),
    )
    assert comparison.making == ["split_seed 1 -> 2"]
    found = {each.name: (each.differing, each.reasons) for each in comparison.columns}
    assert found == {"codes": (1, ["split_seed 1 -> 2"])}
