"""Folders of trained models: what makes one, and what is refused."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from models import trained
from models.registry import ModelFile
from models.trained import TrainedError
from models.weights import MANIFEST

FIT = {
    "key": "0f",
    "name": "separator",
    "version": 1,
    "dataset": "ab",
    "seed": 7,
    "config": {"steps": 10},
}


def write(folder: Path, weights: bytes = b"weights", **changed: Any) -> trained.TrainedManifest:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    said = {
        "name": "unet1d",
        "task": "separation",
        "adapter": "models.unet1d.adapter:load",
        "arguments": {"channels": [16, 32]},
        "licence": "CC-BY-NC-SA-4.0",
        "fit": FIT,
        "metrics": {"sdr_db": 3.2},
        "sample_rate_hz": 44_100,
    }
    return trained.write(folder, **said | changed)


def test_a_folder_becomes_a_model_that_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "events.out.tfevents.1").write_bytes(b"curves")
    (tmp_path / "last.pt").write_bytes(b"a reference's own file")
    made = write(tmp_path)
    assert trained.read(tmp_path) == made
    digest = hashlib.sha256(b"weights").hexdigest()
    assert list(made.files) == ["model.safetensors"], "nothing but weights belongs to it"
    assert made.revision == hashlib.sha256(f"model.safetensors {digest}\n".encode()).hexdigest()
    assert made.known_as == f"unet1d-{made.revision[:8]}"
    trained.verify(tmp_path, made)
    card = trained.card(tmp_path)
    assert (card.name, card.revision, card.task) == (made.known_as, made.revision, "separation")
    assert card.arguments == {"channels": [16, 32]}
    assert card.files == (ModelFile("model.safetensors", digest, 7),)
    assert card.sample_rate_hz == 44_100
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_the_revision_follows_the_weights_and_nothing_else(tmp_path: Path):
    first = write(tmp_path / "a")
    assert write(tmp_path / "b", metrics={}, licence="MIT").revision == first.revision
    assert write(tmp_path / "c", b"other").revision != first.revision


def test_weights_that_were_replaced_or_are_gone_are_noticed(tmp_path: Path):
    made = write(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(TrainedError, match=r"model\.safetensors in .* is damaged, or was replaced"):
        trained.verify(tmp_path, made)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(TrainedError, match=r"model\.safetensors is missing"):
        trained.verify(tmp_path, made)


def test_a_folder_without_weights_does_not_become_a_model(tmp_path: Path):
    said = {"arguments": {}, "licence": "MIT", "fit": FIT, "metrics": {}}
    (tmp_path / "model.pt").write_bytes(b"a pickle")
    with pytest.raises(ValueError, match=r"it has no weights in \.safetensors"):
        trained.write(tmp_path, name="x", task="codec", adapter="models.x:load", **said)
    assert os.listdir(tmp_path) == ["model.pt"]


def test_a_manifest_that_cannot_be_stored_leaves_the_old_one(tmp_path: Path):
    made = write(tmp_path)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write(tmp_path, metrics={"sdr_db": object()})
    assert trained.read(tmp_path) == made
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", MANIFEST]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"adapter": "os:system"}, "no adapter of ours"),
        ({"adapter": "models.x:os.system"}, "no adapter of ours"),
        ({"adapter": "models.x.:load"}, "no adapter of ours"),
        ({"adapter": "modelsx.y:load"}, "no adapter of ours"),
        ({"adapter": "models.weights:forget"}, "no adapter of ours"),
        ({"name": "../../etc"}, "lead out of its folder"),
        ({"name": ""}, "lead out of its folder"),
        ({"name": "a b"}, "no name of a model"),
        ({"files": {"../x.safetensors": {"sha256": "0", "size_bytes": 1}}}, "lead out"),
        ({"files": {"/x.safetensors": {"sha256": "0", "size_bytes": 1}}}, "lead out"),
        ({"files": {"x.pt": {"sha256": "0", "size_bytes": 1}}}, "something else than .safetensors"),
        ({"files": {}}, "no weights"),
        ({"files": []}, "no manifest"),
        ({"revision": "0" * 64}, "revision is not that of its files"),
        ({"arguments": ["a"]}, "arguments are no mapping"),
        ({"fit": {"key": "0"}}, "its fit lacks one of"),
        ({"fit": None}, "no manifest"),
        ({"more": 1}, "no manifest"),
    ],
)
def test_a_hostile_manifest_is_refused(tmp_path: Path, changed: dict[str, Any], reason: str):
    write(tmp_path)
    path = tmp_path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(TrainedError, match=reason):
        trained.read(tmp_path)
    with pytest.raises(TrainedError):
        trained.card(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(TrainedError, match="holds"):
        trained.read(tmp_path)


def test_a_folder_that_is_no_model_says_so(tmp_path: Path):
    with pytest.raises(TrainedError, match=f"has no {MANIFEST}: No such file"):
        trained.read(tmp_path)
