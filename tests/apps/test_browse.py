"""The page of a dataset in a real browser: filtered, heard, corrected, built again."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pyarrow.parquet as pq
import pytest
import soundfile
from playwright.sync_api import expect

from apps import serving
from apps.browse import BrowseParams, opened, style
from apps.browse_routes import routes
from examples.songs import make_song, write_song
from flows import build_dataset
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from tasks.engine.plan import plan, run_here

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = '<img src=x onerror="window.hurt=1"> {{this}} ${7*7}'
"""A title that no template and no browser may take for anything but a title."""

STEPS = ["tempo", "dominant_key", "section_type", "prompt", "vocals_path", "f0_contour", "lyrics"]


@dataclass
class Site:
    """A dataset of two songs, and the page that shows it."""

    folder: Path
    url: str
    build: Callable[[], Any]

    @property
    def ids(self) -> list[str]:
        """Of the tracks, in the order of the dataset."""
        table = pq.read_table(self.folder / "X" / "tracks.parquet", columns=["track_id"])
        ids: list[str] = table["track_id"].to_pylist()
        return ids


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browse")
    for seed in (1, 2):
        song = make_song(seed, seconds=6, structure=("verse",), tempo_bpm=60.0 * seed + 20)
        write_song(song, folder / "songs", f"song-{seed}", format="flac")
    (folder / "songs" / "notes.txt").write_text("lyrics that nobody may read")
    titles = {"song-2.flac": {"title": HOSTILE}}
    (folder / "titles.json").write_bytes(orjson.dumps(titles))
    params = BuildDatasetParams(
        **{"audio_dir": str(folder / "songs"), "output": folder / "X.json", "profile": "offline"},
        **{"separator": "repet", "beat_method": "onsets", "pitch": {"method": "pyin"}},
        **{"steps": STEPS, "metadata_mapping": folder / "titles.json"},
    )

    def build() -> dict[str, Any]:
        survey = build_dataset.survey(params, build_dataset.check(params))
        tables = params.results_place.below("steps")
        made = plan(params.stages(), survey.tracks, tables, params.tools(), run_id="", workers=1)
        run_here(made)
        content = build_dataset.conclude(params, made.results, survey).content
        return content | {"computed": made.pending.total()}

    build()
    serving.quiet()
    from apps.browse_page import page

    dataset = opened(BrowseParams(dataset=folder / "X.json"))
    css, head = style()
    with serving.started(
        page(dataset), port=None, css=css, head=head, routes=routes(dataset)
    ) as url:
        yield Site(folder, url, build)


@pytest.fixture
def visit(browser: "Browser", site: Site) -> Iterator[Callable[[int], "Page"]]:
    """Opens the page as a visitor of their own; nothing may come from elsewhere, or go wrong."""
    asked: list[str] = []
    wrong: list[str] = []
    contexts = []

    def opened_page(width: int = 1280) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(site.url)
        page.get_by_text("2 rows, page 1 of 1").wait_for()
        return page

    yield opened_page
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((site.url, "data:", "blob:"))] == []
    assert wrong == []


SETTLED_MS = 500
"""After which a part of the page that was opened has been given the values that it had: they
overwrite what is typed before. Nobody types so soon, but a test does."""


def filled(page: "Page", label: str, text: str) -> None:
    box = page.get_by_label(label, exact=True)
    for _ in range(5):
        box.fill(text)
        page.wait_for_timeout(SETTLED_MS)
        if box.input_value() == text:
            break
    expect(box).to_have_value(text)
    box.press("Enter")


def test_filter_play_correct_rebuild_and_see_it(site: Site, visit: Callable[..., "Page"]):
    page = visit()
    rows = page.locator("#rows tbody tr")
    filled(page, "Value", "song-2")
    page.get_by_text("1 row, page 1 of 1").wait_for()
    assert rows.count() == 1
    assert HOSTILE in rows.inner_text()

    page.get_by_role("button", name="Filter by SQL, choose columns").click()
    # The form's condition is shown as SQL.
    typed = page.get_by_label("Condition in SQL", exact=True)
    expect(typed).to_have_value(re.compile("song-2"))
    filled(page, "Condition in SQL", "tempoo > 1")
    page.get_by_text('Referenced column "tempoo" not found').wait_for()
    page.get_by_label("Value", exact=True).fill("")
    typed.fill("source_id = 'song-1'")
    # The button takes what was typed as SQL where the form asks nothing.
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_text("1 row, page 1 of 1").wait_for()
    assert typed.input_value() == "source_id = 'song-1'"
    page.locator("#rows").get_by_text("song-1").click()

    page.locator(".player[data-drawn=mix]").wait_for()
    cursor = "document.querySelector('.player-cursor').style.left"
    before = page.evaluate(cursor)
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.3")
    page.wait_for_function(f"parseFloat({cursor}) > parseFloat('{before}') + 3")
    page.get_by_role("button", name="Vocals").click()
    page.locator(".player[data-drawn=vocals]").wait_for()
    page.wait_for_function(
        "(a => a.currentSrc.endsWith('/vocals') && !a.paused && a.currentTime > 0.3)"
        "(document.querySelector('audio'))"
    )

    filled(page, "Right value", "-3")
    page.get_by_role("button", name="Correct").click()
    page.get_by_text("is no tempo").wait_for()
    filled(page, "Right value", "128.5")
    page.get_by_role("button", name="Correct").click()
    page.locator("#corrections").get_by_text("tempo: 128.5").wait_for()

    content = site.build()
    assert (content["computed"], content["corrections"]["values"]) == (0, {"tempo": 1})
    page.get_by_role("button", name="Show all").click()
    page.locator("#rows").get_by_text("128.5").wait_for()
    corrected = page.locator("#rows tbody tr").first.inner_text().split()
    assert corrected[-1] == "tempo"
    segments = pq.read_table(site.folder / "X" / "segments.parquet").to_pylist()
    assert "128 BPM" in segments[0]["prompt"], "half to even"


def test_two_visitors_do_not_see_each_other(site: Site, visit: Callable[..., "Page"]):
    one, other = visit(), visit(390)
    filled(one, "Value", "song-2")
    one.get_by_text("1 row, page 1 of 1").wait_for()
    one.locator("#rows").get_by_text("song-2").click()
    one.locator(".player[data-drawn]").wait_for()
    assert one.evaluate("window.hurt") is None
    assert HOSTILE in one.locator("#track h3").inner_text()

    assert other.locator("#rows tbody tr").count() == 2
    other.locator("#rows").get_by_text("song-1").click()
    other.locator(".player[data-drawn]").wait_for()
    assert other.evaluate("document.documentElement.scrollWidth") == 390
    other.get_by_role("button", name="Mark wrong").click()
    other.locator("#corrections").get_by_text("tempo is wrong").wait_for()
    assert one.locator("#corrections").inner_text().strip() == ""
    assert one.locator(".player").get_attribute("data-track") == site.ids[1]
    # What one dropped, the other is told of when the track is opened.
    one.get_by_role("button", name="Drop track").click()
    one.get_by_role("button", name="Keep track").wait_for()
    other.locator("#rows").get_by_text("song-2").click()
    other.get_by_text("the track is left out").wait_for()
    other.get_by_role("button", name="Keep track").click()
    other.get_by_role("button", name="Drop track").wait_for()


def test_audio_of_the_dataset_is_served_and_no_other_file(site: Site):
    track_id = site.ids[0]
    with httpx.Client(base_url=site.url) as client:
        sound = client.get(f"/audio/{track_id}/mix")
        assert sound.content == (site.folder / "songs" / "song-1.flac").read_bytes()
        part = client.get(f"/audio/{track_id}/mix", headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, sound.content[4:8])
        labels = client.get(f"/track/{track_id}").json()
        assert labels["parts"] == ["mix", "vocals"]
        assert labels["sections"][0][0] == 0.0
        drawn = client.get(f"/picture/{track_id}/mix").json()
        seconds = soundfile.info(site.folder / "songs" / "song-1.flac").duration
        assert drawn["seconds"] == pytest.approx(seconds, abs=0.01)
        for outside in (
            *(f"/audio/{track_id}/notes.txt", "/audio/notes.txt/mix", "/audio/..%2Fsongs/mix"),
            *("/audio/' OR 1=1 --/mix", f"/picture/{track_id}/stems", "/track/none"),
        ):
            assert client.get(outside).status_code == 404, outside
        for path in ("/etc/passwd", site.folder / "songs" / "notes.txt", Path(__file__)):
            assert client.get(f"/gradio_api/file={path}").status_code == 403, path
        assert client.get("/", headers={"Host": "rebound.example"}).status_code == 400


def test_what_cannot_be_opened_is_said_in_one_sentence(site: Site, tmp_path: Path):
    with pytest.raises(UsageError, match="is no dataset"):
        opened(BrowseParams(dataset=tmp_path))
    with pytest.raises(UsageError, match="is not a folder"):
        opened(BrowseParams(dataset=site.folder / "X.json", audio_dir=tmp_path / "none"))
