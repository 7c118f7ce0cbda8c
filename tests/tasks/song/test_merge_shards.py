import json
import os
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest

from tasks.dataset.failures import read_failures
from tasks.dataset.manifest import read_manifest
from tasks.song.dataset import Paths
from tasks.song.discover import Shard, ShardBy
from tasks.song.merge_shards import ShardError, merge_shards
from tests.tasks.song.library import Library

SHARD_BY: tuple[ShardBy, ...] = get_args(ShardBy)


@pytest.fixture
def full(library: Library) -> Library:
    """Songs in several folders, with failures and copies that fall into different shards."""
    for number in range(40):
        library.add(f"{number % 7}/{number:02d}.wav", b"x" * (number + 1))
    library.add("6/zz.wav", b"x" * 3)
    library.add("0/bad.wav", b"!")
    library.add("5/empty.wav", b"")
    return library


def shards_of(library: Library, total: int, by: ShardBy) -> list[Paths]:
    return [library.build(f"s{index}", Shard(index, total, by))[0] for index in range(total)]


@pytest.mark.parametrize("by", SHARD_BY)
@pytest.mark.parametrize("total", [1, 2, 5])
def test_shards_built_apart_and_merged_equal_one_whole_build(
    full: Library, tmp_path: Path, by: ShardBy, total: int
):
    whole, manifest = full.build("whole")
    target = Paths(tmp_path / "merged" / "M.json")
    content = merge_shards(shards_of(full, total, by), target)

    assert target.json.read_bytes() == whole.json.read_bytes()
    for name in ("tracks.parquet", "segments.parquet"):
        assert pq.read_table(target.folder / name).equals(pq.read_table(whole.folder / name))
    assert content["counts"] == manifest["counts"]
    assert content["failures_by_reason"] == manifest["failures_by_reason"]
    assert content["columns"] == manifest["columns"]
    assert content == read_manifest(target.storage)
    assert _sorted(read_failures(target.storage)) == _sorted(read_failures(whole.storage))
    assert target.report.exists()


def test_copies_in_different_shards_are_listed(full: Library, tmp_path: Path):
    _, manifest = full.build("whole")
    content = merge_shards(shards_of(full, 5, "alphabetical"), Paths(tmp_path / "M.json"))
    assert content["duplicates"] == manifest["duplicates"]


def test_names_that_are_not_utf8_keep_their_order(library: Library, tmp_path: Path):
    for number, name in enumerate(
        [b"caf].wav", b"caf\xe9.wav", b"cafZ.wav", b"caf\xc3.wav", "café.wav".encode()]
    ):
        library.add(os.fsdecode(name), b"x" * (number + 1))
    library.add("中.wav", b"x" * 20)
    whole, _ = library.build("whole")
    target = Paths(tmp_path / "M.json")
    merge_shards(shards_of(library, 3, "hash"), target)
    assert target.json.read_bytes() == whole.json.read_bytes()


def test_shards_may_overlap(full: Library, tmp_path: Path):
    whole, _ = full.build("whole")
    shards = shards_of(full, 2, "hash")
    target = Paths(tmp_path / "M.json")
    merge_shards([shards[1], whole, shards[0], shards[1]], target)
    assert target.json.read_bytes() == whole.json.read_bytes()


def test_an_empty_shard_is_a_shard(library: Library, tmp_path: Path):
    library.add("a.wav", b"x")
    whole, _ = library.build("whole")
    target = Paths(tmp_path / "M.json")
    merge_shards(shards_of(library, 3, "alphabetical"), target)
    assert target.json.read_bytes() == whole.json.read_bytes()


def test_seconds_add_up_and_shards_are_named(full: Library, tmp_path: Path):
    shards = shards_of(full, 2, "hash")
    manifests = [json.loads(shard.manifest.read_text()) for shard in shards]
    content = merge_shards(shards, Paths(tmp_path / "M.json"))
    assert content["seconds_by_step"]["merge"] == pytest.approx(
        sum(manifest["seconds_by_step"]["merge"] for manifest in manifests), abs=0.002
    )
    assert content["peak_memory_mb_by_step"]["merge"]["process"] == max(
        manifest["peak_memory_mb_by_step"]["merge"]["process"] for manifest in manifests
    )
    assert [shard["json"] for shard in content["shards"]] == [str(shard.json) for shard in shards]
    assert [shard["vocals_dir"] for shard in content["shards"]] == ["vocals of s0", "vocals of s1"]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda shard: shard.json.unlink(), r"s1\.json does not exist"),
        (lambda shard: shard.manifest.unlink(), r"manifest\.json is missing or damaged"),
        (lambda shard: shard.manifest.write_text("{"), r"manifest\.json is missing or damaged"),
        (lambda shard: change(shard.manifest, profile="full"), r"s1\.json was made with other pro"),
        (lambda shard: change(shard.manifest, columns={}), r"s1\.json was made with other columns"),
        (lambda shard: shard.json.write_text("[\n{}"), r"s1\.json"),
        (
            lambda shard: shard.json.write_bytes(shard.json.read_bytes()[:-100]),
            r"s1\.json is damaged",
        ),
        (lambda shard: shard.failures.unlink(), r"failures\.jsonl"),
        (lambda shard: shard.failures.write_text("{half"), r"failures\.jsonl"),
        (lambda shard: shard.manifest.write_text("{}"), r"manifest\.json"),
    ],
    ids=[
        "missing",
        "unfinished",
        "damaged-manifest",
        "profile",
        "columns",
        "damaged-json",
        "truncated-json",
        "no-failures",
        "damaged-failures",
        "foreign-manifest",
    ],
)
def test_a_shard_that_cannot_be_merged_is_named(full: Library, tmp_path: Path, damage, message):
    shards = shards_of(full, 2, "hash")
    damage(shards[1])
    target = Paths(tmp_path / "M.json")
    with pytest.raises(ShardError, match=message):
        merge_shards(shards, target)
    assert not target.json.exists(), "nothing half-merged is left"


def _sorted(failures: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(failure, sort_keys=True) for failure in failures)
