import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from examples.chat_server import Answer, ChatServer, chat_server, completion, failure
from models.llm import LlmSettings
from tasks.captions.compose import compose
from tasks.captions.facts import Facts
from tasks.captions.rewrite_captions import STEP, RewriteConfig
from tasks.captions.track import CaptionTrack
from tasks.step import Row, TrackError, item_digest

FACTS = Facts(
    genres=("Rock",), moods=("energetic",), instruments=("guitar",), key="A minor", tempo_bpm=113.0
)


@dataclass(frozen=True)
class LlmOnly:
    """The one tool that the step reaches for."""

    llm: LlmSettings | None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as state:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", state.address)
        yield state


@pytest.fixture
def tools(tmp_path: Path) -> LlmOnly:
    return LlmOnly(LlmSettings(tmp_path / "cache", concurrency=1, max_retries=0))


def track(name: str, facts: Facts = FACTS, count: int = 4) -> CaptionTrack:
    captions = compose(facts, name, count)
    return CaptionTrack(
        name,
        f"{name}.mp3",
        facts=facts.as_row(),
        captions=tuple(caption.text for caption in captions),
        styles=tuple(caption.style for caption in captions),
    )


def run(tracks: Sequence[CaptionTrack], tools: LlmOnly) -> list[Row | TrackError]:
    return STEP.run(tracks, {}, RewriteConfig(), tools)


def says(*captions: str) -> Answer:
    return completion(json.dumps({"captions": captions}))


def asked(server: ChatServer, number: int = 0) -> dict[str, Any]:
    question: dict[str, Any] = json.loads(server.requests[number]["messages"][1]["content"])
    return question


def test_rewrites_all_captions_of_each_track(server: ChatServer, tools: LlmOnly) -> None:
    tracks = [track("a"), track("b", Facts(genres=("Jazz",)), count=2)]
    rows = run(tracks, tools)
    assert rows == [
        {
            "captions": [f"Dreamy {text}" for text in each.captions],
            "refused": [None] * len(each.captions),
            "llm_model": "gpt-4o-mini-2024-07-18",
        }
        for each in tracks
    ]
    assert "40 words" in server.requests[0]["messages"][0]["content"]
    assert asked(server) == {
        "facts": {
            "genres": ["Rock"],
            "moods": ["energetic"],
            "instruments": ["guitar"],
            "key": "A minor",
            "tempo_bpm": 113.0,
        },
        "styles": ["writing", "summary", "paraphrase", "attributes"],
        "descriptions": list(tracks[0].captions),
    }
    # From the cache, in another order: the same rows, without a request.
    assert run(tracks[::-1], tools) == rows[::-1]
    assert len(server.requests) == 2


def test_what_the_facts_do_not_support_is_refused(server: ChatServer, tools: LlmOnly) -> None:
    server.script = [
        says(
            "Guitars drive this energetic rock anthem at 140 BPM.",
            "Rock in C major",
            "A lively rock number with guitar and saxophone",
            "A brisk piece of jazz",
        )
    ]
    one = track("a")
    [row] = run([one], tools)
    assert isinstance(row, dict)
    assert row["captions"] == list(one.captions)
    assert row["refused"] == [
        "it states 140 BPM, and the tempo is 113 BPM",
        "it states 'C major', and the key is A minor",
        "it names 'saxophone', which is no instrument of the track",
        "it names 'jazz', which is no genre of the track",
    ]


def test_refused_captions_take_no_others_with_them(server: ChatServer, tools: LlmOnly) -> None:
    server.script = [says("A rousing rock song", "With a cello", "Rock!", "rock")]
    one = track("a")
    [row] = run([one], tools)
    assert isinstance(row, dict)
    assert row["captions"] == ["A rousing rock song", one.captions[1], "Rock!", one.captions[3]]
    assert row["refused"][0] is None
    assert row["refused"][2] is None
    assert row["refused"][3] == "it repeats another caption"


def test_captions_of_a_track_stay_distinct(server: ChatServer, tools: LlmOnly) -> None:
    one = track("a")
    # The second is refused, so that its composed caption stands, which the first repeats.
    server.script = [says(one.captions[1], "With a cello", "Rock in A minor", "Guitar rock")]
    [row] = run([one], tools)
    assert isinstance(row, dict)
    assert len({text.casefold() for text in row["captions"]}) == 4
    assert row["captions"][0] == one.captions[0]


def test_tracks_without_captions_ask_nothing(server: ChatServer, tools: LlmOnly) -> None:
    nothing, something = run([track("a", Facts()), track("b")], tools)
    assert nothing == {"captions": [], "refused": [], "llm_model": "gpt-4o-mini"}
    assert isinstance(something, dict)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failure(429, "slow down"), "llm-rate-limited"),
        (failure(500, "oops"), "llm-server-error"),
        (failure(401, "no such key"), "llm-unauthorized"),
    ],
)
def test_a_failing_track_takes_no_other_with_it(
    server: ChatServer, tools: LlmOnly, answer: Answer, reason: str
) -> None:
    server.script = [answer]
    first, second = run([track("a"), track("b")], tools)
    assert isinstance(first, TrackError)
    assert first.reason == reason
    is_fatal = reason == "llm-unauthorized"
    assert isinstance(second, TrackError) == is_fatal
    # What failed is asked again at the next run.
    again, _ = run([track("a"), track("b")], tools)
    assert isinstance(again, dict)


@pytest.mark.parametrize("reply", ["no JSON", '{"captions": ["one"]}', '{"prompts": ["a"]}'])
def test_an_unusable_reply_is_a_reason(server: ChatServer, tools: LlmOnly, reply: str) -> None:
    server.script = [completion(reply)] * 2
    [row] = run([track("a")], tools)
    assert isinstance(row, TrackError)
    assert row.reason == "llm-malformed-reply"


def test_an_exhausted_budget_is_a_reason_per_track(server: ChatServer, tmp_path: Path) -> None:
    server.reply = lambda request: completion(
        json.dumps({"captions": ["Rock", "rocking", "rock on", "rock it"]}), tokens=(10**6, 0)
    )
    settings = LlmSettings(tmp_path / "cache", concurrency=1, budget_usd=0.2)
    tracks = [track(str(bpm), replace(FACTS, tempo_bpm=float(bpm))) for bpm in range(90, 94)]
    rows = run(tracks, LlmOnly(settings))
    assert [row.reason if isinstance(row, TrackError) else "" for row in rows] == [
        "",
        "",
        "llm-budget",
        "llm-budget",
    ]


def test_a_row_depends_on_facts_and_captions() -> None:
    one = track("a")
    other = CaptionTrack("a", "b.mp3", facts=one.facts, captions=one.captions, styles=one.styles)
    changed = CaptionTrack(
        "a", "a.mp3", facts=Facts(key="C").as_row(), captions=one.captions, styles=one.styles
    )
    assert item_digest(one, STEP.attributes) == item_digest(other, STEP.attributes)
    assert item_digest(one, STEP.attributes) != item_digest(changed, STEP.attributes)


def test_without_settings_it_is_a_bug() -> None:
    with pytest.raises(ValueError, match="llm"):
        run([track("a")], LlmOnly(None))
