"""Trainings of a folder: found again, and put where people find them."""

from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.projection import trainings
from tasks.projection.fit import ProjectionConfig
from tasks.projection.trainings import Record, ResumeError
from tasks.training.files import FitFiles, Outcome

CONFIG = ProjectionConfig(audio_encoder="muq", text_encoder="minilm")
RECORD = Record("key", CONFIG.model_dump(mode="json"), 0, "data", earlier_epochs=5)


def wanted(epochs: int = 40, **values: object) -> ProjectionConfig:
    loop = CONFIG.loop.model_copy(update={"epochs": epochs})
    return CONFIG.model_copy(update={"loop": loop, **values})


@pytest.mark.parametrize("name", ["muq_last", "muq_last.pt", "muq_best", "key"])
def test_a_training_is_found_by_any_of_its_names(tmp_path: Path, name: str):
    trainings.write_record(tmp_path, RECORD)
    assert trainings.find(tmp_path / name) == (tmp_path, RECORD)


@pytest.mark.parametrize("name", ["mel_last", "muq", "other"])
def test_what_is_no_training_is_said(tmp_path: Path, name: str):
    trainings.write_record(tmp_path, RECORD)
    with pytest.raises(ResumeError, match="is of no training"):
        trainings.find(tmp_path / name)


def test_only_a_finished_training_goes_on_with_other_options(tmp_path: Path):
    def refusal(config: ProjectionConfig) -> str:
        with pytest.raises(ResumeError) as caught:
            trainings.check_goes_on(RECORD, config, tmp_path)
        return str(caught.value)

    assert "was begun with --epochs 25; --learning_rate 0.0005" in refusal(
        wanted(learning_rate=1e-3)
    )
    finished = Outcome(key="key", label="", status="finished")
    FitFiles(Storage(str(tmp_path)), "key").write_outcome(finished)
    trainings.check_goes_on(RECORD, wanted(learning_rate=1e-3), tmp_path)
    assert "has finished its 25 epochs" in refusal(wanted(25))
    assert "of the text encoder minilm, not words" in refusal(wanted(text_encoder="words"))


def test_a_model_takes_the_place_of_the_one_before(tmp_path: Path):
    model = tmp_path / "key" / "model"
    (model / "last").mkdir(parents=True)
    (model / "songmill.json").write_text("best")
    (model / "last" / "songmill.json").write_text("last")
    (tmp_path / "muq_best").mkdir()
    (tmp_path / "muq_best" / "old").write_text("")
    assert trainings.publish(tmp_path, "key", "muq") == tmp_path / "muq_best"
    files = {
        path.relative_to(tmp_path).as_posix(): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file() and "key" not in path.parts
    }
    assert files == {"muq_best/songmill.json": "best", "muq_last/songmill.json": "last"}
