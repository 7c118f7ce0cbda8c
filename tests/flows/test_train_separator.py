"""train-separator: from songs to a model in its working folder, what goes on, what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from safetensors.torch import load_file

from blocks.storage import Storage
from flows import cli
from flows.cli import UsageError
from flows.train_separator import as_begun, check, plan, train_separator
from flows.train_separator_params import TrainSeparatorCommand, TrainSeparatorParams
from models.protocols import SEPARATION
from models.separator.build import build
from models.unet1d.model import share
from tasks.separator import trainings
from tasks.song import separate
from tasks.song.separate import SeparateConfig
from tasks.step import Tools, Track
from tasks.weights import Weights
from tests.flows.conftest import standing_worker
from tests.support import prefect_server
from tests.tasks.separator.small_store import RATE_HZ, SOURCES, small_store


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared() as url, temporary_settings(settings):
        yield url


def asked(folder: Path, **values: Any) -> TrainSeparatorParams:
    usual: dict[str, Any] = {
        "data_root": str(folder / "songs"),
        "workdir": folder / "run",
        "store_dir": folder / "store",
        "sources": SOURCES,
        "sample_rate_hz": RATE_HZ,
        "model_size": "small",
        "batch_size": 2,
        "segment": {"seconds": 0.5},
        "max_steps": 2,
        "ckpt_every": 1,
        "workers": 1,
    }
    return TrainSeparatorParams(**{**usual, **values})


def write_songs(folder: Path) -> None:
    """Songs of a voice and something else, in a folder per split as MUSDB18-HQ has them."""
    rng = np.random.default_rng(1)
    for number in range(4):
        song = folder / ("train" if number < 3 else "test") / f"Artist {number} - Song"
        song.mkdir(parents=True)
        seconds = np.arange(3 * RATE_HZ) / RATE_HZ
        voice = 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * seconds)
        for name, signal in {
            "vocals": voice,
            "other": 0.1 * rng.standard_normal(len(voice)),
        }.items():
            soundfile.write(song / f"{name}.wav", signal, RATE_HZ)


def test_from_songs_to_a_model_that_goes_on(
    api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_songs(tmp_path / "songs")
    _, address = standing_worker()
    metrics = train_separator(asked(tmp_path, workers=None, cluster=address))
    run = tmp_path / "run"
    shown = capsys.readouterr().out
    assert "train: 2 songs" in shown
    assert "  vocals: SI-SDR" in shown
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert (run / "report.html").is_file()
    weights, name = Weights(str(tmp_path)).with_own(str(run), SEPARATION)
    assert weights.problems(name) == []
    assert_vocals_are_of(
        run, name, Tools(Storage(str(tmp_path)), Storage(str(run)), weights=weights)
    )
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["final_step_000002.pt", "step_000001.pt"]

    # What has finished goes on from its last checkpoint, as it was begun, if it is to go further.
    (index,) = (tmp_path / "store").glob("songs-*.json")
    further = as_begun(TrainSeparatorParams(workdir=run, resume="auto", max_steps=3))
    _, record = plan(further, str(index))
    assert record.start == str(run / "checkpoints" / "final_step_000002.pt")
    other = as_begun(TrainSeparatorParams(workdir=run, resume="auto", lr=1e-3))
    with pytest.raises(UsageError, match="more --max_steps than 2"):
        plan(other, str(index))
    again = as_begun(TrainSeparatorParams(workdir=run, resume="auto"))
    assert plan(again, str(index))[0].files.finished() is not None


def assert_vocals_are_of(run: Path, name: str, tools: Tools) -> None:
    """The loop is closed: with the folder as its separator, build-dataset stores its vocals."""
    song = "songs/test/Artist 3 - Song/vocals.wav"
    config = SeparateConfig(separator=name, sample_rate_hz=RATE_HZ)
    (row,) = separate.STEP.run([Track("id", song)], {"probe": [None]}, config, tools)
    assert isinstance(row, dict)
    found, _ = soundfile.read(run / row["vocals_path"], dtype="float32")
    mix = torch.from_numpy(soundfile.read(run.parent / song, dtype="float32")[0])[None, None]
    manifest = json.loads((run / "songmill.json").read_text())
    network, _ = build(manifest["arguments"])
    network.load_state_dict(load_file(run / "model.safetensors"))
    with torch.inference_mode():
        expected = share(mix, network.eval()(mix))[0, SOURCES.index("vocals"), 0].numpy()
    assert np.abs(found.T - expected).max() < 2 / 2**15
    assert np.abs(expected).max() > 0.01


def test_what_was_begun_goes_on_and_nothing_else(tmp_path: Path):
    (tmp_path / "songs").mkdir()
    index = small_store(tmp_path / "store")
    params = asked(tmp_path)
    check(params)
    job, record = plan(params, index)
    trainings.write(params.workdir, record)

    # The same command, or auto, means the same training, whatever is given of the machine.
    for again in (
        asked(tmp_path, num_workers=2, keep=None),
        as_begun(TrainSeparatorParams(workdir=params.workdir, resume="auto", num_workers=1)),
    ):
        check(again)
        assert plan(again, index)[0].key == job.key
    # Other options are another training, and said to be one.
    for values, said in (
        ({"lr": 1e-3}, "--lr 0.0005"),
        ({"segment": {"seconds": 0.6}}, "--segment_seconds 0.5"),
        ({"max_steps": 9}, "--max_steps 2"),
    ):
        with pytest.raises(UsageError, match=f"begun with {said}: .*--resume auto"):
            check(asked(tmp_path, **values))
    longer = as_begun(TrainSeparatorParams(workdir=params.workdir, resume="auto", max_steps=9))
    assert (longer.sources, longer.segment.seconds, longer.max_steps) == (SOURCES, 0.5, 9)
    check(longer)
    assert plan(longer, index)[1].start is None, "there is no checkpoint yet"
    job.files.write_state("00000001-a", {"step": 1})
    with pytest.raises(UsageError, match="interrupted before its first checkpoint"):
        plan(longer, index)
    assert plan(params, index)[0].key == job.key
    other_songs = small_store(tmp_path / "others", songs=3)
    with pytest.raises(UsageError, match="other songs"):
        plan(params, other_songs)


def test_a_training_begins_from_a_checkpoint_that_is_named(tmp_path: Path):
    (tmp_path / "songs").mkdir()
    index = small_store(tmp_path / "store")
    path = tmp_path / "step_000005.pt"
    arguments = asked(tmp_path).config().arguments()
    torch.save({"model": {"a": torch.zeros(1)}, "extra": {"arguments": arguments}}, path)
    params = asked(tmp_path, resume=path, max_steps=6)
    check(params)
    job, record = plan(params, index)
    assert record.start == str(path)
    assert job.config.start is not None  # type: ignore[attr-defined]
    trainings.write(params.workdir, record)
    # What was interrupted goes on by either way.
    assert plan(params, index)[0].key == job.key
    auto = as_begun(TrainSeparatorParams(workdir=params.workdir, resume="auto"))
    assert plan(auto, index)[0].key == job.key


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data_root": "nowhere"}, r"nowhere does not exist: give --data_root"),
        ({"batch_size": 3, "accumulation": 2}, r"not taken in 2 parts"),
        ({"resume": "gone.pt"}, r"gone\.pt is no checkpoint: --resume takes"),
        ({"init": "gone"}, r"gone is not on this machine"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    tmp_path: Path, values: dict[str, Any], said: str
):
    (tmp_path / "songs").mkdir()
    with pytest.raises(UsageError, match=said):
        check(asked(tmp_path, **values))


def test_a_step_that_is_reached_already_is_said(tmp_path: Path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "final_step_000006.pt").touch()
    with pytest.raises(UsageError, match="is of step 6: give more --max_steps than 6"):
        check(asked(tmp_path, resume=tmp_path / "final_step_000006.pt", max_steps=6))


def test_options_are_understood_as_people_write_them():
    line = (
        "--data_root ./musdb18 --workdir ./runs/unet1d --batch_size 2 --segment_seconds 2.0 "
        "--num_workers 0 --max_steps 2000 --ckpt_every 200 --log_every 20 --resume auto "
        "--segment.remix none --mixture own --ema_decay none --advise"
    )
    params, command = cli.parse_command(TrainSeparatorParams, TrainSeparatorCommand, line.split())
    config, options = params.config(), params.options()
    assert (config.network, config.segment.seconds, config.segment.mixture) == ("unet1d", 2, "own")
    assert (config.loop.steps, config.loop.batch_size, config.loop.ema_decay) == (2000, 2, None)
    assert config.loop.validate_steps == options.checkpoint_steps == 200
    assert (options.log_steps, options.num_workers) == (20, 0)
    assert params.resume == Path("auto")
    assert command.advise
    assert TrainSeparatorParams().segment.seconds == 6.0
