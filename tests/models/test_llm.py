import dataclasses
import json
import logging
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.chat_server import Answer, ChatServer, chat_server, completion, failure
from models.llm import LlmError, LlmSettings, check_access, complete, spent_usd
from models.llm_cache import Reply, ReplyCache
from models.llm_request import ChatRequest

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as state:
        state.reply = lambda request: completion(request["messages"][1]["content"].upper())
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", state.address)
        yield state


@pytest.fixture
def settings(tmp_path: Path) -> LlmSettings:
    return LlmSettings(tmp_path / "folder" / ".prompt_cache", timeout_seconds=60.0, max_retries=2)


def ask(user: str, model: str = "gpt-4o-mini", temperature: float | None = 0.7) -> ChatRequest:
    return ChatRequest(model, "system", user, max_tokens=100, temperature=temperature)


def anything(request: ChatRequest, text: str) -> None:
    pass


def only_error(results: list[Reply | LlmError]) -> LlmError:
    [error] = results
    assert isinstance(error, LlmError)
    return error


def test_asks_once_and_never_again(server: ChatServer, settings: LlmSettings) -> None:
    requests = [ask("a"), ask("b"), ask("a")]
    expected = [Reply(text, "gpt-4o-mini-2024-07-18") for text in ("A", "B", "A")]
    assert complete(requests, settings, anything) == expected
    assert len(server.requests) == 2
    assert server.requests[0]["model"] == "gpt-4o-mini"
    assert server.requests[0]["temperature"] == 0.7
    assert server.requests[0]["messages"][0] == {"role": "system", "content": "system"}
    assert server.keys == {f"Bearer {KEY}"}
    assert complete(requests, settings, anything) == expected
    assert len(server.requests) == 2
    # Another model, temperature or text is another request.
    complete([ask("a", model="gpt-4o"), ask("a", temperature=None), ask("c")], settings, anything)
    assert len(server.requests) == 5


def test_cached_replies_need_no_key(
    server: ChatServer, settings: LlmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete([ask("a")], settings, anything)
    monkeypatch.delenv("OPENAI_API_KEY")
    first, second = complete([ask("a"), ask("b")], settings, anything)
    assert isinstance(first, Reply)
    assert isinstance(second, LlmError)
    assert second.reason == "llm-no-key"


def test_waits_as_long_as_retry_after_says(server: ChatServer, settings: LlmSettings) -> None:
    server.script = [failure(429, "slow down", "rate_limit_exceeded", Retry_After="1.5")]
    assert isinstance(complete([ask("a")], settings, anything)[0], Reply)
    assert len(server.requests) == 2
    # The client's own first pause would be at most 0.5 s.
    assert server.times[1] - server.times[0] >= 1.45


def test_backs_off_longer_each_time_on_server_errors(
    server: ChatServer, settings: LlmSettings
) -> None:
    server.script = [failure(500, "oops"), failure(503, "oops")]
    assert isinstance(complete([ask("a")], settings, anything)[0], Reply)
    first, second = (b - a for a, b in zip(server.times, server.times[1:], strict=False))
    # Half a second and a whole one, less a quarter at most; a busy machine adds to both.
    assert first >= 0.37
    assert second >= 0.74


def test_errors_that_stay_are_named_after_the_last_retry(
    server: ChatServer, tmp_path: Path
) -> None:
    settings = LlmSettings(tmp_path / "cache", max_retries=1)
    for status, code, reason in (
        (429, None, "llm-rate-limited"),
        (429, "insufficient_quota", "llm-quota"),
        (500, None, "llm-server-error"),
    ):
        server.requests.clear()
        server.script = [failure(status, "no", code, Retry_After="0.01")] * 2
        assert only_error(complete([ask("a")], settings, anything)).reason == reason
        assert len(server.requests) == 2
    assert spent_usd(settings) == 0.0


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "llm-rejected"), (401, "llm-unauthorized"), (403, "llm-unauthorized"),
     (404, "llm-unknown-model")],
)  # fmt: skip
def test_refusals_are_not_retried(
    server: ChatServer, settings: LlmSettings, status: int, reason: str
) -> None:
    server.script = [failure(status, "no")]
    assert only_error(complete([ask("a")], settings, anything)).reason == reason
    assert len(server.requests) == 1


def test_an_invalid_key_stops_the_batch_and_stays_secret(
    server: ChatServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.reply = lambda request: failure(401, f"Incorrect API key provided: {KEY}.\nSee docs.")
    settings = LlmSettings(tmp_path / "cache", concurrency=2)
    results = complete([ask(str(i)) for i in range(20)], settings, anything)
    assert {r.reason for r in results if isinstance(r, LlmError)} == {"llm-unauthorized"}
    assert len(results) == 20
    assert len(server.requests) <= 2
    error = results[0]
    assert isinstance(error, LlmError)
    assert "OPENAI_API_KEY" in error.message
    assert "\n" not in error.message
    assert KEY not in error.message
    assert error.__cause__ is None
    assert KEY not in caplog.text
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_a_key_that_no_header_can_hold(
    server: ChatServer, settings: LlmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert isinstance(complete([ask("a")], settings, anything)[0], Reply)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX-Other: y")
    error = only_error(complete([ask("b")], settings, anything))
    assert error.reason == "llm-no-key"
    assert KEY not in error.message


def test_a_body_that_is_not_json(server: ChatServer, settings: LlmSettings) -> None:
    for body in (b"<html>gateway</html>", b'{"choices": [{"mess', b'"text"', b"{}", b"[]"):
        server.script = [Answer(body=body)] * 3
        error = only_error(complete([ask("a")], settings, anything))
        assert error.reason == "llm-malformed-reply", body
        server.script = []
    assert isinstance(complete([ask("a")], settings, anything)[0], Reply)


def test_a_useless_reply_is_asked_for_again_and_never_cached(
    server: ChatServer, settings: LlmSettings
) -> None:
    def check(request: ChatRequest, text: str) -> None:
        if text == "useless":
            raise ValueError("it is useless")

    server.script = [completion("useless")]
    assert complete([ask("a")], settings, check)[0] == Reply("A", "gpt-4o-mini-2024-07-18")
    server.script = [completion("useless")] * 2
    error = only_error(complete([ask("b")], settings, check))
    assert error.reason == "llm-malformed-reply"
    assert "it is useless" in error.message
    assert isinstance(complete([ask("b")], settings, check)[0], Reply)


REFUSALS = [
    ("response_format", "'response_format.type' must be 'json_schema' or 'text'"),
    ("temperature", "Unsupported value: 'temperature' does not support 0.7 with this model. Only "
     "the default (1) value is supported."),
    ("max_completion_tokens", "Unrecognized request argument supplied: max_completion_tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "said"), REFUSALS)
@pytest.mark.parametrize("form", ["openai", "bare", "detail", "with status 200"])
def test_what_a_server_refuses_is_left_out_from_then_on(
    server: ChatServer, settings: LlmSettings, option: str, said: str, form: str
) -> None:
    bodies = {"openai": {"error": {"message": said}}, "detail": {"detail": [{"msg": said}]}}
    body = json.dumps(bodies.get(form, {"error": said})).encode()
    status = 200 if form == "with status 200" else 422 if form == "detail" else 400

    def reply(request: dict[str, object]) -> Answer:
        return Answer(status, body) if option in request else completion("fine")

    server.reply = reply
    requests = [ask(str(i)) for i in range(3)]
    one_by_one = dataclasses.replace(settings, concurrency=1)
    replies = complete(requests, one_by_one, anything)
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == ["fine"] * 3
    assert [option in request for request in server.requests] == [True, False, False, False]
    others = {"response_format", "temperature", "max_completion_tokens"} - {option}
    assert others <= server.requests[-1].keys()
    assert ("max_tokens" in server.requests[-1]) == (option == "max_completion_tokens")


def test_a_server_that_refuses_everything_is_asked_with_nothing(
    server: ChatServer, settings: LlmSettings
) -> None:
    def reply(request: dict[str, Any]) -> Answer:
        for option, said in REFUSALS:
            if option in request:
                return failure(400, said)
        if request["messages"][0]["role"] == "system":
            return failure(400, "System role not supported")
        return completion(request["messages"][0]["content"])

    server.reply = reply
    assert complete([ask("a")], settings, anything) == [
        Reply("system\n\na", "gpt-4o-mini-2024-07-18")
    ]


@pytest.mark.parametrize(
    "said",
    ["temperature must be between 0 and 0.5", "max_completion_tokens is too large: 100", "no"],
)
def test_a_value_that_is_out_of_range_is_a_failure_that_quotes_the_server(
    server: ChatServer, settings: LlmSettings, said: str
) -> None:
    server.reply = lambda request: failure(400, said)
    error = only_error(complete([ask("a")], settings, anything))
    assert (error.reason, len(server.requests)) == ("llm-rejected", 1)
    assert f"({said})" in error.message


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (Answer(500, b"<html><head><style>x{}</style></head><body><h1>502 Bad Gateway</h1>\n"
                b"nginx &amp; co</body></html>"), "llm-server-error", "502 Bad Gateway nginx & co"),
        (Answer(429, b'{"error": "slow\\ndown"}'), "llm-rate-limited", "slow down"),
        (Answer(200, b'{"error": {"message": "Provider returned error", "code": 502}}'),
         "llm-server-error", "Provider returned error"),
        (Answer(200, b'{"choices": []}'), "llm-malformed-reply", "no choices"),
        (Answer(200, b"\xff\xfe{"), "llm-malformed-reply", "not JSON"),
        (Answer(200, b"[" * 100_000), "llm-malformed-reply", "not JSON"),
        (completion(None, finish_reason="content_filter"), "llm-refused", "content filter"),
        (completion("  "), "llm-malformed-reply", "empty answer"),
        (completion("\ud83d"), "llm-malformed-reply", "half a character"),
        (failure(400, "bad \ud83d value"), "llm-rejected", "bad ? value"),
    ],
)  # fmt: skip
def test_the_failure_holds_what_the_server_said(
    server: ChatServer, tmp_path: Path, answer: Answer, reason: str, said: str
) -> None:
    server.reply = lambda request: answer
    settings = LlmSettings(tmp_path / "cache", max_retries=0)
    error = only_error(complete([ask("a")], settings, anything))
    assert error.reason == reason
    assert said in error.message
    error.message.encode()
    assert "<" not in error.message
    assert "\n" not in error.message
    server.reply = lambda request: completion("good")
    assert isinstance(complete([ask("a")], settings, anything)[0], Reply)


def test_secrets_that_a_server_echoes_are_hidden(server: ChatServer, settings: LlmSettings) -> None:
    echo = f"key {KEY}, header Bearer abc.def-123, url https://me:pa55@host/v1?api_key=s3cret&x=1"
    for answer in (failure(400, echo), Answer(400, f"<html><body>{echo}</body></html>".encode())):
        server.script = [answer]
        message = only_error(complete([ask("a")], settings, anything)).message
        for secret in (KEY, "abc.def-123", "pa55", "s3cret"):
            assert secret not in message


def test_a_short_key_of_a_local_server_garbles_no_sentence(
    server: ChatServer, settings: LlmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    server.script = [failure(400, "context exceeded")]
    assert "(context exceeded)" in only_error(complete([ask("a")], settings, anything)).message


def test_a_bad_reply_in_the_cache_is_asked_for_anew(
    server: ChatServer, settings: LlmSettings
) -> None:
    def check(request: ChatRequest, text: str) -> None:
        if text == "poison":
            raise ValueError("poison")

    with ReplyCache(settings.cache_path) as cache:
        cache.put(ask("a").key, Reply("poison", "m"))
        cache.put(ask("b").key, Reply("good", "m"))
    database = sqlite3.connect(settings.cache_path)
    with database:
        database.execute(
            "INSERT INTO replies VALUES (?, 'm', CAST(x'edA0bd' AS TEXT))", (ask("c").key,)
        )
    database.close()
    replies = complete([ask("a"), ask("b"), ask("c")], settings, check)
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == ["A", "good", "C"]
    assert len(server.requests) == 2
    assert complete([ask("a"), ask("c")], settings, check) == [replies[0], replies[2]]
    assert len(server.requests) == 2


def test_content_in_parts_and_a_strange_model_name(
    server: ChatServer, settings: LlmSettings
) -> None:
    body = {
        "model": "m\ud83d",
        "choices": [{"message": {"content": [{"type": "text", "text": "A"}, {"text": "B"}]}}],
        "usage": {"prompt_tokens": "many"},
    }
    server.script = [Answer(body=json.dumps(body).encode())]
    assert complete([ask("a")], settings, anything) == [Reply("AB", "gpt-4o-mini")]


@pytest.mark.parametrize("address", ["http://[::1", "http://host:port/v1", "host/v1", "ftp://a/v1"])
def test_an_address_that_is_none(
    settings: LlmSettings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    error = only_error(complete([ask("a")], dataclasses.replace(settings, max_retries=0), anything))
    assert error.reason == "llm-unreachable"
    assert "OPENAI_BASE_URL" in error.message


def test_silence_and_cut_replies(server: ChatServer, settings: LlmSettings) -> None:
    server.script = [completion(None)]
    assert only_error(complete([ask("a")], settings, anything)).reason == "llm-refused"
    server.script = [completion("half", finish_reason="length")] * 2
    error = only_error(complete([ask("a")], settings, anything))
    assert "cut off after 100 tokens" in error.message


def test_a_slow_or_absent_server(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = LlmSettings(tmp_path / "slow", timeout_seconds=0.2, max_retries=0)
    server.script = [Answer(delay_seconds=0.6)]
    assert only_error(complete([ask("a")], slow, anything)).reason == "llm-timeout"
    # It may have been billed, so the reservation stands.
    assert spent_usd(slow) > 0.0
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        absent = LlmSettings(tmp_path / "absent", max_retries=0)
        error = only_error(complete([ask("a")], absent, anything))
    assert error.reason == "llm-unreachable"


def test_never_more_requests_at_once_than_allowed(server: ChatServer, tmp_path: Path) -> None:
    def slow(request: dict[str, object]) -> Answer:
        answer = completion("x")
        answer.delay_seconds = 0.05
        return answer

    server.reply = slow
    settings = LlmSettings(tmp_path / "cache", concurrency=4)
    complete([ask(str(i)) for i in range(16)], settings, anything)
    assert server.most_at_once == 4


def test_the_budget_ends_the_requests_and_holds_over_runs(
    server: ChatServer, tmp_path: Path
) -> None:
    # 1,000,000 prompt tokens of gpt-4o-mini cost 0.15 USD, 100,000 output tokens 0.06.
    server.reply = lambda request: completion("x", tokens=(1_000_000, 100_000))
    settings = LlmSettings(tmp_path / "cache", concurrency=1, budget_usd=0.50)
    results = complete([ask(str(i)) for i in range(5)], settings, anything)
    assert [isinstance(result, Reply) for result in results] == [True, True, True, False, False]
    assert spent_usd(settings) == pytest.approx(3 * 0.21)
    assert {r.reason for r in results if isinstance(r, LlmError)} == {"llm-budget"}
    again = complete([ask(str(i)) for i in range(5)], settings, anything)
    assert [isinstance(result, Reply) for result in again] == [True, True, True, False, False]
    assert len(server.requests) == 3
    raised = LlmSettings(settings.cache_path, concurrency=1, budget_usd=2.0)
    complete([ask(str(i)) for i in range(5)], raised, anything)
    assert len(server.requests) == 5


def test_a_budget_needs_a_price(server: ChatServer, tmp_path: Path) -> None:
    settings = LlmSettings(tmp_path / "cache", budget_usd=1.0)
    error = only_error(complete([ask("a", model="my-model")], settings, anything))
    assert error.reason == "llm-price-unknown"
    assert not server.requests
    dated = complete([ask("a", model="gpt-4o-mini-2024-07-18")], settings, anything)
    assert isinstance(dated[0], Reply)
    unlimited = LlmSettings(tmp_path / "cache")
    assert isinstance(complete([ask("a", model="my-model")], unlimited, anything)[0], Reply)


def test_a_cache_that_is_no_cache(server: ChatServer, tmp_path: Path) -> None:
    other = tmp_path / ".prompt_cache.json"
    other.write_text('{"prompts": "of another program"}' * 100)
    error = only_error(complete([ask("a")], LlmSettings(other), anything))
    assert error.reason == "llm-cache-unusable"
    assert "--llm_cache" in error.message
    assert only_error(complete([ask("a")], LlmSettings(tmp_path), anything)).reason == error.reason
    assert other.read_text().startswith('{"prompts"')


def test_access_is_checked_ahead(
    server: ChatServer, settings: LlmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_access("gpt-4o-mini", settings)
    server.script = [failure(404, "no such route")]
    check_access("gpt-4o-mini", settings)
    server.script = [failure(401, f"bad key {KEY}")]
    with pytest.raises(LlmError, match="OPENAI_API_KEY") as error:
        check_access("gpt-4o-mini", settings)
    assert KEY not in str(error.value)
    with pytest.raises(LlmError, match="price"):
        check_access("my-model", LlmSettings(settings.cache_path, budget_usd=1.0))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LlmError, match="not set"):
        check_access("gpt-4o-mini", settings)
    assert not server.requests
