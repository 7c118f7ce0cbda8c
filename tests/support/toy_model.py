"""A toy model on a real hub, and another below an address of files: fixtures and helpers."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models import registry, weights
from models.registry import HubSource, ModelCard, ModelFile, UrlSource
from models.weights import MANIFEST
from tasks import web
from tasks.weights import Weights, fetch
from tests.support.hub_server import HubServer, Repository, hub_server

REPOSITORY = "owner/toy"
CONTENT = {
    "config.json": b'{"a": 1}',
    "model.bin": random.Random(1).randbytes(300_000),
    "tokenizer/vocab.txt": b"a\nb\n",
}
PLAIN = random.Random(2).randbytes(150_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(web, "WAIT_SECONDS", 0.001)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with hub_server() as state:
        state.repositories[REPOSITORY] = Repository(CONTENT, large=("model.bin",))
        state.plain["place/weights.th"] = PLAIN
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        yield state


@pytest.fixture
def toy(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A model on the hub, pinned."""
    card = ModelCard(
        name="toy",
        task="codec",
        library="none",
        adapter="none:none",
        revision=server.repositories[REPOSITORY].commit,
        licence="MIT",
        sources=(HubSource(REPOSITORY, server.repositories[REPOSITORY].commit),),
        files=tuple(ModelFile(name) for name in CONTENT),
    )
    monkeypatch.setitem(registry.CARDS, "toy", card)
    return card


@pytest.fixture
def plain(server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A model below an address, its digest published in part."""
    digest = hashlib.sha256(PLAIN).hexdigest()
    card = replace(
        toy,
        name="plain",
        revision="0123abcd",
        sources=(UrlSource(f"{server.plain_address}/place"),),
        files=(ModelFile("weights.th", sha256=digest[:8]),),
    )
    monkeypatch.setitem(registry.CARDS, "plain", card)
    return card


def changed(monkeypatch: pytest.MonkeyPatch, card: ModelCard, **values: object) -> ModelCard:
    card = replace(card, **values)
    monkeypatch.setitem(registry.CARDS, card.name, card)
    return card


def pull(name: str, place: Path, *, force: bool = False) -> fetch.Fetched:
    return fetch.fetch(name, Weights(str(place)), lambda done, total: None, force=force)


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a model."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, weights.SEEN)
    }


def names(folder: Path) -> set[str]:
    """What a folder of models shows."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
