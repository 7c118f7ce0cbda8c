"""The page of textual inversion in a browser: what is trained, heard, by whom, and what is said."""

import io
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile

from apps.concepts import music
from apps.concepts.room import Room
from apps.concepts.visitors import Visitors
from flows.cli import UsageError
from flows.generate_music_params import GenerateMusicParams
from models import adapters
from models.inversion import embeds
from tests.apps import concepts_page
from tests.support import dask_cluster, prefect_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


def epoch(folder: Path, number: int, model: str = "small") -> Path:
    return folder / f"embeds/earlier-musicgen-{model}/embeds/epoch-{number:04d}.safetensors"


def wanted(folder: Path, **values: Any) -> GenerateMusicParams:
    given = {"prompt": "<8bit>", "embeds": str(epoch(folder, 1)), "length": 0.2, **values}
    return GenerateMusicParams(models_dir=str(folder / "models"), device="cpu", **given)


def test_there_is_room_for_one_and_it_is_given_back(folder: Path, tmp_path: Path):
    room, visitor = Room(), Visitors(tmp_path).of("a")
    visitor.ask()
    room.take("training")
    with pytest.raises(UsageError, match="A training is running"):
        next(music.make(wanted(folder), visitor, room, lambda part, what: None))
    room.leave()
    making = music.make(wanted(folder, count=2), visitor, room, lambda part, what: None)
    next(making)
    with pytest.raises(UsageError, match=r"Music is being made.* or cancel it"):
        room.take("training")
    assert len([*making]) == 1
    room.take("training")


def test_what_is_cancelled_ends_within_a_piece_and_what_is_there_stays(
    folder: Path, tmp_path: Path
):
    room, visitors = Room(), Visitors(tmp_path)
    visitor = visitors.of("a")
    visitor.ask()
    heard: list[float] = []

    def say(part: float, what: str) -> None:
        heard.append(part)
        if part > 0.6:
            visitor.cancel()

    with pytest.raises(music.CancelledError):
        [*music.make(wanted(folder, count=2), visitor, room, say)]
    assert heard == sorted(heard)
    assert 0.6 < heard[-1] < 0.7
    assert [piece.seed for piece in visitor.pieces.values()] == [0]
    # What is asked for after is not cancelled; what is asked for and taken back never begins.
    visitor.ask()
    assert len([*music.make(wanted(folder), visitor, room, lambda part, what: None)]) == 1
    visitor.ask()
    visitor.cancel()
    with pytest.raises(music.CancelledError):
        next(music.make(wanted(folder), visitor, room, lambda part, what: pytest.fail("begun")))
    visitors.leave("a")
    assert not any(tmp_path.iterdir())


def test_a_file_of_an_epoch_that_another_model_learnt_is_refused(folder: Path, tmp_path: Path):
    visitor = Visitors(tmp_path).of("a")
    visitor.ask()
    asked = wanted(folder, embeds=str(epoch(folder, 1, "medium")))
    with pytest.raises(UsageError, match=r"learnt with musicgen-medium.* to musicgen-small"):
        next(music.make(asked, visitor, Room(), lambda part, what: None))
    assert not visitor.pieces


def open_tab(browser: "Browser", url: str, tab: str = "Generate") -> "Page":
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(url)
    page.get_by_role("tab", name=tab).click()
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


def choose(page: "Page", option: str) -> None:
    page.get_by_label("Learned embeddings").first.click()
    page.get_by_role("option", name=option).click()


def generate(page: "Page", prompt: str) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    for label, value in (("Length (s)", "1"), ("Pieces", "1")):
        box = page.get_by_label(f"number input for {label}")
        box.fill(value)
        box.press("Tab")
    page.get_by_role("button", name="Generate", exact=True).click()


def test_two_people_make_music_and_neither_sees_the_others(
    browser: "Browser", url: str, folder: Path
):
    one, other = open_tab(browser, url), open_tab(browser, url)
    # What was learnt since the page was opened is there after a refresh.
    late = folder / "embeds" / "late.safetensors"
    concepts_page.write_learnt(late, {"late": 2}, "musicgen-small", concepts_page.revision(folder))
    one.get_by_role("button", name="Refresh learned embeddings").click()
    choose(one, "late (<late>)")
    one.get_by_label("Prompt", exact=True).fill("a song ")
    one.get_by_role("button", name="<late>").click()
    assert one.get_by_label("Prompt", exact=True).input_value() == "a song <late>"
    generate(one, one.get_by_label("Prompt", exact=True).input_value())
    generate(other, "quiet drums")
    players = [page.locator(".piece audio") for page in (one, other)]
    addresses = [each.first.get_attribute("src", timeout=60_000) for each in players]
    assert [each.count() for each in players] == [1, 1]
    assert "quiet" not in one.content()
    assert "late" not in other.locator("#players").inner_html()

    # It is heard, and what is downloaded is it.
    one.evaluate("document.querySelector('.piece audio').play()")
    one.wait_for_function("document.querySelector('.piece audio').currentTime > 0.05")
    with one.expect_download() as download:
        one.get_by_role("link", name="Download").click()
    samples, rate_hz = soundfile.read(download.value.path())
    assert (len(samples), rate_hz) == (32_000, 32_000)
    assert np.abs(samples).max() > 0.01
    with urlopen(f"{url}{addresses[1]}") as answer:
        others, _ = soundfile.read(io.BytesIO(answer.read()))
    assert (samples != others).any()

    # What is left is gone.
    one.context.close()
    assert wait_for_status(url, str(addresses[0]), 404) == 404
    assert status(url, str(addresses[1])) == 200
    other.context.close()


def test_what_cannot_be_is_said_in_a_sentence(browser: "Browser", url: str):
    page = open_tab(browser, url)
    said = page.locator("#music-status [role=alert]")
    generate(page, "<8bit>")
    said.filter(has_text="no learned embeddings are chosen").wait_for()
    choose(page, "earlier-musicgen-small/embeds/epoch-0001")
    page.get_by_role("button", name="<pads>").wait_for()
    generate(page, "<8bti>")
    said.filter(has_text="(did you mean <8bit>?)").wait_for()
    generate(page, "")
    said.filter(has_text="an empty prompt describes no music").wait_for()
    assert page.locator(".piece").count() == 0
    page.context.close()


def status(url: str, path: str) -> int:
    """Status of an answer to a path that is sent as it is, dots and all."""
    connection = HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", path)
    return connection.getresponse().status


def wait_for_status(url: str, path: str, expected: int) -> int:
    import time

    deadline = time.monotonic() + 60
    while status(url, path) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return status(url, path)


def test_nothing_else_is_served(url: str, folder: Path):
    secret = folder / "embeds" / "secret.txt"
    secret.write_text("mine")
    outside = [
        f"/gradio_api/file={secret}",
        f"/gradio_api/file={folder}/dataset/metadata_train.json",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd",
        "/music/any/..%2f..%2fetc%2fpasswd",
        "/music/../../../etc/passwd",
        f"/music/any/{secret.name}",
        f"/music/{folder}/{secret.name}",
    ]
    answered = {path: status(url, path) for path in outside}
    assert {path for path, answer in answered.items() if answer not in (403, 404)} == set()


def test_a_training_from_its_start_to_music(browser: "Browser", url: str, folder: Path):
    one, other = (open_tab(browser, url, "Train") for _ in range(2))
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
    # The generator of the tests before has left the memory to it.
    assert not adapters._LOADED
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
    choose(one, f"{run[0].name}/embeds/epoch-0002")
    one.get_by_role("button", name="<8bit>").click()
    generate(one, one.get_by_label("Prompt", exact=True).input_value())
    one.locator(".piece audio").wait_for(timeout=60_000)
    with one.expect_download() as download:
        one.get_by_role("link", name="Download").click()
    samples, _ = soundfile.read(download.value.path())
    assert np.abs(samples).max() > 0.01
