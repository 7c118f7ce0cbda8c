"""train-projection and search-music: from embeddings to what is found, and what is refused."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from flows import cli, search_music
from flows.cli import UsageError
from flows.train_projection import plan, train_projection
from flows.train_projection_params import TrainProjectionParams
from tasks.projection.fit import FIT
from tests.flows.conftest import standing_worker
from tests.support import prefect_server
from tests.support.embeddings import made, register_words, write


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared() as url, temporary_settings(settings):
        yield url


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"), made(60, splits=(4, 1, 1)))


def asked(data: Path, output: Path, **values: Any) -> TrainProjectionParams:
    return TrainProjectionParams(data_dir=data, output=output, epochs=2, seed=3, **values)


def test_from_embeddings_to_what_is_found(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    _, address = standing_worker()
    one = train_projection(asked(data, tmp_path / "one", cluster=address))
    two = train_projection(asked(data, tmp_path / "two", cluster=address, num_workers=2))
    assert one == two
    assert one["test/items"] == 10
    shown = capsys.readouterr().out
    assert "On 10 held-out items:" in shown
    best = tmp_path / "one" / "mel_best"
    assert json.loads((best / "metrics.json").read_text()) == one
    assert (best / "report.html").is_file()
    assert (tmp_path / "one" / "mel_last" / "songmill.json").is_file()
    assert list((tmp_path / "one").glob("*/logs/events*"))

    # What has finished is not done again; what goes on for more epochs has the others behind it.
    before = plan(TrainProjectionParams(resume=tmp_path / "one" / "mel_last"))
    assert before.job.files.finished() is not None
    further = plan(TrainProjectionParams(resume=tmp_path / "one" / "mel_last.pt", epochs=5))
    assert (further.record.earlier_epochs, further.record.epochs) == (2, 5)
    assert further.job.config.loop.epochs == 3  # type: ignore[attr-defined]
    assert further.job.seed == 3
    assert FIT.models(further.job.config)

    register_words(monkeypatch)
    command = ["search_music.py", "slow piano", "--projection", str(tmp_path / "one")]
    monkeypatch.setattr(sys, "argv", [*command, "--data-dir", str(data), "--count", "3", "--json"])
    with pytest.raises(SystemExit) as ended:
        search_music.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in found] == [1, 2, 3]
    assert found[0].keys() >= {"score", "title", "artist", "audio_path", "caption"}
    lines = search_music.describe([search_music.Hit(**hit) for hit in found]).splitlines()
    assert found[0]["audio_path"] in lines[0]
    assert found[0]["caption"] in lines[1]


def refusal(params: TrainProjectionParams) -> str:
    with pytest.raises(UsageError) as caught:
        plan(params)
    return str(caught.value)


def test_what_cannot_be_trained_is_said_before_any_work(data: Path, tmp_path: Path):
    assert "does not exist" in refusal(asked(tmp_path, tmp_path))
    assert "no audio embeddings by muq" in refusal(asked(data, tmp_path, audio_encoder="muq"))
    assert "more than the 40 items" in refusal(asked(data, tmp_path, batch_size=64))
    assert "is of no training" in refusal(asked(data, tmp_path, resume=tmp_path / "mel_last"))
    assert not list(tmp_path.iterdir())


def test_encoders_are_chosen_where_that_is_clear(tmp_path: Path):
    data = write(tmp_path / "joint", made(60, splits=(4, 1, 1), with_clap=True))
    assert "clap, mel: name one of them with --audio-encoder" in refusal(asked(data, tmp_path))
    chosen = {}
    for audio in ("mel", "clap"):
        config = plan(asked(data, tmp_path, audio_encoder=audio)).job.config
        chosen[audio] = config.text_encoder  # type: ignore[attr-defined]
    assert chosen == {"mel": "words", "clap": "clap"}


def test_options_are_understood_as_people_write_them():
    line = "--audio-encoder mel --data-dir d --epochs 20 --batch-size 32 --resume runs/mel_last.pt"
    params = cli.parse(TrainProjectionParams, line.split())
    assert params.audio_encoder == "mel"
    assert params.resume == Path("runs/mel_last.pt")
    assert (params.epochs, params.batch_size) == (20, 32)
