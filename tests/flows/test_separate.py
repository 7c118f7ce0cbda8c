"""separate: what is refused before any work, and what a run leaves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from flows import separate
from flows.cli import UsageError, parse
from flows.separate_params import SeparateParams
from tasks.engine.plan import plan, run_here
from tests.conftest import write_tone
from tests.support.separators import write_checkpoint, write_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with songs and a model."""
    noise = np.random.default_rng(0).normal(0, 0.1, (9000, 2))
    for name in ("a/song.wav", "b/song.flac"):
        (tmp_path / "songs" / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / "songs" / name, noise * (1 + len(name)) / 12, 44_100)
    (tmp_path / "songs" / "copy.wav").write_bytes((tmp_path / "songs/a/song.wav").read_bytes())
    (tmp_path / "songs" / "bad.mp3").write_bytes(b"no audio")
    (tmp_path / "songs" / "cover.jpg").write_bytes(b"no audio")
    write_folder(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(*arguments: str) -> SeparateParams:
    return parse(SeparateParams, arguments)


def carried_out(asked: SeparateParams) -> tuple[Any, int]:
    """What a run concludes, without Prefect, and how many files it separated."""
    separate.check(asked)
    survey = separate.survey(asked)
    tables = asked.results_place.below("steps")
    made = plan(asked.stages(), survey.tracks, tables, asked.tools(), run_id="r", workers=1)
    pending = made.pending.total()
    run_here(made)
    return separate.conclude(asked, made.results, survey), pending


def test_a_run_leaves_a_folder_of_stems_for_each_file_and_a_second_one_nothing_to_do(folder: Path):
    asked = params("songs", "--checkpoint", "run", "--two-stems", "vocals")
    done, pending = carried_out(asked)
    assert pending == 3
    stems = {"vocals.wav", "no_vocals.wav"}
    places = {"a - song", "b - song", "copy"}
    out = folder / "separated"
    assert {path.name for path in out.iterdir() if path.is_dir()} == {*places, "checkpoints"}
    for place in places:
        assert {path.name for path in (out / place).iterdir()} == stems
    mix, _ = soundfile.read(folder / "songs" / "copy.wav")
    parts = [soundfile.read(out / "copy" / stem)[0] for stem in stems]
    assert np.abs(sum(parts) - mix).max() < 3 / 2**15
    assert done.counts == {"tracks": 3, "stems": 6, "failed": 1}
    [failed] = (out / "failures.jsonl").read_text().splitlines()
    assert json.loads(failed)["reason"] == "not-audio"
    assert done.summary.splitlines() == [
        "3 files (1 s) separated into vocals, no_vocals: separated/<name>/<stem>.wav",
        "Passed over: 1 .jpg",
        "1 file failed (not-audio 1): separated/failures.jsonl",
    ]
    # What failed is tried again; what somebody removed is put there again.
    (out / "copy" / "vocals.wav").unlink()
    again, pending = carried_out(asked)
    assert pending == 1
    assert again.summary == done.summary
    assert (out / "copy" / "vocals.wav").is_file()


def test_where_nothing_could_be_separated_that_is_said(folder: Path):
    done, _ = carried_out(params("songs/bad.mp3", "--checkpoint", "run", "--output", "out"))
    assert done.nothing_made.startswith("No file could be separated: ")
    assert done.nothing_made.endswith("out/failures.jsonl lists all.")


def test_checkpoints_and_registered_separators_are_known_by_name(folder: Path):
    checkpoint = write_checkpoint(folder / "step_000003.pt")
    for address, name in ((str(checkpoint), "separator-"), ("run", "unet1d-"), ("demucs", "htde")):
        [stage] = params("songs", "--checkpoint", address).stages()
        assert stage.config.separator.startswith(name)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["songs"], "--checkpoint is needed: "),
        (["gone", "--checkpoint", "run"], "gone is neither a file nor a folder."),
        (["songs", "--checkpoint", "gone"], "--checkpoint gone is not on this machine."),
        (["songs", "--checkpoint", "songs"], "--checkpoint songs holds no trained model: "),
        (["songs", "--checkpoint", "demucs", "--models_dir", "m"], "Models are missing"),
        (["songs", "--checkpoint", "run", "--output", "songs"], "--output songs is where the"),
        (
            ["songs", "--checkpoint", "run", "--stems", "voice"],
            "--checkpoint run has no sources ['voice']; there are: vocals, drums",
        ),
        (["songs", "s3://bucket/x", "--checkpoint", "run"], "s3://bucket/x has to be the only"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    folder: Path, arguments: list[str], message: str
):
    with pytest.raises(UsageError) as raised:
        separate.check(params(*arguments))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not (folder / "separated").exists()


def test_a_folder_without_audio_is_said(folder: Path):
    write_tone(folder / "empty" / "x.wav").unlink()
    (folder / "empty" / "x.txt").write_text("no audio")
    with pytest.raises(UsageError, match=r"empty holds no audio: .* Passed over: 1 \.txt\."):
        separate.survey(params("empty", "--checkpoint", "run"))


def test_contradictions_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        params("songs", "--stems", "bass", "--two_stems", "bass")
    assert "--stems and --two_stems say the same" in capsys.readouterr().err


def test_gains_are_said(folder: Path):
    asked = params("songs", "--checkpoint", "run")
    row = {"stems": ["bass"], "duration_seconds": 90.0, "gain_db": -2.25}
    found = separate.Files([], {})
    lines = separate.describe(asked, [(f"song {at}", row) for at in range(7)], found).splitlines()
    assert lines[0] == "7 files (10 min 30 s) separated into bass: separated/<name>/<stem>.wav"
    assert lines[1].startswith("song 0: all stems are 2.2 dB quieter than the mix")
    assert lines[-1] == "So it is with 2 more"
    assert Storage(asked.output) == asked.place
