import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks import places
from blocks.storage import Storage
from blocks.storage_error import StorageError


@pytest.mark.parametrize("name", ["live: 2024", "a:b", "AC/DC: Live", "x/s3:y", "./gs://x", "C:"])
def test_a_colon_in_a_name_is_a_name(name: str):
    assert places.place(name) == name


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("~/Music", "/home/me/Music"),
        ("~", "/home/me"),
        ("a/~", "a/~"),
        ("S3://Music/Out", "s3://Music/Out"),
        (" s3://music/x ", "s3://music/x"),
        ("/", "/"),
    ],
)
def test_what_a_shell_would_do_is_done(monkeypatch: pytest.MonkeyPatch, address: str, found: str):
    monkeypatch.setenv("HOME", "/home/me")
    assert places.place(address) == found
    assert Storage(address).address == found


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("s3:/music/out", "s3://music/out"),
        ("s3:music/out", "s3://music/out"),
        ("S3:/music", "s3://music"),
        ("s3a://music/x", "s3://music/x"),
        ("gs://music", "./gs://music"),
        ("hdfs://host:8020/x", "s3://bucket/prefix"),
        ("http://x", "s3://bucket/prefix"),
        ("https:/x", "s3://bucket/prefix"),
        ("abfs://a@b/c", "s3://bucket/prefix"),
        ("file:///data/x", "write the path itself, /data/x"),
        ("file://localhost/data", "write the path itself, /data"),
        ("", "s3://bucket/prefix"),
        ("  ", "s3://bucket/prefix"),
    ],
)
def test_what_would_become_a_folder_called_like_a_store_is_one_sentence(address: str, remedy: str):
    for use in (places.place, Storage):
        with pytest.raises(StorageError) as raised:
            use(address)
        assert remedy in str(raised.value)
        assert str(raised.value).endswith(".")


def test_a_secret_in_a_wrong_address_is_not_repeated():
    with pytest.raises(StorageError) as raised:
        places.place("s3a://KEY:SECRET@music/x")
    assert "SECRET" not in str(raised.value)


def test_a_file_of_this_machine_is_in_no_bucket():
    assert places.path("songs.json") == "songs.json"
    with pytest.raises(StorageError, match="s3://music/x is in a bucket"):
        places.path("S3://music/x")


def test_libraries_take_no_relative_path_for_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    storage = Storage("live: 2024")
    with storage.writing("a.parquet") as target:
        pq.write_table(pa.table({"a": [1]}), target)
    with storage.reading("a.parquet") as path:
        assert pq.read_table(path)["a"].to_pylist() == [1]
    assert os.listdir(tmp_path) == ["live: 2024"]
    assert storage.absolute().address == f"{tmp_path}/live: 2024"
