"""The tab Generate of the page of textual inversion: what is heard, by whom, and what is said."""

import io
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile

from apps.concepts import learnt, music
from apps.concepts.room import Room
from apps.concepts.visitors import Visitors
from flows.cli import UsageError
from flows.generate_music_params import GenerateMusicParams
from tests.apps import concepts_page

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
    with concepts_page.served(folder) as address:
        yield address


def epoch(folder: Path, number: int, model: str = "small") -> Path:
    return folder / f"embeds/earlier-musicgen-{model}/embeds/epoch-{number:04d}.safetensors"


def wanted(folder: Path, **values: Any) -> GenerateMusicParams:
    given = {"prompt": "<8bit>", "embeds": str(epoch(folder, 1)), "length": 0.2, **values}
    return GenerateMusicParams(models_dir=str(folder / "models"), device="cpu", **given)


def test_what_was_learnt_is_found_and_what_is_none_is_not(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "embeds", tmp_path / "embeds")
    (tmp_path / "embeds" / "notes.safetensors").write_text("no tensors")
    (tmp_path / "embeds" / ".writing.safetensors").write_bytes(epoch(folder, 1).read_bytes())
    found = {each.name: each for each in learnt.found(tmp_path / "embeds")}
    assert found.keys() == {
        "earlier-musicgen-small/embeds/epoch-0001",
        "earlier-musicgen-small/embeds/epoch-0002",
        "earlier-musicgen-medium/embeds/epoch-0001",
    }
    newest = found["earlier-musicgen-small/embeds/epoch-0002"]
    assert (newest.concepts, newest.model) == (("8bit", "pads"), "musicgen-small")


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


def open_tab(browser: "Browser", url: str) -> "Page":
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(url)
    page.get_by_role("tab", name="Generate").click()
    return page


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
    concepts_page.write_learnt(late, {"late": 2}, "musicgen-small", folder / "models")
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
