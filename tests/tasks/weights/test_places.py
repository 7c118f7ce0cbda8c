"""Models where workers find them: in a folder, or in a bucket with a copy on the machine."""

import json
import multiprocessing
import os
import pickle
import shutil
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from blocks.storage import Storage
from models import registry, trained, trust, weights
from models.protocols import CODEC, TASKS
from models.registry import CARDS, HubSource, ModelCard, ModelFile
from models.tiny.write import write
from models.weights import FIT, MANIFEST
from tasks.step import Tools
from tasks.weights import ModelError, Weights, WeightsError, default_address, fetch
from tests.blocks.test_storage import bucket

__all__ = ["bucket"]

CONTENT = {"config.json": b"{}", "sub/model.bin": bytes(range(256)) * 1000}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelCard:
    """A model, and a cache of its own for copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    card = ModelCard(
        name="toy",
        task="codec",
        library="none",
        adapter="none:none",
        revision="r1",
        licence="MIT",
        sources=(HubSource("owner/toy", "r1"),),
        files=tuple(ModelFile(name) for name in CONTENT),
    )
    monkeypatch.setitem(CARDS, "toy", card)
    return card


@pytest.fixture
def local(toy: ModelCard, tmp_path: Path) -> Weights:
    """The model in a folder."""
    for name, content in CONTENT.items():
        path = tmp_path / "models" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    weights.write_manifest(tmp_path / "models" / "toy", toy, revision="r1", licence="MIT")
    return Weights(str(tmp_path / "models"))


@pytest.fixture
def remote(local: Weights, bucket: str) -> Weights:
    """The model in a bucket."""
    place = Weights(bucket)
    for name in local.storage.files("toy"):
        place.storage.write_bytes(name, local.storage.read_bytes(name))
    return place


def copies(place: Weights) -> list[Path]:
    """All that this machine keeps of a bucket's model, half-made copies too, but not its locks."""
    home = place.copy_of("toy", "r1").parent
    paths = home.iterdir() if home.exists() else ()
    return sorted(path for path in paths if path.suffix != ".lock")


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SONGMILL_MODELS_DIR", raising=False)
    assert default_address() == str(tmp_path / "songmill" / "models")
    monkeypatch.setenv("SONGMILL_MODELS_DIR", "s3://bucket/models")
    assert default_address() == "s3://bucket/models"


def test_a_local_model_is_used_where_it_lies(local: Weights, tmp_path: Path):
    assert local.folder("toy") == tmp_path / "models" / "toy"
    assert local.problems("toy") == local.verify("toy") == []
    assert local.revision("toy") == "r1"
    local.check(["toy", "toy", "crepe-tiny"])


def test_models_that_packages_bring_are_always_there(tmp_path: Path):
    assert Weights(str(tmp_path)).problems("resemblyzer") == []
    assert Weights(str(tmp_path)).revision("resemblyzer") == CARDS["resemblyzer"].revision
    assert fetch.state(Weights(str(tmp_path)), "resemblyzer") == "packaged"


def test_missing_and_damaged_models_are_named_together(local: Weights):
    local.storage.write_bytes("toy/config.json", b"[]")
    with pytest.raises(WeightsError) as raised:
        local.check(["whisper-tiny", "toy"])
    assert raised.value.models == ["toy", "whisper-tiny"]
    assert str(raised.value) == "toy (config.json is damaged), whisper-tiny (it is not there)"


def test_an_error_survives_the_way_from_a_worker():
    error = WeightsError({"b": ["is damaged"], "a": ["x", "y", "z", "more"]})
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is WeightsError
    assert (arrived.models, str(arrived)) == (["a", "b"], "a (x; y; z), b (is damaged)")


def test_states_of_a_model(local: Weights, toy: ModelCard, tmp_path: Path):
    folder = tmp_path / "models" / "toy"
    assert fetch.state(local, "toy") == "present"
    (folder / "config.json").write_bytes(b"[]")
    assert fetch.state(local, "toy") == "damaged"
    (folder / MANIFEST).unlink()
    assert fetch.state(local, "toy") == "damaged"
    weights.write_manifest(folder, toy, revision="tiny-1", licence="CC0-1.0")
    assert fetch.state(local, "toy") == "tiny"
    weights.write_manifest(folder, toy, revision="r0", licence="MIT")
    assert fetch.state(local, "toy") == "outdated"
    shutil.rmtree(folder)
    assert fetch.state(local, "toy") == "missing"


def test_of_a_bucket_a_copy_is_kept(remote: Weights, monkeypatch: pytest.MonkeyPatch):
    folder = remote.folder("toy")
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert copies(remote) == [folder]
    assert remote.revision("toy") == "r1"
    assert fetch.state(remote, "toy") == "present"

    # From then on only the manifest is asked for.
    read = spied(monkeypatch)
    assert remote.folder("toy") == folder
    assert read == [f"toy/{MANIFEST}"]


def spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read from a storage from now on."""
    read: list[str] = []
    reading, read_bytes = Storage.reading, Storage.read_bytes

    def spy_reading(storage: Storage, path: str):
        read.append(path)
        return reading(storage, path)

    def spy_read_bytes(storage: Storage, path: str) -> bytes:
        read.append(path)
        return read_bytes(storage, path)

    monkeypatch.setattr(Storage, "reading", spy_reading)
    monkeypatch.setattr(Storage, "read_bytes", spy_read_bytes)
    return read


def test_threads_that_need_a_model_at_once_copy_it_once(
    remote: Weights, monkeypatch: pytest.MonkeyPatch
):
    read = spied(monkeypatch)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(remote.folder("toy"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [remote.copy_of("toy", "r1")] * 6
    assert sorted(name for name in read if not name.endswith(MANIFEST)) == [
        "config.json",
        "sub/model.bin",
    ]
    assert copies(remote) == [found[0]]


def copy_in_process(card: ModelCard, address: str, start: object) -> None:
    registry.CARDS["toy"] = card
    start.wait()  # type: ignore[attr-defined]
    Weights(address).folder("toy")


def test_processes_that_need_a_model_at_once_copy_it_once(remote: Weights, toy: ModelCard):
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    processes = [
        spawn.Process(target=copy_in_process, args=(toy, remote.address, start)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    folder = remote.copy_of("toy", "r1")
    assert copies(remote) == [folder]
    assert weights.problems(folder, toy) == []


def hold_lock(path: Path, held: object) -> None:
    with FileLock(path):
        held.set()  # type: ignore[attr-defined]
        time.sleep(600)


def test_who_copies_holds_the_others_and_nobody_once_it_died(
    remote: Weights, monkeypatch: pytest.MonkeyPatch
):
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    lock = remote.copy_of("toy", "r1").with_name(".r1.lock")
    holder = spawn.Process(target=hold_lock, args=(lock, held))
    holder.start()
    assert held.wait(60)
    read = spied(monkeypatch)
    found: list[Path] = []
    waiting = threading.Thread(target=lambda: found.append(remote.folder("toy")))
    waiting.start()
    waiting.join(0.5)
    # It has seen which model it is, and copies nothing yet.
    assert (read, found) == ([f"toy/{MANIFEST}"], [])

    holder.kill()
    holder.join()
    waiting.join(60)

    assert found == copies(remote) == [remote.copy_of("toy", "r1")]
    # What is left of the lock holds nobody either.
    assert remote.folder("toy") == found[0]


def test_a_damaged_object_is_refused_and_leaves_no_copy(remote: Weights):
    remote.storage.write_bytes("toy/config.json", b"[]")
    # Of the right size, so that nothing but its content tells.
    assert remote.problems("toy") == []
    assert remote.verify("toy") == ["config.json is damaged"]
    with pytest.raises(WeightsError, match=r"toy \(config.json is damaged; in s3://songs"):
        remote.folder("toy")
    assert copies(remote) == []


def test_a_bucket_without_a_file_or_the_model(remote: Weights, toy: ModelCard):
    remote.storage.delete("toy/config.json")
    remote.storage.write_bytes("toy/sub/model.bin", b"short")
    assert remote.problems("toy") == [
        "config.json is missing",
        "sub/model.bin has 5 bytes instead of 256,000",
    ]
    assert fetch.state(remote, "toy") == "damaged"
    for name in remote.storage.files("toy"):
        remote.storage.delete(name)
    assert remote.problems("toy") == ["it is not there"]
    assert fetch.state(remote, "toy") == "missing"
    with pytest.raises(WeightsError, match="it is not in s3://songs"):
        remote.folder("toy")


def test_a_copy_that_was_damaged_is_made_again(remote: Weights):
    folder = remote.folder("toy")
    (folder / "config.json").unlink()
    (folder.with_name(".r1.copying")).mkdir()  # of a process that was killed
    assert remote.folder("toy") == folder
    assert (folder / "config.json").read_bytes() == b"{}"
    assert copies(remote) == [folder]


def test_another_revision_is_another_copy(remote: Weights, local: Weights, toy: ModelCard):
    first = remote.folder("toy")
    local.storage.write_bytes("toy/config.json", b"[]")
    folder = Path(local.address, "toy")
    weights.write_manifest(folder, toy, revision="r2", licence="MIT")
    for name in ("toy/config.json", f"toy/{MANIFEST}"):
        remote.storage.write_bytes(name, local.storage.read_bytes(name))

    second = remote.folder("toy")

    assert second != first
    assert (second / "config.json").read_bytes() == b"[]"
    assert (first / "config.json").read_bytes() == b"{}"


def test_a_manifest_that_leads_out_of_the_cache_is_none(remote: Weights):
    manifest = json.loads(remote.storage.read_bytes(f"toy/{MANIFEST}"))
    manifest["revision"] = "../../../../escaped"
    remote.storage.write_bytes(f"toy/{MANIFEST}", json.dumps(manifest).encode())
    with pytest.raises(WeightsError, match="it is not in"):
        remote.folder("toy")


def test_a_bucket_that_cannot_be_reached_is_not_an_empty_one(
    remote: Weights, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(WeightsError, match="cannot be read"):
        remote.check(["toy"])


def one_per_adapter() -> Sequence[str]:
    adapters = {card.adapter: name for name, card in reversed(CARDS.items()) if card.files}
    return sorted(adapters.values())


@pytest.mark.parametrize("name", one_per_adapter())
def test_with_everything_there_nothing_touches_the_network(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    write(tmp_path, name)
    monkeypatch.setenv(trust.VARIABLE, name)
    for variable in [name for name in os.environ if name.startswith(("HF_", "TRANSFORMERS_"))]:
        monkeypatch.delenv(variable)

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("the network was touched")

    for function in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, function, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    nowhere = Storage(str(tmp_path / "nowhere"))
    tools = Tools(nowhere, nowhere, weights=Weights(str(tmp_path)))

    assert tools.weights.problems(name) == []
    assert tools.model(name, TASKS[CARDS[name].task]) is not None


def test_a_trained_model_in_a_bucket_is_copied_and_verified(bucket: str, tmp_path: Path, toy):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"weights")
    fit = dict.fromkeys(FIT, "0")
    said = {"task": "codec", "adapter": "models.encodec:load", "arguments": {}, "metrics": {}}
    made = trained.write(tmp_path / "run", name="mine", licence="MIT", fit=fit, **said)
    home, local = Storage(bucket).below("runs/mine"), Storage(str(tmp_path / "run"))
    for name in local.files():
        home.write_bytes(name, local.read_bytes(name))

    place, name = Weights(str(tmp_path)).with_own(home.address, CODEC)
    assert name == made.known_as == Weights(str(tmp_path)).with_own(local.address, CODEC)[1]
    assert place.problems(name) == place.verify(name) == []
    folder = place.folder(name)
    assert trained.read(folder) == made
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert folder == place.copy_of(name, made.revision)
    assert place.manifest(name) == made

    home.write_bytes("model.safetensors", b"Weights")
    assert place.verify(name) == ["model.safetensors is damaged"]
    shutil.rmtree(folder)
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged; in s3://"):
        place.folder(name)
    home.write_bytes("model.safetensors", b"less")
    with pytest.raises(ModelError, match="has 4 bytes instead of 7"):
        Weights(str(tmp_path)).with_own(home.address, CODEC)


def test_weights_travel_to_workers_with_what_they_know_of_own_models(tmp_path: Path):
    place = Weights(str(tmp_path), {"mine-01234567": "runs/mine"})
    assert pickle.loads(pickle.dumps(place)) == place
    assert hash(place) == hash(Weights(str(tmp_path)))
