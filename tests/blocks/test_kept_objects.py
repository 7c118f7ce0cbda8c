import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from blocks import kept_objects
from blocks.kept_objects import KeptObjects
from blocks.storage import Storage, StorageError
from tests.support.s3_server import S3Server, bucket, store

__all__ = ["bucket", "store"]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptObjects:
    """Copies of a process that has none yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fresh = KeptObjects(most_bytes=10)
    monkeypatch.setattr(kept_objects, "KEPT", fresh)
    return fresh


def read(storage: Storage, path: str) -> bytes:
    with storage.reading(path, keep=True) as local:
        assert local.suffix == Path(path).suffix
        return local.read_bytes()


def test_an_object_is_fetched_once_and_then_only_asked_for(bucket: str, store: S3Server):
    storage = Storage(bucket)
    storage.write_bytes("a.flac", b"abc")
    store.forget()

    assert [read(storage, "a.flac") for _ in range(3)] == [b"abc"] * 3

    assert store.requests == ["GET"] * 3
    assert store.sent_bytes == 3


def test_an_object_that_was_replaced_is_fetched_anew(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a.flac", b"old")
    assert read(storage, "a.flac") == b"old"

    storage.write_bytes("a.flac", b"new")
    assert read(storage, "a.flac") == b"new"

    storage.delete("a.flac")
    with pytest.raises(FileNotFoundError):
        read(storage, "a.flac")


def test_within_a_reading_there_is_one_version_and_no_further_request(bucket: str, store: S3Server):
    storage = Storage(bucket)
    storage.write_bytes("a.flac", b"old")
    store.forget()

    with storage.reading("a.flac", keep=True):
        assert read(storage, "a.flac") == b"old"
        assert store.requests == ["GET"]
        storage.write_bytes("a.flac", b"new")
        assert read(storage, "a.flac") == b"old"
    assert read(storage, "a.flac") == b"new"


def test_what_was_written_here_is_not_fetched(bucket: str, store: S3Server):
    storage = Storage(bucket)
    with storage.writing("a.flac", keep=True) as local:
        local.write_bytes(b"abc")
    store.forget()

    assert read(storage, "a.flac") == b"abc"
    assert (store.requests, store.sent_bytes) == (["GET"], 0)


def test_threads_that_want_the_same_object_fetch_it_once(bucket: str, store: S3Server):
    storage, together = Storage(bucket), Barrier(4)
    storage.write_bytes("a.flac", b"abc")
    store.forget()

    def read_with_others(_: int) -> bytes:
        together.wait()
        return read(storage, "a.flac")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read_with_others, range(4))) == [b"abc"] * 4
    assert store.sent_bytes == 3


def test_copies_that_are_not_read_for_longest_go_first(
    bucket: str, store: S3Server, tmp_path: Path
):
    storage = Storage(bucket)
    for name in "abc":
        storage.write_bytes(f"{name}.flac", b"four")
    store.forget()
    for name in "abacab":
        read(storage, f"{name}.flac")

    # b made room for c, and is fetched again.
    assert store.sent_bytes == 4 * 4
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.flac")) <= 10


def test_a_copy_that_is_read_does_not_go(bucket: str):
    storage = Storage(bucket)
    for name in "abc":
        storage.write_bytes(f"{name}.flac", name.encode() * 8)

    with storage.reading("a.flac", keep=True) as first:
        assert read(storage, "b.flac") == b"b" * 8
        assert read(storage, "c.flac") == b"c" * 8
        assert first.read_bytes() == b"a" * 8


def test_a_full_disk_costs_the_other_copies_and_then_is_one_sentence(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    storage = Storage(bucket)
    for name in "ab":
        storage.write_bytes(f"{name}.flac", b"four")
    read(storage, "a.flac")
    write = kept_objects._write

    def write_where_nothing_else_is(path, pieces):
        if list(tmp_path.rglob("*.flac")):
            raise OSError(28, "No space left on device")
        write(path, pieces)

    monkeypatch.setattr(kept_objects, "_write", write_where_nothing_else_is)
    assert read(storage, "b.flac") == b"four"

    def never(path, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_objects, "_write", never)
    with pytest.raises(StorageError, match="No space is left"):
        read(storage, "a.flac")


def test_an_error_of_the_reader_stays_what_it_is(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a.flac", b"abc")
    with pytest.raises(OSError, match="of the reader"), storage.reading("a.flac", keep=True):
        raise OSError("of the reader")


KEEPS = """
import os, sys
from pathlib import Path
from blocks.kept_objects import KEPT

with KEPT.reading(("a",), ".flac", lambda tag: ("tag", iter([b"abc"]))) as path:
    print(path, flush=True)
if sys.argv[1:]:
    sys.stdin.read()
"""


def test_copies_go_with_their_process_and_those_of_a_killed_one_with_the_next(tmp_path: Path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed = subprocess.Popen(
        [sys.executable, "-c", KEEPS, "wait"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout
    left = Path(killed.stdout.readline().strip())
    subprocess.run([sys.executable, "-c", KEEPS], env=environment, check=True)
    assert left.read_bytes() == b"abc"  # of a process that lives
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.exists()

    subprocess.run([sys.executable, "-c", KEEPS], env=environment, check=True)

    assert list(tmp_path.iterdir()) == []
