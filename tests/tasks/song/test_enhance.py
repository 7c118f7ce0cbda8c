import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.chat_server import ChatServer, chat_server, completion, failure
from models.llm import LlmSettings
from tasks.song.enhance import MAX_PROMPTS_PER_REQUEST, STEP, EnhanceConfig
from tasks.step import Recipe, Row, Track, TrackError
from tests.support.keys import key_of

KEY = "sk-test-0123456789abcdef"


@dataclass(frozen=True)
class LlmOnly:
    """The one tool that the step reaches for."""

    llm: LlmSettings | None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as state:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", state.address)
        yield state


@pytest.fixture
def tools(tmp_path: Path) -> LlmOnly:
    return LlmOnly(LlmSettings(tmp_path / ".prompt_cache", concurrency=1, max_retries=0))


def run(
    prompts: list[list[str]], tools: LlmOnly, config: EnhanceConfig | None = None
) -> list[Row | TrackError]:
    tracks = [Track(f"t{i}", f"{i}.mp3") for i in range(len(prompts))]
    rows = [{"prompt": texts} for texts in prompts]
    return STEP.run(tracks, {"prompts": rows}, config or EnhanceConfig(), tools)  # type: ignore[arg-type]


def test_rewrites_each_segment_of_each_track(server: ChatServer, tools: LlmOnly) -> None:
    prompts = [["soft intro", "loud chorus"], ["a verse"]]
    expected = [
        {
            "prompt_enhanced": [f"Dreamy {text}" for text in texts],
            "llm_model": "gpt-4o-mini-2024-07-18",
        }
        for texts in prompts
    ]
    assert run(prompts, tools) == expected
    assert len(server.requests) == 2
    assert server.requests[0]["model"] == "gpt-4o-mini"
    assert "40 words" in server.requests[0]["messages"][0]["content"]
    # From the cache, in another order and batch: the same rows, without a request.
    assert run(prompts[::-1], tools) == expected[::-1]
    assert run([prompts[1]], tools) == expected[1:]
    assert len(server.requests) == 2


def test_long_tracks_take_several_requests(server: ChatServer, tools: LlmOnly) -> None:
    prompts = [f"segment {i}" for i in range(2 * MAX_PROMPTS_PER_REQUEST + 3)]
    [row] = run([prompts], tools)
    assert isinstance(row, dict)
    assert row["prompt_enhanced"] == [f"Dreamy {text}" for text in prompts]
    assert len(server.requests) == 3


def test_a_failing_track_takes_no_other_with_it(server: ChatServer, tools: LlmOnly) -> None:
    server.script = [failure(500, "oops")]
    first, second = run([["a"], ["b"]], tools)
    assert isinstance(first, TrackError)
    assert first.reason == "llm-server-error"
    assert isinstance(second, dict)
    # What failed is asked again at the next run, what worked is not.
    first, second = run([["a"], ["b"]], tools)
    assert isinstance(first, dict)
    assert len(server.requests) == 3


def test_an_exhausted_budget_is_a_reason_per_track(server: ChatServer, tmp_path: Path) -> None:
    server.reply = lambda request: completion('{"prompts": ["x"]}', tokens=(10**6, 0))
    settings = LlmSettings(tmp_path / "cache", concurrency=1, budget_usd=0.2)
    rows = run([[str(i)] for i in range(4)], LlmOnly(settings))
    assert [row.reason if isinstance(row, TrackError) else "" for row in rows] == [
        "",
        "",
        "llm-budget",
        "llm-budget",
    ]


def test_an_invalid_key_is_one_clear_error_without_the_key(
    server: ChatServer, tools: LlmOnly
) -> None:
    server.reply = lambda request: failure(401, f"Incorrect API key provided: {KEY}")
    rows = run([["a"], ["b"], ["c"]], tools)
    assert len(server.requests) == 1
    for row in rows:
        assert isinstance(row, TrackError)
        assert row.reason == "llm-unauthorized"
        assert KEY.encode() not in pickle.dumps(row)


def test_a_wrong_number_of_prompts_is_refused(server: ChatServer, tools: LlmOnly) -> None:
    server.script = [completion('{"prompts": ["only one"]}')] * 2
    [row] = run([["a", "b"]], tools)
    assert isinstance(row, TrackError)
    assert row.reason == "llm-malformed-reply"
    assert "1 prompts for 2 descriptions" in row.message


def test_the_key_of_a_result_has_no_secret_and_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    track = Track("id", "a.mp3")
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    first = key_of(STEP, track, EnhanceConfig(), {"prompts": Recipe("p", ("track_id",))})
    monkeypatch.setenv("OPENAI_API_KEY", "two")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert key_of(STEP, track, EnhanceConfig(), {"prompts": Recipe("p", ("track_id",))}) == first
    assert (
        key_of(
            STEP, track, EnhanceConfig(llm_model="gpt-4o"), {"prompts": Recipe("p", ("track_id",))}
        )
        != first
    )


def test_without_settings_it_is_a_bug() -> None:
    with pytest.raises(ValueError, match="llm"):
        run([["a"]], LlmOnly(None))


def test_half_an_emoji_fails_its_track_alone_and_is_not_cached(
    server: ChatServer, tools: LlmOnly
) -> None:
    server.script = [completion(r'{"prompts": ["nice \ud83d"]}')] * 2
    first, second = run([["a"], ["b"]], tools)
    assert isinstance(first, TrackError)
    assert first.reason == "llm-malformed-reply"
    assert "half a character" in first.message
    assert isinstance(second, dict)
    assert isinstance(run([["a"]], tools)[0], dict)
