"""The tab Train of the page of textual inversion: a training from its start to its use."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from apps.concepts import course, learnt, trainings
from apps.concepts.room import Room
from apps.concepts.trainings import State
from blocks.storage import Storage
from flows.cli import UsageError
from flows.train_inversion_params import TrainInversionParams
from models.inversion import embeds
from tasks.training.files import FitFiles
from tests.apps import concepts_page
from tests.support import dask_cluster, prefect_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("inversion")
    concepts_page.write_models(made)
    concepts_page.write_dataset(made)
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in prefect_server.variables().items():
            patch.setenv(name, value)
        # A worker that runs already halves what a training costs.
        with concepts_page.served(folder, cluster=dask_cluster.shared_address(), threads=1) as url:
            yield url


def test_the_course_is_shown_with_what_it_says():
    state = State(1, "running", "a", "python x --concepts '<8bit>'", 5.0, PROGRESS)
    shown = course.drawn(state)
    assert "3 of 1,200" in shown
    assert "1 min 15 s" in shown
    assert shown.count("<svg") == 2
    # The line of the own segments ends at the bottom of what is drawn, the others' above it.
    assert "Validation: &lt;8bit&gt;, others" in shown
    assert "&lt;one&gt; batch" in shown
    assert "--concepts &#x27;&lt;8bit&gt;&#x27;" in shown
    assert "another window" in course.described(state, is_own=False)
    assert "another window" not in course.described(state, is_own=True)
    failed = State(1, "failed", "a", said="No <memory>.")
    assert 'role="alert"' in course.described(failed, is_own=True)
    assert "No &lt;memory&gt;." in course.described(failed, is_own=True)


def test_what_a_training_works_with_is_listed_until_it_is_published(folder: Path, tmp_path: Path):
    key = "0123456789abcdef" * 2
    epoch = tmp_path / "run" / "fits" / key / "embeds" / "epoch-0001.safetensors"
    concepts_page.write_learnt(epoch, {"8bit": 2}, "musicgen-small", folder / "models")
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


def open_page(browser: "Browser", url: str) -> "Page":
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(url)
    page.get_by_role("button", name="Start training").wait_for()
    return page


def fill(page: "Page", **values: str) -> None:
    labels = {
        "tokens": "number input for Tokens per concept",
        "seconds": "number input for Length of examples (s)",
        "epochs": "Epochs",
        "batch": "Batch, per concept",
    }
    for name, value in values.items():
        box = page.get_by_label(labels[name], exact=True)
        box.fill(value)
        box.press("Tab")


def test_a_training_from_its_start_to_music(browser: "Browser", url: str, folder: Path):
    one, other = open_page(browser, url), open_page(browser, url)
    said, seen = (page.locator("#training-status") for page in (one, other))
    one.get_by_label("Monitoring: evaluate by generated pieces").uncheck()

    # What cannot be is said before anything runs.
    fill(one, tokens="2", seconds="5", epochs="500", batch="3")
    one.get_by_role("button", name="Start training").click()
    notice = one.locator("#training-notice [role=alert]")
    notice.wait_for()
    assert "5 s" in notice.inner_text()
    assert "No training was started" in said.inner_text()

    fill(one, seconds="1")
    one.get_by_role("button", name="Start training").click()
    seen.filter(has_text="started in another window").wait_for(timeout=60_000)
    assert other.get_by_role("button", name="Start training").is_disabled()
    shown = other.locator("#training-view pre")
    assert "--tokens_num=2" in shown.inner_text()

    # There is room for one.
    other.get_by_role("tab", name="Generate").click()
    other.get_by_label("Prompt", exact=True).fill("a song")
    other.get_by_role("button", name="Generate", exact=True).click()
    other.locator("#music-status [role=alert]").filter(has_text="A training is running").wait_for()
    other.get_by_role("tab", name="Train").click()

    # Somebody else's is not stopped by one click; after two epochs its own is.
    other.get_by_role("button", name="Stop training").click()
    other.get_by_role("button", name="Stop it all the same").wait_for()
    one.wait_for_function(
        "parseInt(document.querySelector('#training-view dd')?.innerText) >= 3", timeout=120_000
    )
    assert other.get_by_role("button", name="Stop it all the same").is_visible()
    assert one.locator("#training-view svg").count() >= 3
    one.get_by_role("button", name="Stop training").click()
    said.filter(has_text="Stopped. What was learned").wait_for(timeout=120_000)
    run = [path for path in (folder / "embeds").iterdir() if path.name.startswith("8bit-pads-")]
    epochs = sorted(path.name for path in (run[0] / "embeds").glob("epoch-*"))
    assert epochs[:2] == ["epoch-0001.safetensors", "epoch-0002.safetensors"]
    two = [embeds.read(run[0] / "embeds" / name)["8bit"] for name in epochs[:2]]
    assert (two[0] != two[1]).any()

    # What was learned is used at once, and makes a sound.
    one.get_by_role("tab", name="Generate").click()
    one.get_by_role("button", name="Refresh learned embeddings").click()
    one.get_by_label("Learned embeddings").first.click()
    one.get_by_role("option", name=f"{run[0].name}/embeds/epoch-0002").click()
    one.get_by_role("button", name="<8bit>").click()
    for label in ("Length (s)", "Pieces"):
        box = one.get_by_label(f"number input for {label}")
        box.fill("1")
        box.press("Tab")
    one.get_by_role("button", name="Generate", exact=True).click()
    one.locator(".piece audio").wait_for(timeout=60_000)
    with one.expect_download() as download:
        one.get_by_role("link", name="Download").click()
    samples, _ = soundfile.read(download.value.path())
    assert np.abs(samples).max() > 0.01
