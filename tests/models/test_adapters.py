"""Adapters are loaded once, and replaced when their weights are."""

import gc
import json
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from demucs.htdemucs import HTDemucs

from blocks.storage import Storage
from models import adapters, registry, trained
from models.protocols import SEPARATION, TRANSCRIPTION
from models.tiny.demucs import SOURCES, TINY, make_network, package
from models.tiny.write import write
from models.weights import MANIFEST, write_manifest
from tasks.step import Tools
from tasks.weights import ModelError, Weights
from tests.models.test_trained import FIT
from tests.support.separators import arguments, write_folder

NAME = "htdemucs"


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    adapters.forget()
    nowhere = Storage(str(tmp_path / "nowhere"))
    return Tools(nowhere, nowhere, weights=Weights(str(tmp_path)))


def replace_in_place(folder: Path, seed: int) -> None:
    """Other weights under the same names, as a pull or a fit would leave them."""
    (file,) = registry.card(NAME).files
    torch.save(package(make_network(HTDemucs, SOURCES, seed, TINY[HTDemucs])), folder / file.name)
    write_manifest(folder, registry.card(NAME), revision=f"tiny-{seed}", licence="CC0-1.0")


def first_weights(adapter: object) -> torch.Tensor:
    return next(adapter._networks[0].parameters()).detach().clone()  # type: ignore[attr-defined]


def test_weights_that_are_replaced_in_place_are_noticed_and_the_old_ones_released(
    tools: Tools, tmp_path: Path
):
    folder = write(tmp_path, NAME)
    adapter = tools.model(NAME, SEPARATION)
    assert tools.model(NAME, SEPARATION) is adapter
    before, old = first_weights(adapter), weakref.ref(adapter)
    del adapter

    replace_in_place(folder, seed=7)
    new = tools.model(NAME, SEPARATION)
    assert not torch.equal(first_weights(new), before)
    gc.collect()
    assert old() is None
    assert tools.model(NAME, SEPARATION) is new


def test_the_same_weights_elsewhere_are_not_loaded_again(tools: Tools, tmp_path: Path):
    write(tmp_path, NAME)
    folder = write(tmp_path / "elsewhere", NAME)
    adapter = tools.model(NAME, SEPARATION)
    assert adapters.load(registry.card(NAME), "cpu", folder) is adapter


def test_a_folder_that_does_not_say_its_revision_is_read_each_time(tmp_path: Path):
    folder = write(tmp_path, NAME)
    (folder / MANIFEST).unlink()
    first = adapters.load(registry.card(NAME), "cpu", folder)
    assert adapters.load(registry.card(NAME), "cpu", folder) is not first


def test_a_model_of_another_task_is_refused(tools: Tools):
    with pytest.raises(ModelError, match="htdemucs is a model of separation, not of transcription"):
        tools.model(NAME, TRANSCRIPTION)


def test_a_model_with_files_needs_their_folder():
    with pytest.raises(ValueError, match="their folder is needed"):
        adapters.load(registry.card(NAME))


class Scaled(SimpleNamespace):
    """Adapter of the trained models of these tests: all of a mix, at a gain, is vocals."""

    sources = ("vocals",)
    sample_rate_hz = 44_100
    needs_level = False

    def separate(self, blocks, stems, *, mean, std, batch_size=None):
        for block in blocks:
            yield self.gain * block[None]


def load_scaled(card: registry.ModelCard, device: str, folder: Path) -> Scaled:
    from safetensors.torch import load_file

    gain = load_file(folder / "model.safetensors")["gain"]
    return Scaled(gain=float(gain) * card.arguments["factor"])


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of ours that has the adapter."""
    import models.demucs

    monkeypatch.setattr(load_scaled, "__module__", "models.demucs")
    monkeypatch.setattr(models.demucs, "load_scaled", load_scaled, raising=False)


def train(folder: Path, gain: float, **changed: object) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({"gain": torch.tensor(gain)}, folder / "model.safetensors")
    said: Mapping[str, object] = {
        "name": "scaled",
        "task": "separation",
        "adapter": "models.demucs:load_scaled",
        "arguments": {"factor": 2},
        "licence": "CC0-1.0",
        "fit": FIT,
        "metrics": {},
    }
    trained.write(folder, **{**said, **changed})  # type: ignore[arg-type]
    return folder


@pytest.mark.usefixtures("scaled")
def test_a_trained_model_is_used_by_its_address(tools: Tools, tmp_path: Path):
    weights, name = tools.weights.with_own(str(train(tmp_path / "runs" / "a", 0.25)), SEPARATION)
    tools = replace(tools, weights=weights)
    assert name == trained.read(tmp_path / "runs" / "a").known_as
    assert weights.problems(name) == []
    weights.check([name])
    assert weights.folder(name) == tmp_path / "runs" / "a"
    assert weights.revision(name) == weights.card(name).revision
    first = tools.model(name, SEPARATION)
    assert isinstance(first, Scaled)
    assert first.gain == 0.5

    # Another training of the same name takes its place in memory, and has another name.
    second_weights, other = weights.with_own(str(train(tmp_path / "runs" / "b", 1.0)), SEPARATION)
    assert other != name
    assert tools.model(name, SEPARATION) is first
    second = replace(tools, weights=second_weights).model(other, SEPARATION)
    assert isinstance(second, Scaled)
    assert second.gain == 2.0
    assert len(adapters._LOADED) == 1


@pytest.mark.usefixtures("scaled")
def test_a_training_in_the_place_of_another_is_not_taken_for_it(tools: Tools, tmp_path: Path):
    weights, name = tools.weights.with_own(str(train(tmp_path / "run", 0.25)), SEPARATION)
    train(tmp_path / "run", 0.5)
    with pytest.raises(ModelError, match=f"{name} .*has changed since the run began, to scaled-"):
        replace(tools, weights=weights).model(name, SEPARATION)
    assert "has changed" in "".join(weights.problems(name))


@pytest.mark.usefixtures("scaled")
def test_weights_that_are_not_those_of_the_manifest_are_not_loaded(tools: Tools, tmp_path: Path):
    folder = train(tmp_path / "run", 0.25)
    weights, name = tools.weights.with_own(str(folder), SEPARATION)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged, or was replaced"):
        replace(tools, weights=weights).model(name, SEPARATION)
    with pytest.raises(ModelError, match=r"cannot be used: model\.safetensors is damaged"):
        tools.weights.with_own(str(folder), SEPARATION)


@pytest.mark.parametrize("adapter", ["models.weights:load", "models.tiny.write:load_nothing"])
def test_an_adapter_that_is_none_is_refused(tools: Tools, tmp_path: Path, adapter: str):
    folder = train(tmp_path / "run", 0.25, adapter=adapter)
    weights, name = tools.weights.with_own(str(folder), SEPARATION)
    with pytest.raises(ModelError, match="is no adapter"):
        replace(tools, weights=weights).model(name, SEPARATION)


def test_what_a_module_only_imports_is_no_adapter(monkeypatch: pytest.MonkeyPatch):
    card = replace(registry.card("py3langid"), adapter="models.weights:dataclass")
    with pytest.raises(ValueError, match="defined elsewhere"):
        adapters.load(card, "other-device")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("gone", "is not on this machine"), ("empty", "holds no trained model")],
)
def test_an_address_without_a_model_says_so(
    tools: Tools, tmp_path: Path, address: str, reason: str
):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=reason):
        tools.weights.with_own(str(tmp_path / address), SEPARATION)


def test_a_trained_model_of_another_task_and_a_published_one_are_refused(
    tools: Tools, tmp_path: Path
):
    with pytest.raises(ModelError, match="is a model of codec, not of separation"):
        tools.weights.with_own(str(train(tmp_path / "run", 1.0, task="codec")), SEPARATION)
    with pytest.raises(ModelError, match="htdemucs, which was not trained here"):
        tools.weights.with_own(str(write(tmp_path, NAME)), SEPARATION)


def test_a_manifest_says_nothing_of_where_it_lies(tmp_path: Path):
    folder = train(tmp_path / "run", 0.25)
    assert str(tmp_path) not in json.dumps(json.loads((folder / MANIFEST).read_text()))


def test_the_same_weights_for_something_else_are_another_model(tmp_path: Path):
    for rate_hz in (44_100, 8_000):
        folder = write_folder(tmp_path / str(rate_hz), arguments(sample_rate_hz=rate_hz))
        loaded = adapters.load(trained.card(folder), "cpu", folder)
        assert loaded.sample_rate_hz == rate_hz
