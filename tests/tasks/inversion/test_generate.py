"""The step of generated music: prompts that it cannot serve, and a GPU that is full."""

from pathlib import Path

import pytest
import torch

from blocks.storage import Storage
from models import musicgen
from models.protocols import CONCEPTS
from models.tiny.write import write
from models.weights import read_manifest
from tasks.inversion.generate import STEP, GenerateConfig
from tasks.inversion.piece import pieces
from tasks.step import Tools, TrackError
from tasks.weights import ModelError, Weights
from tests.support.learnt_concepts import write_folder

SMALL = GenerateConfig(generator="musicgen-small", length_seconds=0.1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write(folder, SMALL.generator)
    return folder


def tools(models: Path, outputs: Path, weights: Weights | None = None) -> Tools:
    place = Storage(str(outputs))
    return Tools(place, place, weights=weights or Weights(str(models)))


def test_a_prompt_with_a_concept_that_was_not_learnt_takes_no_other(models: Path, tmp_path: Path):
    found = read_manifest(models / SMALL.generator)
    assert found is not None
    learnt = write_folder(
        tmp_path / "learnt", {"8bit": 1}, model=SMALL.generator, revision=found.revision
    )
    weights, name = Weights(str(models)).with_own(str(learnt), CONCEPTS)
    asked = pieces(["a <pads> song", "an <8bit> song"], 1, 0)
    config = SMALL.model_copy(update={"concepts": name})
    failed, row = STEP.run(asked, {}, config, tools(models, tmp_path / "out", weights))
    assert isinstance(failed, TrackError)
    assert failed.reason == "unknown-concept"
    assert "there are <8bit>" in failed.message
    assert isinstance(row, dict)
    assert (tmp_path / "out" / row["path"]).is_file()


def test_a_full_gpu_is_said(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: object, *args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(musicgen.MusicGenAdapter, "generate", full)
    with pytest.raises(ModelError, match=r"free memory for a piece of 0\.1 s by musicgen"):
        STEP.run(pieces(["drums"], 1, 0), {}, SMALL, tools(models, tmp_path))
