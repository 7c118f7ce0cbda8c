import errno
import os
import pickle
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from blocks import s3, s3_client
from blocks import storage as storage_module
from blocks.storage import Storage, StorageError
from tests.support import prefect_server
from tests.support.s3_server import HOST, S3Server, bucket, store

__all__ = ["bucket", "store"]


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


def test_a_bucket_behaves_like_a_folder(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a/b.bin", b"1")
    with storage.writing("c.bin") as path:
        path.write_bytes(b"2")

    assert storage.files() == ["a/b.bin", "c.bin"]
    assert storage.files("a") == ["a/b.bin"]
    assert storage.below("a").files() == ["b.bin"]
    assert storage.sizes() == {"a/b.bin": 1, "c.bin": 1}
    assert storage.files("nowhere") == []
    assert storage.read_bytes("c.bin") == b"2"
    assert list(storage.pieces("c.bin")) == [b"2"]
    with storage.reading("a/b.bin") as path:
        assert path.read_bytes() == b"1"
        assert path.suffix == ".bin"
    assert storage.exists("c.bin")
    storage.delete("c.bin")
    storage.delete("c.bin")
    assert not storage.exists("c.bin")
    with pytest.raises(FileNotFoundError, match=r"s3://songs/some/prefix/c\.bin"):
        storage.read_bytes("c.bin")
    storage.check_writable()
    assert storage.files() == ["a/b.bin"]


def test_a_write_to_a_bucket_that_fails_keeps_what_was_there(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("row.bin", b"before")

    def break_off() -> None:
        with storage.writing("row.bin") as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert storage.read_bytes("row.bin") == b"before"


def test_a_full_disk_on_the_way_to_a_bucket_is_one_clear_sentence(bucket: str):
    with (
        pytest.raises(StorageError, match=r"No space is left to write .*content\.bin"),
        Storage(bucket).writing("row.bin"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_on_the_way_from_a_bucket_is_one_clear_sentence(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    # Every write to it fails for want of space.
    monkeypatch.setattr(storage_module, "_temporary_copy", lambda path: nullcontext("/dev/full"))
    Storage(bucket).write_bytes("row.bin", b"1")
    with (
        pytest.raises(StorageError, match="No space is left to write /dev/full"),
        Storage(bucket).reading("row.bin"),
    ):
        pass


@pytest.mark.parametrize(
    "address", ["s3://songs", "s3://songs/", "s3://songs/some", "s3://songs/some/"]
)
def test_addresses_of_a_bucket_need_no_prefix_and_may_end_in_a_slash(bucket: str, address: str):
    Storage(bucket).write_bytes("a.bin", b"1")
    storage = Storage(address)
    [name] = storage.files()
    assert storage.read_bytes(name) == b"1"


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(bucket: str):
    Storage(f"{bucket}-of-another").write_bytes("a.bin", b"1")
    assert Storage(bucket).files() == []
    assert Storage("s3://songs/some").files("prefix") == []


def test_hidden_objects_and_markers_of_folders_are_not_listed(bucket: str):
    storage = Storage(bucket)
    for name in (".hidden.bin", "a/.hidden.bin", ".folder/b.bin", "a/", "a/b.bin"):
        storage.write_bytes(name, b"")
    assert storage.files() == ["a/b.bin"]
    assert Storage("s3://songs/some").files("prefix/.folder") == ["prefix/.folder/b.bin"]


@pytest.mark.parametrize("name", ["caf\u00e9 & 100%+#?.wav", "a//b.wav", "x" * 300 + ".wav"])
def test_unusual_names_of_objects_are_kept(bucket: str, name: str):
    storage = Storage(bucket)
    with storage.writing(name) as path:
        path.write_bytes(b"1")
    assert storage.files() == [name]
    with storage.reading(name) as path:
        assert path.read_bytes() == b"1"


def test_versions_change_with_the_content_and_only_then(bucket: str, tmp_path: Path):
    for storage in (Storage(bucket), Storage(str(tmp_path))):
        storage.write_bytes("a.bin", b"1")
        first = storage.versions()
        assert first == storage.versions()
        assert first["a.bin"][0] == 1
        storage.write_bytes("a.bin", b"2")
        assert storage.versions() != first


def test_large_files_pass_in_pieces(bucket: str, store: S3Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 10 * 2**20)
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)
    content = np.random.default_rng(1).bytes(12 * 2**20)
    storage = Storage(bucket)
    with storage.writing("large.bin") as path:
        path.write_bytes(content)
    assert store.counts == {"START": 1, "PART": 3, "COMPLETE": 1}

    store.forget()
    with storage.reading("large.bin") as path:
        assert path.read_bytes() == content
        local = path
    assert not local.exists()
    assert store.counts == {"GET": 1}
    assert max(map(len, storage.pieces("large.bin"))) <= s3.PIECE_BYTES


def test_a_link_is_stored_as_what_it_leads_to(bucket: str, tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    storage = Storage(bucket)
    with storage.writing("copy.bin") as path:
        path.symlink_to(tmp_path / "weights.bin")
    assert storage.read_bytes("copy.bin") == b"weights"
    assert (tmp_path / "weights.bin").read_bytes() == b"weights"


def test_every_operation_costs_one_request(bucket: str, store: S3Server):
    def cost(act: Callable[[], object]) -> list[str]:
        store.forget()
        act()
        return list(store.requests)

    storage = Storage(bucket)

    def write() -> None:
        with storage.writing("part.parquet") as path:
            path.write_bytes(bytes(50_000))

    def read() -> None:
        with storage.reading("part.parquet"):
            pass

    assert cost(write) == ["PUT"]
    assert cost(read) == ["GET"]
    assert cost(lambda: storage.write_bytes("a.bin", b"1")) == ["PUT"]
    assert cost(lambda: storage.read_bytes("a.bin")) == ["GET"]
    assert cost(lambda: storage.write_bytes("empty.bin", b"")) == ["PUT"]
    assert cost(lambda: storage.read_bytes("empty.bin")) == ["GET"]
    assert cost(lambda: storage.exists("a.bin")) == ["HEAD"]
    assert cost(lambda: storage.exists("b.bin")) == ["HEAD"]
    assert cost(lambda: storage.delete("a.bin")) == ["DELETE"]
    assert cost(storage.check_writable) == ["PUT", "DELETE"]
    assert cost(storage.files) == ["LIST"]
    assert cost(storage.sizes) == ["LIST"]
    assert cost(storage.versions) == ["LIST"]


def test_a_thousand_objects_are_listed_by_one_request(bucket: str, store: S3Server):
    names = [f"{number:04d}.parquet" for number in range(2500)]
    # Straight into the server's memory: it is no matter of writing.
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for name in names:
        backend.put_object("songs", f"some/prefix/{name}", b"1")
    assert Storage(bucket).files() == names
    assert store.counts == {"LIST": 3}


def test_threads_share_one_client(bucket: str, store: S3Server, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    make = s3_client._made
    monkeypatch.setattr(s3_client, "_made", lambda block: made.append(block) or make(block))
    storage = Storage(bucket)

    def write_and_read(number: int) -> bytes:
        storage.write_bytes(f"{number}.bin", b"%d" % number)
        return storage.read_bytes(f"{number}.bin")

    # What another test made is that of another environment.
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write_and_read, range(40))) == [b"%d" % number for number in range(40)]
    assert made == [""]
    assert store.counts == {"PUT": 40, "GET": 40}


def test_a_forked_process_makes_a_client_of_its_own(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a.bin", b"1")
    mine = id(s3_client.client(""))
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        assert pool.submit(_client_and_content, storage).result() == (True, b"1")
    assert id(s3_client.client("")) == mine


def _client_and_content(storage: Storage) -> tuple[bool, bytes]:
    return not s3_client._clients, storage.read_bytes("a.bin")


def test_style_and_region_come_from_the_profile(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tmp_path / "config"
    url = store.url.replace(HOST, "studio")
    config.write_text(
        f"[profile studio]\nregion = eu-west-3\nendpoint_url = {url}\n"
        "aws_access_key_id = another\naws_secret_access_key = secret\n"
        "s3 =\n  addressing_style = virtual\n"
    )
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "studio")
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve(HOST, *rest, **more)
    )

    Storage("s3://songs").write_bytes("a.bin", b"1")
    port = urlsplit(store.url).port
    assert store.hosts == [f"songs.studio:{port}"]
    assert s3_client.client("").meta.region_name == "eu-west-3"


def test_the_style_of_a_named_endpoint_is_by_path(bucket: str, store: S3Server):
    Storage(bucket).exists("a.bin")
    assert store.hosts == [urlsplit(store.url).netloc]


def test_the_region_may_be_named_as_other_clients_of_s3_do(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert s3_client.client("").meta.region_name == "eu-north-1"


@pytest.mark.parametrize("address", ["s3://KEY:SEC/RET@songs/x", "s3://KEY:SECRET@songs"])
def test_keys_in_an_address_are_refused_and_not_repeated(address: str):
    with pytest.raises(StorageError, match="must not hold keys") as caught:
        Storage(address)
    assert "SEC" not in str(caught.value).replace("KEY:SECRET@...", "")


@pytest.mark.parametrize("address", ["s3://", "s3:///songs", "s3://block@/songs"])
def test_an_address_without_a_bucket_is_refused(address: str):
    with pytest.raises(StorageError, match="names no bucket"):
        Storage(address)


def test_a_storage_travels_without_secrets(bucket: str):
    storage = Storage(bucket)
    storage.write_bytes("a.bin", b"1")
    travelled = pickle.dumps(storage)
    assert b"test-secret" not in travelled
    assert "test-secret" not in repr(storage)
    assert pickle.loads(travelled).read_bytes("a.bin") == b"1"


def test_credentials_come_from_a_prefect_block(
    bucket: str, store: S3Server, monkeypatch: pytest.MonkeyPatch
):
    from prefect_aws import AwsClientParameters, AwsCredentials

    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    storage = Storage(bucket.replace("s3://", "s3://studio@"))
    with prefect_server.shared():
        with pytest.raises(StorageError, match="no block aws-credentials/studio"):
            storage.files()
        AwsCredentials(
            aws_access_key_id="of-the-block",
            aws_secret_access_key="secret-of-the-block",
            region_name="eu-west-3",
            aws_client_parameters=AwsClientParameters(
                endpoint_url=store.url, config={"retries": {"total_max_attempts": 2}}
            ),
        ).save("studio")
        storage.write_bytes("a.bin", b"1")
        # Of the environment's store there is nothing to be reached.
        assert store.counts == {"PUT": 1}
        assert store.keys == ["of-the-block"]

        store.breaks("GET", "status", times=2)
        monkeypatch.setattr(s3_client, "LONGEST_DELAY_SECONDS", 0.01)
        assert storage.read_bytes("a.bin") == b"1"
        store.breaks("GET", "status", status=403, code="InvalidAccessKeyId")
        with pytest.raises(StorageError, match="correct Prefect's block aws-credentials/studio"):
            storage.read_bytes("a.bin")
    assert b"secret" not in pickle.dumps(storage)
