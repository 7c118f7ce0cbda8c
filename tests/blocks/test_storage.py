import errno
import os
import shutil
from pathlib import Path
from typing import IO
from urllib.request import Request, urlopen

import numpy as np
import pytest

from blocks.storage import COPY_BYTES, Storage, StorageError


def test_what_is_written_is_read_back_and_listed(tmp_path: Path):
    storage = Storage(str(tmp_path))
    storage.write_bytes("a/b.bin", b"1")
    storage.write_bytes("c.bin", b"2")

    assert storage.read_bytes("a/b.bin") == b"1"
    assert storage.below("a").read_bytes("b.bin") == b"1"
    assert storage.files() == ["a/b.bin", "c.bin"]
    assert storage.files("a") == ["a/b.bin"]
    assert storage.exists("c.bin")
    storage.delete("c.bin")
    assert not storage.exists("c.bin")
    assert storage.files("nowhere") == []


def test_a_write_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path: Path):
    storage = Storage(str(tmp_path))
    storage.write_bytes("row.bin", b"before")

    def break_off() -> None:
        with storage.writing("row.bin") as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()

    assert storage.read_bytes("row.bin") == b"before"
    assert os.listdir(tmp_path) == ["row.bin"]


def test_a_full_disk_is_one_clear_sentence(tmp_path: Path):
    with (
        pytest.raises(StorageError, match=r"No space is left to write .*row\.bin"),
        Storage(str(tmp_path)).writing("row.bin"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        Storage(str(tmp_path / "file")).write_bytes("row.bin", b"")


def test_links_in_circles_are_walked_once_and_hidden_files_not_at_all(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "song.wav").write_bytes(b"")
    (tmp_path / "a" / ".hidden.wav").write_bytes(b"")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert Storage(str(tmp_path)).files() == ["a/song.wav"]


def test_names_that_are_not_utf8_are_kept(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / name).write_bytes(b"x")

    assert Storage(str(tmp_path)).files() == [name]
    assert Storage(str(tmp_path)).read_bytes(name) == b"x"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch):
    """Address of a bucket in a real S3 server on the loopback interface."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    # Buckets of this process outlive their server.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="songs")
    yield "s3://songs/some/prefix"
    server.stop()


def test_a_bucket_behaves_like_a_folder(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a/b.bin", b"1")
    with storage.writing("c.bin") as path:
        path.write_bytes(b"2")

    assert storage.files() == ["a/b.bin", "c.bin"]
    assert storage.below("a").files() == ["b.bin"]
    assert storage.read_bytes("c.bin") == b"2"
    with storage.reading("a/b.bin") as path:
        assert path.read_bytes() == b"1"
    assert storage.exists("c.bin")
    storage.delete("c.bin")
    assert not storage.exists("c.bin")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("c.bin")


def test_large_objects_pass_in_pieces(bucket: str, monkeypatch: pytest.MonkeyPatch):
    # Over several parts of a multipart upload, and several pieces of each copy.
    content = np.random.default_rng(1).bytes(25_000_000)
    pieces: list[int] = []
    copy = shutil.copyfileobj

    def spy(source: IO[bytes], sink: IO[bytes], length: int) -> None:
        pieces.append(length)
        copy(source, sink, length)

    monkeypatch.setattr(shutil, "copyfileobj", spy)
    storage = Storage(bucket)
    with storage.writing("large.bin") as path:
        path.write_bytes(content)
    with storage.reading("large.bin") as path:
        assert path.read_bytes() == content
        local = path
    assert pieces == [COPY_BYTES] * 2
    assert not local.exists()


def test_a_link_is_stored_as_what_it_leads_to(bucket: str, tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    storage = Storage(bucket)
    with storage.writing("copy.bin") as path:
        path.symlink_to(tmp_path / "weights.bin")
    assert storage.read_bytes("copy.bin") == b"weights"
    assert (tmp_path / "weights.bin").read_bytes() == b"weights"
