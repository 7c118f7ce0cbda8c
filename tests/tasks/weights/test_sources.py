"""A model with several sources: the first that gives all of it, and what the others lack."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.storage import Storage, StorageError
from models import weights
from models.registry import (
    FolderSource,
    HubSource,
    ModelCard,
    ModelFile,
    PackageSource,
    Source,
    UrlSource,
)
from tasks import web
from tasks.web import UnreachableError
from tasks.weights import Weights, fetch
from tasks.weights.sources import NoSourceError
from tests.blocks.test_storage import bucket
from tests.support.hub_server import HubServer, Repository
from tests.support.toy_model import CONTENT, REPOSITORY, changed, contents, pull, server, toy

__all__ = ["bucket", "server", "toy"]

FILES = tuple(
    ModelFile(name, hashlib.sha256(content).hexdigest(), len(content))
    for name, content in CONTENT.items()
)
WRONG = CONTENT | {"model.bin": bytes(len(CONTENT["model.bin"]))}
LESS = {name: content for name, content in CONTENT.items() if name != "model.bin"}
NOWHERE = "http://localhost:9"
TOYS = ("toyweights", "toyweights2")


class Places:
    """Makes sources of each kind with the contents that they are given."""

    def __init__(self, server: HubServer, bucket: str, folder: Path) -> None:
        self.server = server
        self.bucket = bucket
        self.folder = folder

    def hub(self, files: dict[str, bytes]) -> Source:
        repository = Repository(files, large=("model.bin",) if "model.bin" in files else ())
        self.server.repositories["owner/other"] = repository
        return HubSource("owner/other", repository.commit)

    def url(self, files: dict[str, bytes]) -> Source:
        self.server.plain |= {f"mirror/{name}": content for name, content in files.items()}
        return UrlSource(f"{self.server.plain_address}/mirror")

    def local(self, files: dict[str, bytes]) -> Source:
        write(self.folder / "local", files)
        return FolderSource(str(self.folder / "local"))

    def s3(self, files: dict[str, bytes]) -> Source:
        storage = Storage(f"{self.bucket}/mirror")
        for name, content in files.items():
            storage.write_bytes(name, content)
        return FolderSource(storage.address)

    def package(self, files: dict[str, bytes]) -> Source:
        """An installed distribution, whose import fails."""
        self._install("toyweights", files)
        return PackageSource("toyweights", "toyweights/data")

    def in_parts(self, files: dict[str, bytes]) -> Source:
        """The same with one file cut in two, whose second part another distribution holds."""
        whole = files.get("model.bin", b"")
        half = len(whole) // 2
        rest = {name: content for name, content in files.items() if name != "model.bin"}
        self._install("toyweights", rest | ({"model.bin.1": whole[:half]} if whole else {}))
        self._install("toyweights2", {"model.bin.2": whole[half:]} if whole else {})
        cut = tuple(f"{name}:{name}/data/model.bin.{name[10:] or 1}" for name in TOYS)
        return PackageSource(TOYS[0], f"{TOYS[0]}/data", {"model.bin": cut})

    def _install(self, name: str, files: dict[str, bytes]) -> None:
        site = self.folder / "site"
        write(site / name / "data", files)
        (site / name).mkdir(exist_ok=True)
        (site / name / "__init__.py").write_text("raise AssertionError('imported')\n")
        information = site / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        paths = [path for path in (site / name).rglob("*") if path.is_file()]
        records = [path.relative_to(site).as_posix() for path in paths]
        (information / "RECORD").write_text("".join(f"{name},,\n" for name in records))


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def places(
    server: HubServer, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Places:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Places(server, bucket, tmp_path)


KINDS = ("hub", "url", "local", "s3", "package", "in_parts")


def card_of(monkeypatch: pytest.MonkeyPatch, toy: ModelCard, *sources: Source) -> ModelCard:
    return changed(monkeypatch, toy, files=FILES, sources=sources)


def source_of(models: Path) -> str:
    manifest = weights.read_manifest(models / "toy")
    assert manifest is not None
    return manifest.source


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_same_bytes(
    kind: str, places: Places, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    source: Source = getattr(places, kind)(CONTENT)
    card_of(monkeypatch, toy, source)
    models = tmp_path / "models"
    size_bytes = sum(map(len, CONTENT.values()))

    fetched = pull("toy", models)

    over_the_network = 0 if kind in ("local", "package", "in_parts") else size_bytes
    assert fetched == fetch.Fetched(toy.revision, size_bytes, over_the_network)
    assert contents(models / "toy") == CONTENT
    assert Weights(str(models)).verify("toy") == []
    assert source_of(models) == str(source)
    assert "toyweights" not in sys.modules


LACKS: dict[str, Callable[[Places], tuple[Source, str]]] = {
    "hub without a file": lambda places: (
        places.hub(LESS),
        r"owner/other: owner/other has no model\.bin at revision",
    ),
    "hub with another file": lambda places: (
        places.hub(WRONG),
        r"owner/other: model\.bin of owner/other has another size or SHA-256",
    ),
    "hub without the repository": lambda places: (
        HubSource("owner/nobody", "main"),
        "owner/nobody: .* has no repository owner/nobody",
    ),
    "host that does not answer": lambda places: (
        UrlSource(NOWHERE),
        f"{NOWHERE}: localhost cannot be reached",
    ),
    "address without a file": lambda places: (
        places.url(LESS),
        r"/mirror has no model\.bin \(status 404\)",
    ),
    "address with another file": lambda places: (
        places.url(WRONG),
        r"model\.bin of .*/mirror has SHA-256 .* instead of",
    ),
    "folder that is not there": lambda places: (
        FolderSource("/nowhere"),
        r"/nowhere: /nowhere has no config\.json",
    ),
    "folder without a file": lambda places: (places.local(LESS), r"local has no model\.bin"),
    "folder with another file": lambda places: (
        places.local(WRONG),
        r"model\.bin of .*local has SHA-256 .* instead of .*: it is not the published one",
    ),
    "bucket that is not there": lambda places: (FolderSource("s3://nowhere/x"), "s3://nowhere/x"),
    "bucket without a file": lambda places: (places.s3(LESS), r"mirror has no model\.bin"),
    "package that is not installed": lambda places: (
        PackageSource("songmill-nothing", "x"),
        "The package songmill-nothing is not installed",
    ),
    "package without a file": lambda places: (
        places.package(LESS),
        r"package toyweights has no model\.bin",
    ),
    "packages without a part": lambda places: (
        places.in_parts(LESS),
        r"packages toyweights, toyweights2 has no model\.bin",
    ),
    "packages with another part": lambda places: (
        places.in_parts(WRONG),
        r"model\.bin of packages toyweights, toyweights2 has SHA-256",
    ),
    "package of a part that is not installed": lambda places: (
        PackageSource("torch", "torch", {"config.json": ("songmill-part:config.json",)}),
        "The package songmill-part is not installed",
    ),
    "package with another file": lambda places: (
        places.package(WRONG),
        r"model\.bin of package toyweights has SHA-256",
    ),
}


@pytest.mark.parametrize("lack", LACKS)
def test_what_the_first_source_lacks_the_second_gives_and_both_are_named_if_neither_does(
    lack: str,
    places: Places,
    toy: ModelCard,
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    first, sentence = LACKS[lack](places)
    second = HubSource(REPOSITORY, server.repositories[REPOSITORY].commit)
    models = tmp_path / "models"
    card_of(monkeypatch, toy, first, second)

    pull("toy", models)

    assert contents(models / "toy") == CONTENT
    assert source_of(models) == REPOSITORY
    assert Weights(str(models)).verify("toy") == []

    shutil.rmtree(models)
    card_of(monkeypatch, toy, first, PackageSource("songmill-nowhere"))
    with pytest.raises(NoSourceError, match=sentence) as raised:
        pull("toy", models)
    message = str(raised.value)
    assert message.startswith("None of the 2 sources of toy gives it (")
    assert "package songmill-nowhere: The package songmill-nowhere is not installed" in message
    assert message.endswith(").")
    assert "\n" not in message
    assert not (models / "toy").exists()


def test_the_first_source_is_taken_and_the_second_not_asked(
    places: Places,
    toy: ModelCard,
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    card_of(monkeypatch, toy, places.local(CONTENT), HubSource(REPOSITORY, toy.revision))
    pull("toy", tmp_path / "models")
    assert server.requests == []
    assert source_of(tmp_path / "models") == str(tmp_path / "local")


def test_a_part_from_the_first_source_is_gone_on_with_by_the_second_and_leaves_nothing(
    places: Places,
    toy: ModelCard,
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    places.url(CONTENT)
    first = HubSource(REPOSITORY, toy.revision)
    # By another name, since a host that breaks off again and again is not asked for more.
    second = UrlSource(f"{server.plain_address.replace('127.0.0.1', 'localhost')}/mirror")
    server.cuts["model.bin"] = [100_000, *[0] * web.TRIES]
    card_of(monkeypatch, toy, first, second)

    pull("toy", tmp_path / "models")

    assert server.sent["mirror/model.bin"] == len(CONTENT["model.bin"]) - 100_000
    assert server.sent["mirror/config.json"] == 0
    assert contents(tmp_path / "models" / "toy") == CONTENT

    # A copy begins anew, and the part of the other source is no file of the model.
    shutil.rmtree(tmp_path / "models")
    server.cuts["model.bin"] = [100_000, *[0] * web.TRIES]
    card_of(monkeypatch, toy, first, places.local(CONTENT))
    pull("toy", tmp_path / "models")
    assert contents(tmp_path / "models" / "toy") == CONTENT


def test_a_source_that_is_not_asked_again_is_one_that_did_not_answer(
    places: Places, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    card_of(monkeypatch, toy, UrlSource(NOWHERE), places.local(CONTENT))
    fetched = pull("toy", tmp_path / "models")
    assert [each.host for each in fetched.unreachable] == ["localhost"]

    monkeypatch.setattr(web, "connect", None)
    place = Weights(str(tmp_path / "others"))
    fetch.fetch("toy", place, lambda *step: None, unreachable=fetched.unreachable)
    assert place.verify("toy") == []


def test_the_only_source_speaks_for_itself(
    toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    card_of(monkeypatch, toy, UrlSource(NOWHERE))
    with pytest.raises(UnreachableError, match="localhost cannot be reached"):
        pull("toy", tmp_path)


def test_a_full_disk_is_no_fault_of_a_source(
    places: Places,
    toy: ModelCard,
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    card_of(monkeypatch, toy, places.local(CONTENT), HubSource(REPOSITORY, toy.revision))
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=1000))
    with pytest.raises(StorageError, match="choose another --models_dir"):
        pull("toy", tmp_path / "models")
    assert server.requests == []


def test_a_bucket_records_the_source_as_well(
    places: Places, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    card_of(monkeypatch, toy, FolderSource("/nowhere"), places.package(CONTENT))
    place = Weights(f"{places.bucket}/models")
    fetch.fetch("toy", place, lambda *step: None)
    manifest = place.manifest("toy")
    assert manifest is not None
    assert manifest.source == "package toyweights"
    assert place.verify("toy") == []


def test_a_package_that_is_installed_is_used_where_it_lies_until_a_model_is_put_there(
    places: Places, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    card = card_of(monkeypatch, toy, FolderSource("/nowhere"), places.package(CONTENT))
    inside = tmp_path / "site" / "toyweights" / "data"
    place = Weights(str(tmp_path / "models"))
    assert place.problems("toy") == place.verify("toy") == []
    assert place.folder("toy") == inside
    assert (fetch.state(place, "toy"), place.revision("toy")) == ("packaged", card.revision)
    assert not (tmp_path / "models").exists()

    # What was put there goes before it.
    fetch.fetch("toy", place, lambda *step: None)
    assert place.folder("toy") == tmp_path / "models" / "toy"
    shutil.rmtree(tmp_path / "models")

    digested = next(file.name for file in FILES if file.sha256)
    (inside / digested).write_bytes(b"other")
    assert place.problems("toy") == [f"{inside / digested} is not the published one"]
    (inside / digested).unlink()
    assert place.problems("toy") == ["it is not there"]


def test_a_model_in_parts_is_joined_by_a_pull_and_not_used_before(
    places: Places, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    card_of(monkeypatch, toy, FolderSource("/nowhere"), places.in_parts(CONTENT))
    place = Weights(str(tmp_path / "models"))
    assert fetch.state(place, "toy") == "in parts"
    assert place.problems("toy") == ["it is not there"]

    fetched = fetch.fetch("toy", place, lambda *step: None)
    assert fetched.fetched_bytes == 0
    assert fetch.state(place, "toy") == "present"
    assert contents(tmp_path / "models" / "toy") == CONTENT

    shutil.rmtree(tmp_path / "models")
    (tmp_path / "site" / "toyweights2" / "data" / "model.bin.2").unlink()
    assert fetch.state(place, "toy") == "missing"
