"""evaluate-separator as users run it, and what it says of wrong requests."""

import json
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest
import soundfile
from pydantic import ValidationError

from flows import evaluate_separator, train_separator
from flows.cli import UsageError
from flows.evaluate_separator_params import EvaluateSeparatorParams
from flows.train_separator_params import TrainSeparatorParams
from models import trained
from tasks.engine.plan import plan, run_here
from tasks.separator.training_song import TrainingSong
from tests.flows.conftest import environment, standing_worker
from tests.support import commands, prefect_server
from tests.support.commands import ROOT
from tests.tasks.separator.decoded import RATE_HZ, sources

NAMES = ("vocals", "drums", "bass", "other")
SMALL = {"sample_rate_hz": RATE_HZ, "channels": 1}


def write_song(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    for name, plane in zip(NAMES, sources(3.0, seed), strict=True):
        soundfile.write(folder / f"{name}.wav", plane, RATE_HZ)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs to train with and to test with, one of which is damaged."""
    folder = tmp_path_factory.mktemp("songs")
    for split, seeds in (("train", (1,)), ("test", (2, 3, 4))):
        for seed in seeds:
            write_song(folder / split / f"Artist {seed} - Song {seed}", seed)
    (folder / "test" / "Artist 4 - Song 4" / "bass.wav").write_bytes(b"RIFF")
    return folder


def params(songs: Path, out: Path, **values: object) -> EvaluateSeparatorParams:
    given = {"checkpoints": ["irm"], "data_root": str(songs), "output": out, **SMALL}
    return EvaluateSeparatorParams.model_validate(given | values)


def test_scores_a_summary_and_a_page_come_out(songs: Path, tmp_path: Path):
    done = commands.run_forked(
        ROOT / "flows" / "evaluate_separator.py",
        [
            *("repet-centre", "--data_root", songs, "--output", tmp_path / "out"),
            *("--beside", "irm", "--sample_rate_hz", str(RATE_HZ), "--channels", "1"),
            *standing_worker(),
        ],
        tmp_path,
        environment(**prefect_server.variables()),
    )
    assert done.status == 0, done
    assert "Traceback" not in done.stderr
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert len(rows) == 2 * (1 + 4)
    assert {row["title"] for row in rows} == {"Song 2", "Song 3"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    lines = {(each["candidate"], each["source"]): each for each in summary["results"]}
    assert lines["irm", "bass"]["metrics"]["si_sdr_improvement_db"]["mean"]["value"] > 5
    assert list(dict.fromkeys(each["candidate"] for each in summary["results"])) == [
        "repet-centre",
        "irm",
    ]
    assert summary["failed"] == 1
    assert "1 file failed" in done.stdout
    assert "data:audio/mpeg" in (tmp_path / "out" / "report.html").read_text()


def test_a_candidate_more_decodes_and_scores_nothing_again(songs: Path, tmp_path: Path):
    asked = params(songs, tmp_path, max_songs=1)
    chosen = evaluate_separator.survey(asked).tracks
    pending = []
    for name in ("mixture", "irm", "mixture"):
        each = asked.scoring(name)
        made = plan(
            each.stages(), chosen, each.results_place.below("steps"), each.tools(), run_id="r",
            workers=1,
        )  # fmt: skip
        pending.append(dict(made.pending))
        run_here(made)
    assert pending == [
        {"decode": 1, "score": 1},
        {"decode": 0, "score": 1},
        {"decode": 0, "score": 0},
    ]


def test_no_song_that_a_training_sees_is_for_the_test(tmp_path: Path):
    """Where the corpus does not say, both commands draw the same splits."""
    for seed in range(20):
        write_song(tmp_path / "songs" / f"Artist {seed} - Song {seed}", seed)
    asked = params(tmp_path / "songs", tmp_path / "out", split="all")
    training = TrainSeparatorParams(
        data_root=str(tmp_path / "songs"), store_dir=tmp_path / "a", workdir=tmp_path / "b"
    )
    scored, seen = (
        {song.path: cast("TrainingSong", song).split for song in survey.tracks}
        for survey in (evaluate_separator.survey(asked), train_separator.survey(training))
    )
    assert scored == seen
    fewer = train_separator.survey(training.model_copy(update={"max_songs": 10})).tracks
    assert len(fewer) == 10
    assert {song.path: cast("TrainingSong", song).split for song in fewer}.items() <= seen.items()
    assert set(seen.values()) == {"train", "validation", "test"}


def test_checkpoints_come_first_and_what_is_beside_is_not_scored_twice(tmp_path: Path):
    asked = params(tmp_path, tmp_path, checkpoints=["ibm"])
    assert asked.candidates == ["ibm", "mixture", "irm", "repet-centre"]
    assert params(tmp_path, tmp_path, beside=["none"]).candidates == ["irm"]
    with pytest.raises(ValidationError, match="demucs is none of mixture, irm, ibm, repet-centre"):
        params(tmp_path, tmp_path, beside=["demucs"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data_root": None}, "--data_root is needed"),
        ({"data_root": "/nowhere/at/all"}, "/nowhere/at/all does not exist"),
        ({"checkpoints": ["runs/none"]}, "CHECKPOINT: runs/none is not on this machine."),
        ({"checkpoints": ["htdemucs"]}, "Fetch them with"),
        ({"output": "songs"}, "is where the songs are"),
    ],
)
def test_wrong_requests_are_one_sentence(values: dict, said: str, songs: Path, tmp_path: Path):
    if values.get("output"):
        values = {"output": songs}
    weights = {"models_dir": str(tmp_path / "models")}
    with pytest.raises(UsageError, match=said):
        evaluate_separator.check(params(songs, tmp_path, **weights, **values))


@pytest.mark.parametrize(
    ("rate_hz", "known", "said"),
    [
        (22_050, NAMES, r"net separates at 22050 Hz: give --sample_rate_hz 22050\."),
        (RATE_HZ, ["piano", "other"], r"knows piano, other, .*: give --sources piano other\."),
    ],
)
def test_a_separator_of_something_else_is_told_before_any_work(
    rate_hz: int, known: list[str], said: str, songs: Path, tmp_path: Path
):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    trained.write(
        folder,
        name="net",
        task="separation",
        adapter="models.separator.adapter:load",
        arguments={"sources": known},
        licence="none",
        fit=dict.fromkeys(trained.FIT, ""),
        metrics={},
        sample_rate_hz=rate_hz,
    )
    asked = params(songs, tmp_path, checkpoints=[str(folder)])
    assert next(iter(asked.asked_for)).startswith("net-")
    with pytest.raises(UsageError, match=said):
        evaluate_separator.check(asked)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"split": "validation"}, "of the validation split: --split all"),
        ({"sources": ["vocals", "drums"]}, "other"),
    ],
)
def test_no_songs_to_score_are_one_sentence(values: dict, said: str, tmp_path: Path):
    for seed in (2, 3):
        write_song(tmp_path / "songs" / "test" / f"Artist {seed} - Song {seed}", seed)
    with pytest.raises(UsageError, match=said):
        evaluate_separator.survey(params(tmp_path / "songs", tmp_path / "out", **values))


def test_a_folder_without_songs_is_said_to_be_one(tmp_path: Path):
    (tmp_path / "songs").mkdir()
    with pytest.raises(UsageError, match="holds no songs as sources"):
        evaluate_separator.survey(params(tmp_path / "songs", tmp_path / "out"))
