"""Models from a real hub, into folders and buckets: whole, once, and nothing of others lost."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from blocks.storage import Storage, StorageError
from models import weights
from models.registry import HubSource, ModelCard, ModelFile
from models.weights import MANIFEST
from tasks.weights import Weights, fetch, hub
from tasks.weights.fetch import FetchError
from tests.blocks.test_storage import bucket
from tests.support.hub_server import HubServer, Repository
from tests.support.toy_model import (
    CONTENT,
    REPOSITORY,
    changed,
    contents,
    names,
    plain,
    pull,
    server,
    toy,
)

__all__ = ["bucket", "plain", "server", "toy"]


def test_a_repository_arrives_whole_with_its_manifest(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    steps: list[tuple[int, int]] = []
    fetched = fetch.fetch("toy", Weights(str(tmp_path)), lambda *step: steps.append(step))

    size = sum(map(len, CONTENT.values()))
    assert fetched == fetch.Fetched(toy.revision, size, fetched_bytes=size)
    assert contents(tmp_path / "toy") == CONTENT
    manifest = weights.read_manifest(tmp_path / "toy")
    assert manifest is not None
    assert (manifest.name, manifest.revision, manifest.licence, manifest.source) == (
        "toy",
        toy.revision,
        "MIT",
        REPOSITORY,
    )
    assert Weights(str(tmp_path)).problems("toy") == []
    assert steps[-1] == (size, size)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    # Nothing else is left, and nothing has to be read again.
    assert names(tmp_path) == {"toy"}
    assert [path.name for path in (tmp_path / fetch.WORK).iterdir()] == ["toy.lock"]
    assert set(json.loads((tmp_path / "toy" / weights.SEEN).read_text())) == set(CONTENT)


def test_the_hubs_own_library_gets_the_same_files(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    pull("toy", tmp_path)
    code = (
        "import sys\nfrom huggingface_hub import hf_hub_download\n"
        "for name in sys.argv[4:]: hf_hub_download(*sys.argv[1:2], name,"
        " revision=sys.argv[2], local_dir=sys.argv[3])"
    )
    folder = tmp_path / "library"
    subprocess.run(
        [sys.executable, "-c", code, REPOSITORY, toy.revision, folder, *CONTENT],
        env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"},
        check=True,
        capture_output=True,
    )
    shutil.rmtree(folder / ".cache")
    assert contents(tmp_path / "toy") == contents(folder)


def test_what_is_there_needs_no_network(
    server: HubServer, toy: ModelCard, plain: ModelCard, tmp_path: Path
):
    for name in ("toy", "plain"):
        pull(name, tmp_path)
    server.requests.clear()

    assert pull("toy", tmp_path).fetched_bytes == 0
    assert pull("plain", tmp_path).fetched_bytes == 0
    assert pull("plain", tmp_path, force=True).fetched_bytes == 0
    assert server.requests == []


def test_an_unpinned_revision_is_recorded_as_the_commit_that_it_was(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    changed(monkeypatch, toy, revision="main", sources=(HubSource(REPOSITORY, "main"),))
    fetched = pull("toy", tmp_path)

    assert fetched.revision == toy.revision
    assert Weights(str(tmp_path)).revision("toy") == toy.revision
    assert fetch.state(Weights(str(tmp_path)), "toy") == "present"
    # A later commit changes nothing: it was asked for no particular one.
    server.repositories[REPOSITORY].files = CONTENT | {"config.json": b"{}"}
    assert pull("toy", tmp_path).fetched_bytes == 0


def test_a_full_disk_is_known_before(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=100_000))
    with pytest.raises(
        StorageError, match=r"0\.0 GB more are needed .* choose another --models_dir"
    ):
        pull("toy", tmp_path)
    assert not server.sent
    # What arrived before counts.
    partial = next((tmp_path / fetch.WORK / "toy").iterdir()) / "model.bin.partial"
    partial.write_bytes(CONTENT["model.bin"][:250_000])
    pull("toy", tmp_path)
    assert contents(tmp_path / "toy") == CONTENT


def test_a_disk_that_fills_up_is_one_sentence(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub, "download", full)
    with pytest.raises(StorageError, match=r"No space is left for toy .* run the same command"):
        pull("toy", tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(toy: ModelCard, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written .* choose another --models_dir"):
        pull("toy", tmp_path / "file")


def test_only_what_is_damaged_is_fetched_again(server: HubServer, toy: ModelCard, tmp_path: Path):
    pull("toy", tmp_path)
    (tmp_path / "toy" / "config.json").write_text("{}")
    assert fetch.state(Weights(str(tmp_path)), "toy") == "damaged"
    server.sent.clear()

    pull("toy", tmp_path)

    assert contents(tmp_path / "toy") == CONTENT
    assert set(server.sent) == {"config.json"}


def test_damage_that_nothing_shows_is_found_by_force(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    pull("toy", tmp_path)
    rot(tmp_path / "toy" / "model.bin")
    place = Weights(str(tmp_path))
    assert place.problems("toy") == []
    assert pull("toy", tmp_path).fetched_bytes == 0

    assert pull("toy", tmp_path, force=True).fetched_bytes == len(CONTENT["model.bin"])
    assert contents(tmp_path / "toy") == CONTENT


def rot(path: Path) -> None:
    """Change a byte of a file as a bad disk does: neither size nor time tells."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_other_revisions_and_tiny_models_are_replaced(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    pull("toy", tmp_path)
    place = Weights(str(tmp_path))
    server.repositories[REPOSITORY] = Repository(CONTENT | {"config.json": b"{}"}, ("model.bin",))
    newer = server.repositories[REPOSITORY].commit
    changed(monkeypatch, toy, revision=newer, sources=(HubSource(REPOSITORY, newer),))
    assert fetch.state(place, "toy") == "outdated"
    server.sent.clear()

    assert pull("toy", tmp_path).revision == newer

    assert set(server.sent) == {"config.json"}
    assert contents(tmp_path / "toy")["config.json"] == b"{}"
    shutil.rmtree(tmp_path / "toy")
    write_tiny(tmp_path / "toy", toy)
    assert fetch.state(place, "toy") == "tiny"
    pull("toy", tmp_path)
    assert fetch.state(place, "toy") == "present"


def write_tiny(folder: Path, card: ModelCard) -> None:
    for file in card.files:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_text("tiny")
    weights.write_manifest(folder, card, revision="tiny-0123", licence="CC0-1.0")


def test_files_of_the_users_own_are_never_removed(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine.bin").write_text("mine")
    with pytest.raises(StorageError, match=r"no part of toy \(mine\.bin\): move it away"):
        pull("toy", tmp_path)
    assert (tmp_path / "toy" / "mine.bin").read_text() == "mine"
    # Files that were copied by hand are used, if they are right.
    (tmp_path / "toy" / "mine.bin").unlink()
    (tmp_path / "toy" / "model.bin").write_bytes(CONTENT["model.bin"])
    (tmp_path / "toy" / "config.json").write_bytes(b"wrong")
    pull("toy", tmp_path)
    assert contents(tmp_path / "toy") == CONTENT
    assert server.sent["model.bin"] == 0


def test_pulls_at_the_same_time_fetch_once(server: HubServer, toy: ModelCard, tmp_path: Path):
    done: list[fetch.Fetched] = []
    threads = [
        threading.Thread(target=lambda: done.append(pull("toy", tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert contents(tmp_path / "toy") == CONTENT
    assert server.sent == {name: len(content) for name, content in CONTENT.items()}


def test_several_failures_are_told_sentence_by_sentence():
    error = FetchError({"a": ["No network."], "b": ["Too large."], "c": ["No network."]})
    assert str(error) == "a, c: No network.\nb: Too large."


@pytest.fixture
def place(bucket: str, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Weights:
    """A bucket, and a cache of its own for copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Weights(bucket)


def stored(place: Weights) -> dict[str, bytes]:
    """A model's files in a bucket."""
    return {
        name.removeprefix("toy/"): place.storage.read_bytes(name)
        for name in place.storage.files("toy")
        if not name.endswith(MANIFEST)
    }


def store(place: Weights, *, force: bool = False) -> fetch.Fetched:
    return fetch.fetch("toy", place, lambda done, total: None, force=force)


@pytest.mark.parametrize("revision", ["pinned", "main"])
def test_a_bucket_is_filled(
    revision: str,
    server: HubServer,
    toy: ModelCard,
    place: Weights,
    monkeypatch: pytest.MonkeyPatch,
):
    if revision == "main":
        changed(monkeypatch, toy, revision="main", sources=(HubSource(REPOSITORY, "main"),))
    size = sum(map(len, CONTENT.values()))

    assert store(place) == fetch.Fetched(toy.revision, size, size, size)

    assert stored(place) == CONTENT
    assert place.problems("toy") == place.verify("toy") == []
    assert fetch.state(place, "toy") == "present"
    server.requests.clear()
    assert store(place) == fetch.Fetched(toy.revision, size)
    assert server.requests == []
    # What was fetched is this machine's copy.
    assert place.folder("toy") == place.copy_of("toy", toy.revision)
    assert contents(place.folder("toy")) == CONTENT


def test_an_upload_that_broke_leaves_no_model_and_is_not_fetched_again(
    server: HubServer,
    toy: ModelCard,
    place: Weights,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    # Where another was before, it is none meanwhile: its files are half replaced.
    write_tiny(tmp_path / "tiny" / "toy", toy)
    for name in (tiny := Storage(str(tmp_path / "tiny"))).files():
        place.storage.write_bytes(name, tiny.read_bytes(name))
    assert fetch.state(place, "toy") == "tiny"
    real = Storage.writing

    def broken(storage: Storage, path: str):
        if path == "toy/tokenizer/vocab.txt":
            raise OSError("AWS Error NETWORK_CONNECTION")
        return real(storage, path)

    monkeypatch.setattr(Storage, "writing", broken)
    with pytest.raises(StorageError, match=r"s3://songs/.* cannot be written \(AWS Error"):
        store(place)
    assert place.problems("toy") == ["it is not there"]
    monkeypatch.setattr(Storage, "writing", real)
    server.requests.clear()

    store(place)

    assert stored(place) == CONTENT
    assert server.requests == []


def test_only_what_a_bucket_lacks_is_stored_again(server: HubServer, place: Weights):
    store(place)
    place.storage.delete("toy/config.json")
    assert fetch.state(place, "toy") == "damaged"

    assert store(place).uploaded_bytes == len(CONTENT["config.json"])
    assert stored(place) == CONTENT

    # Damage that the size does not show: verify finds it, force mends it.
    place.storage.write_bytes("toy/config.json", b'{"a": 2}')
    assert store(place).uploaded_bytes == 0
    assert place.verify("toy") == ["config.json is damaged"]
    server.requests.clear()
    assert store(place, force=True).uploaded_bytes == sum(map(len, CONTENT.values()))
    assert stored(place) == CONTENT
    assert server.requests == []


def test_files_of_another_revision_leave_a_bucket(
    server: HubServer, toy: ModelCard, place: Weights, monkeypatch: pytest.MonkeyPatch
):
    store(place)
    files = {"config.json": b"{}", "other.bin": b"other"}
    server.repositories[REPOSITORY] = Repository(files)
    newer = server.repositories[REPOSITORY].commit
    sources = (HubSource(REPOSITORY, newer),)
    names = tuple(ModelFile(name) for name in files)
    changed(monkeypatch, toy, revision=newer, sources=sources, files=names)
    assert fetch.state(place, "toy") == "damaged"

    assert store(place).revision == newer

    assert stored(place) == files
    assert contents(place.folder("toy")) == files


def test_a_bucket_that_is_not_there_is_one_sentence_before_any_transfer(
    server: HubServer, place: Weights
):
    with pytest.raises(StorageError, match=r"There is no bucket nowhere at http"):
        store(Weights("s3://nowhere/x"))
    assert not server.sent
