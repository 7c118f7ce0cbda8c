"""train-inversion: from a dataset of concepts to a model, and what is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from flows import cli
from flows.cli import UsageError
from flows.train_inversion import plan, train_inversion
from flows.train_inversion_params import TrainInversionParams
from models.inversion import embeds
from models.tiny.write import write
from tasks.inversion.evaluation import EvaluationConfig
from tests.flows.conftest import standing_worker
from tests.support import prefect_server
from tests.support.concepts import dataset

UNHEARD = EvaluationConfig(epochs=0)


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared() as url, temporary_settings(settings):
        yield url


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    dataset(folder, train=4, validation=1)
    write(folder / "models", "musicgen-small")
    return folder


def asked(data: Path, output: Path, **values: Any) -> TrainInversionParams:
    usual = {
        "name": "dataset", "data_dir": str(data), "models_dir": str(data / "models"),
        "output": output, "epochs": 2, "batch_size": 2, "tokens_num": 2, "examples_len": 0.4,
        "evaluation": UNHEARD, "device": "cpu", "threads": 1,
    }  # fmt: skip
    return TrainInversionParams(**(usual | values))


def test_from_concepts_to_a_model(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _, address = standing_worker()
    output = tmp_path / "learnt"
    params = asked(data, output, cluster=address)
    metrics = train_inversion(params)
    shown = capsys.readouterr().out
    assert f"Vectors of 2 epochs: {output / 'embeds'}" in shown
    assert "<8bit>: " in shown
    assert f"--embeds {output}" in shown
    assert json.loads((output / "metrics.json").read_text()) == metrics
    assert set(embeds.read(output / embeds.FILE)) == {"8bit", "pads"}
    assert (output / "embeds" / "epoch-0002.safetensors").is_file()
    assert (output / "report.html").is_file()
    before = (output / "fits").stat().st_mtime_ns
    assert train_inversion(params) == metrics
    assert "1 of 1 fits are finished" in capsys.readouterr().out
    assert (output / "fits").stat().st_mtime_ns == before


def test_a_musicgen_of_ones_own_is_known_by_its_content(data: Path, tmp_path: Path):
    own = tmp_path / "own"
    shutil.copytree(data / "models" / "musicgen-small", own)
    (own / "songmill.json").unlink()
    first = plan(asked(data, tmp_path, model_name=str(own)))
    name = first.config.generator  # type: ignore[attr-defined]
    assert name.startswith("musicgen-")
    assert first.tools.weights.card(name).adapter == "models.musicgen:load"
    moved = own.rename(tmp_path / "moved")
    assert plan(asked(data, tmp_path, model_name=str(moved))).key == first.key
    (moved / "generation_config.json").write_text("{}")
    assert plan(asked(data, tmp_path, model_name=str(moved))).key != first.key


def refusal(params: TrainInversionParams) -> str:
    with pytest.raises(UsageError) as caught:
        plan(params)
    return str(caught.value)


def test_what_cannot_be_trained_is_said_before_any_work(data: Path, tmp_path: Path):
    assert "holds no dataset of concepts" in refusal(asked(data, tmp_path, name="other"))
    assert "no concept 8bits: there are 8bit, pads." in refusal(
        asked(data, tmp_path, concepts=("8bits",))
    )
    assert "give a smaller --examples-len" in refusal(asked(data, tmp_path, examples_len=5.0))
    assert "pull --models musicgen-large" in refusal(asked(data, tmp_path, model_name="large"))
    assert "holds no trained model" in refusal(asked(data, tmp_path, model_name=str(data)))
    assert "--evaluate_epochs 0 trains without" in refusal(
        asked(data, tmp_path, evaluation=EvaluationConfig())
    )
    assert not list(tmp_path.iterdir())


def test_options_are_understood_as_people_write_them():
    line = (
        "mine --model-name large --concepts 8bit synthwave --tokens-num 10 --no-randomize-tokens "
        "--examples-len 4 --grad-amplify 5 --cr-margin 2 --lr 0.2 --evaluate-epochs 5"
    )
    params = cli.parse(TrainInversionParams, line.split())
    config = params.config("musicgen-large", params.concepts)
    assert config.loop.batch_size == 20
    assert config.loop.accumulation == 2
    assert (config.loop.epochs, config.loop.patience) == (100, 20)
    never = TrainInversionParams(name="mine", patience=0).config("musicgen-small", ("8bit",))
    assert never.loop.patience is None
    assert (config.tokens_num, config.randomize_tokens) == (10, False)
    assert (config.learning_rate, config.evaluation.epochs) == (0.2, 5)
    with pytest.raises(ValueError, match="cannot end a training of 5 epochs"):
        TrainInversionParams(name="mine", epochs=5, patience=5)
