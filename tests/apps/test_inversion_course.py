"""What the page of textual inversion says of trainings, and what it finds of them."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apps.concepts import course, learnt, trainings
from apps.concepts.room import Room
from apps.concepts.trainings import State
from blocks.storage import Storage
from flows.cli import UsageError
from flows.train_inversion_params import TrainInversionParams
from tasks.training.files import FitFiles
from tests.apps.concepts_page import write_learnt

PROGRESS: dict[str, Any] = {
    "step": 3,
    "total": 1200,
    "seconds_left": 75.0,
    "scalars": {"loss": 2.5},
    "notes": ["The memory was too small for <one> batch."],
    "curves": {
        "loss": [3.0, 2.5],
        "validation/cross_entropy/8bit": [2.0, 1.5],
        "validation/cross_entropy_of_others/8bit": [2.0, 1.9],
    },
    "curve_steps": {
        "loss": [1, 3],
        "validation/cross_entropy/8bit": [1, 3],
        "validation/cross_entropy_of_others/8bit": [1, 3],
    },
}


def test_the_course_is_shown_with_what_it_says():
    state = State(1, "running", "a", "python x --concepts '<8bit>'", 5.0, PROGRESS)
    shown = course.drawn(state)
    assert "3 of 1,200" in shown
    assert "1 min 15 s" in shown
    assert shown.count("<svg") == 2
    assert "Validation: &lt;8bit&gt;, others" in shown
    assert "&lt;one&gt; batch" in shown
    assert "--concepts &#x27;&lt;8bit&gt;&#x27;" in shown
    assert "another window" in course.described(state, is_own=False)
    assert "another window" not in course.described(state, is_own=True)
    failed = State(1, "failed", "a", said="No <memory>.")
    assert 'role="alert"' in course.described(failed, is_own=True)
    assert "No &lt;memory&gt;." in course.described(failed, is_own=True)


def test_what_was_learnt_is_found_and_what_is_none_is_not(tmp_path: Path):
    first = tmp_path / "run" / "embeds" / "epoch-0001.safetensors"
    write_learnt(first, {"8bit": 2, "pads": 3}, "musicgen-small", "r")
    write_learnt(tmp_path / "other.safetensors", {"jazz": 1}, "musicgen-medium", "r")
    (tmp_path / "notes.safetensors").write_text("no tensors")
    (tmp_path / ".writing.safetensors").write_bytes(first.read_bytes())
    newest, oldest = learnt.found(tmp_path)
    assert (newest.name, newest.concepts, newest.model) == ("other", ("jazz",), "musicgen-medium")
    assert (oldest.name, oldest.concepts) == ("run/embeds/epoch-0001", ("8bit", "pads"))


def test_what_a_training_works_with_is_listed_until_it_is_published(tmp_path: Path):
    key = "0123456789abcdef" * 2
    epoch = tmp_path / "run" / "fits" / key / "embeds" / "epoch-0001.safetensors"
    write_learnt(epoch, {"8bit": 2}, "musicgen-small", "r")
    [found] = learnt.found(tmp_path)
    assert (found.name, found.path) == ("run/fits/01234567/embeds/epoch-0001", epoch)
    published = tmp_path / "run" / "embeds" / epoch.name
    published.parent.mkdir()
    published.write_bytes(epoch.read_bytes())
    assert [each.path for each in learnt.found(tmp_path)] == [published]


SCRIPTS = {
    "finished": "",
    "failed": "import sys; sys.exit('There is <no> room.')",
    "stopped": "import time; print(flush=True); time.sleep(60)",
}


@pytest.mark.parametrize("became", SCRIPTS)
def test_what_became_of_a_command_is_told_and_the_room_is_free_again(
    became: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # In the place of the training, a command that ends as it may.
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "train_inversion.py").write_text(SCRIPTS[became])
    files = FitFiles(Storage(str(tmp_path)), "0")
    monkeypatch.setattr(trainings, "ROOT", tmp_path)
    monkeypatch.setattr(
        trainings.train_inversion, "plan", lambda params: SimpleNamespace(files=files)
    )
    room = Room()
    run = trainings.Trainings(room)
    run.start(TrainInversionParams(name="mine", concepts=("8bit",), epochs=3), "a")
    if became == "stopped":
        with pytest.raises(UsageError, match="A training is running"):
            run.start(TrainInversionParams(name="mine"), "b")
        assert run.state().stage == "running"
    deadline = time.monotonic() + 60
    while (state := run.state()).is_running and time.monotonic() < deadline:
        if became == "stopped":
            run.stop()
        time.sleep(0.01)
    assert (state.stage, state.by) == (became, "a")
    assert state.command == "python flows/train_inversion.py mine --concepts 8bit --epochs=3"
    assert state.said == ("There is <no> room." if became == "failed" else "")
    while True:
        try:
            room.take("music")
        except UsageError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            break
