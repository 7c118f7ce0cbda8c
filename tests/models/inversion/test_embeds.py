"""Files of learnt concepts: written, read as others would, and refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import adapters, trained
from models.inversion import embeds

VECTORS = {"pads": np.eye(3, 4, dtype=np.float32), "8bit": np.ones((2, 4), np.float32)}


def write_model(folder: Path, **arguments: object) -> trained.TrainedManifest:
    embeds.write(folder / embeds.FILE, VECTORS, {"model": "musicgen-small"})
    return trained.write(
        folder,
        name="concepts",
        task="musical-concepts",
        adapter="models.inversion.adapter:load",
        arguments={
            "model": "musicgen-small",
            "model_revision": "tiny-1",
            "method": "inversion",
            "tokens": {"8bit": 2, "pads": 3},
            **arguments,
        },
        licence="CC0-1.0",
        fit=dict.fromkeys(trained.FIT, ""),
        metrics={},
    )


def test_written_as_a_tensor_per_word(tmp_path: Path):
    embeds.write(tmp_path / embeds.FILE, VECTORS, {"model": "musicgen-small"})
    assert {
        name: tuple(each.shape) for name, each in load_file(tmp_path / embeds.FILE).items()
    } == {
        "<8bit>": (2, 4),
        "<pads>": (3, 4),
    }
    read = embeds.read(tmp_path / embeds.FILE)
    assert list(read) == ["8bit", "pads"]
    for name, rows in VECTORS.items():
        np.testing.assert_array_equal(read[name], rows)


def test_the_same_concepts_are_the_same_bytes(tmp_path: Path):
    # The library puts what is said of a file into another order in each file.
    about = {name: name for name in ("fit", "model", "entropy", "model_revision", "format")}
    written = set()
    for number in range(6):
        path = tmp_path / f"{number}.safetensors"
        embeds.write(path, VECTORS, dict(sorted(about.items(), reverse=number % 2 == 0)))
        written.add(path.read_bytes())
    assert len(written) == 1
    assert list(embeds.read(tmp_path / "0.safetensors")) == ["8bit", "pads"]


def test_a_vector_by_itself_is_read_too(tmp_path: Path):
    # As diffusers writes a concept of one vector.
    save_file({"<cat>": torch.arange(4.0)}, tmp_path / embeds.FILE)
    np.testing.assert_array_equal(embeds.read(tmp_path / embeds.FILE)["cat"], [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"weight": torch.ones(2, 4)}, "something else than concepts: weight"),
        ({"<a b>": torch.ones(2, 4)}, "something else than concepts: 'a b'"),
        ({"<a>": torch.full((2, 4), torch.nan)}, "something else than concepts: <a>"),
        ({"<a>": torch.ones(2, 4), "<b>": torch.ones(2, 5)}, "no concepts of one size"),
        ({}, "no concepts of one size"),
    ],
)
def test_what_holds_no_concepts_is_refused(tmp_path: Path, tensors, reason: str):
    save_file(tensors, tmp_path / embeds.FILE)
    with pytest.raises(ValueError, match=reason):
        embeds.read(tmp_path / embeds.FILE)


def test_a_folder_is_a_model(tmp_path: Path):
    manifest = write_model(tmp_path)
    learnt = adapters.load(trained.card(manifest), place=tmp_path)
    assert (learnt.model, learnt.model_revision, learnt.decoder) == (
        "musicgen-small",
        "tiny-1",
        None,
    )
    assert list(learnt.vectors) == ["8bit", "pads"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"tokens": {"8bit": 2}}, "other concepts than its manifest says"),
        ({"method": "lora"}, "decoder_lora is missing"),
    ],
)
def test_a_folder_that_is_not_whole(tmp_path: Path, arguments: dict[str, object], reason: str):
    manifest = write_model(tmp_path, **arguments)
    with pytest.raises(ValueError, match=reason):
        adapters.load(trained.card(manifest), place=tmp_path)
