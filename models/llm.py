"""Chat completions through the official OpenAI client: cached, paced, within a budget.

The client takes the key from ``OPENAI_API_KEY`` and the server from
``OPENAI_BASE_URL`` in the environment of the worker. The key is read when a request
is made and goes nowhere else. Retries with exponential back-off and jitter on 408,
409, 429, 5xx and lost connections, after ``Retry-After`` where the server sends it,
are the client's own.
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.llm_cache import CacheError, Reply, ReplyCache

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# USD per million tokens (input, output) on OpenAI's price list of 2025.
PRICES_USD: Mapping[str, tuple[float, float]] = {
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4o": (2.50, 10.00),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5": (1.25, 10.00),
}
# English runs at about 4 bytes a token; a reservation had better be too large.
BYTES_PER_TOKEN = 3
# A model that answers with something unusable is asked this often in all.
MAX_ANSWERS = 2
# Errors that every further request would meet as well.
FATAL_REASONS = frozenset(
    {"llm-unauthorized", "llm-unknown-model", "llm-quota", "llm-unreachable", "llm-budget"}
)


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """How language models are reached; none of it changes a result.

    Attributes
    ----------
    cache_path
        SQLite file of replies and spending, on a local disk.
    concurrency
        Requests under way at once, per process.
    budget_usd
        Most money that may be spent over the life of the cache file, all processes and
        runs together; None for no limit. Needs a model whose price is known.
    timeout_seconds
        Per attempt.
    max_retries
        Attempts after the first, for errors that pass.
    """

    cache_path: Path
    concurrency: int = 8
    budget_usd: float | None = None
    timeout_seconds: float = 60.0
    max_retries: int = 6


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request; all of it but `max_tokens` is the key of its reply in the cache."""

    model: str
    system: str
    user: str
    max_tokens: int
    temperature: float | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as the API takes it."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]

    @property
    def key(self) -> str:
        """Digest of model, temperature and messages."""
        parts = json.dumps([self.model, self.temperature, self.messages])
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


class LlmError(Exception):
    """A request without a usable reply: a kebab-case reason, and a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def complete(
    requests: Sequence[ChatRequest],
    settings: LlmSettings,
    check: Callable[[ChatRequest, str], object],
) -> list[Reply | LlmError]:
    """Return the replies to requests, from the cache where they are there.

    Parameters
    ----------
    requests
        What to ask; answered concurrently.
    settings
        Cache, concurrency, budget.
    check
        Raises ValueError for a reply that is of no use. Such replies are not cached.

    Returns
    -------
    list
        Per request, in order, the reply or the error. No error takes others with it,
        save those that all requests share: they are reported without asking again.
    """
    try:
        with ReplyCache(settings.cache_path) as cache:
            found: dict[str, Reply | LlmError] = {
                request.key: reply
                for request in requests
                if (reply := cache.get(request.key)) is not None
            }
            missing = {request.key: request for request in requests if request.key not in found}
            if missing:
                found |= _ask(list(missing.values()), settings, check, cache)
    except CacheError as error:
        return [LlmError("llm-cache-unusable", str(error))] * len(requests)
    return [found[request.key] for request in requests]


def check_access(model: str, settings: LlmSettings) -> None:
    """Find out before a long run whether requests can succeed; costs nothing.

    Raises
    ------
    LlmError
        If there is no key, the server refuses it or cannot be reached, the cache is
        unusable, or there is a budget but no known price.
    """
    try:
        with ReplyCache(settings.cache_path):
            pass
    except CacheError as error:
        raise LlmError("llm-cache-unusable", str(error)) from None
    _check_budget(model, settings)
    key = _api_key()

    async def list_models() -> None:
        async with _client(key, settings) as client:
            await client.with_options(max_retries=1).models.list()

    try:
        asyncio.run(list_models())
    except Exception as error:
        mapped = _mapped(error, key)
        # A server that does not list its models may still answer.
        if mapped.reason in ("llm-unauthorized", "llm-unreachable", "llm-timeout"):
            raise mapped from None


def spent_usd(settings: LlmSettings) -> float:
    """Money spent over the life of the cache file.

    Raises
    ------
    LlmError
        If the file cannot be read.
    """
    try:
        with ReplyCache(settings.cache_path) as cache:
            return cache.spent_usd()
    except CacheError as error:
        raise LlmError("llm-cache-unusable", str(error)) from None


def price_usd(model: str) -> tuple[float, float] | None:
    """USD per million input and output tokens; dated names cost what the model does."""
    return PRICES_USD.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))


def _ask(
    requests: Sequence[ChatRequest],
    settings: LlmSettings,
    check: Callable[[ChatRequest, str], object],
    cache: ReplyCache,
) -> dict[str, Reply | LlmError]:
    try:
        for model in {request.model for request in requests}:
            _check_budget(model, settings)
        key = _api_key()
    except LlmError as error:
        return {request.key: error for request in requests}

    fatal: list[LlmError] = []

    async def ask_one(
        client: "AsyncOpenAI", slots: asyncio.Semaphore, request: ChatRequest
    ) -> Reply | LlmError:
        async with slots:
            if fatal:
                return fatal[0]
            try:
                return cache.put(
                    request.key, await _answer(client, request, settings, check, cache, key)
                )
            except LlmError as error:
                if error.reason in FATAL_REASONS:
                    fatal.append(error)
                return error

    async def ask_all() -> list[Reply | LlmError]:
        slots = asyncio.Semaphore(settings.concurrency)
        async with _client(key, settings) as client:
            return await asyncio.gather(*(ask_one(client, slots, request) for request in requests))

    replies = asyncio.run(ask_all())
    return {request.key: reply for request, reply in zip(requests, replies, strict=True)}


async def _answer(
    client: "AsyncOpenAI",
    request: ChatRequest,
    settings: LlmSettings,
    check: Callable[[ChatRequest, str], object],
    cache: ReplyCache,
    key: str,
) -> Reply:
    """Return a reply that passes `check`, paid for from the budget."""
    input_usd, output_usd = (price / 1e6 for price in price_usd(request.model) or (0.0, 0.0))
    size = len(request.system.encode()) + len(request.user.encode())
    reserved = input_usd * size / BYTES_PER_TOKEN + output_usd * request.max_tokens
    options: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "response_format": {"type": "json_object"},
        "max_completion_tokens": request.max_tokens,
    }
    if request.temperature is not None:
        options["temperature"] = request.temperature
    problem = ""
    for _ in range(MAX_ANSWERS):
        entry = cache.reserve(request.model, reserved, settings.budget_usd)
        if entry is None:
            raise LlmError(
                "llm-budget",
                f"the budget of {settings.budget_usd:g} USD leaves no room for another request "
                f"({cache.spent_usd():.4f} USD are spent); raise the budget to go on",
            )
        try:
            completion = await client.chat.completions.create(**options)
        except Exception as error:
            mapped = _mapped(error, key)
            # Without an answer nobody knows whether the server has billed it.
            if mapped.reason not in ("llm-timeout", "llm-unreachable"):
                cache.settle(entry, 0.0)
            raise mapped from None
        try:
            usage = completion.usage
            prompt_tokens = usage.prompt_tokens if usage else size // BYTES_PER_TOKEN
            completion_tokens = usage.completion_tokens if usage else request.max_tokens
            cost_usd = input_usd * prompt_tokens + output_usd * completion_tokens
            cache.settle(entry, cost_usd, prompt_tokens, completion_tokens)
            choice = completion.choices[0]
            text, served_by = choice.message.content, completion.model or request.model
        except (AttributeError, IndexError, TypeError):
            problem = "it is not a chat completion"
            continue
        if choice.finish_reason == "length":
            problem = f"cut off after {request.max_tokens} tokens"
            continue
        if not text:
            raise LlmError(
                "llm-refused", f"{request.model} declined to answer; the template prompt remains"
            )
        try:
            check(request, text)
        except ValueError as error:
            problem = str(error)
            continue
        return Reply(text, served_by)
    raise LlmError(
        "llm-malformed-reply",
        f"{request.model} gave {MAX_ANSWERS} unusable answers ({problem}); "
        "run again, or use another model",
    )


def _client(key: str, settings: LlmSettings) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=key, max_retries=settings.max_retries, timeout=settings.timeout_seconds
    )


def _api_key() -> str:
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        raise LlmError("llm-no-key", "OPENAI_API_KEY is not set where the worker runs; set it")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise LlmError("llm-no-key", "OPENAI_API_KEY holds characters that no key has; set it anew")
    return key


def _check_budget(model: str, settings: LlmSettings) -> None:
    if settings.budget_usd is not None and price_usd(model) is None:
        raise LlmError(
            "llm-price-unknown",
            f"the price of {model} is not known, so a budget cannot be kept; leave the budget "
            f"away, or use one of {', '.join(PRICES_USD)}",
        )


def _mapped(error: Exception, key: str) -> LlmError:
    """Return what went wrong, in one sentence that never holds the key."""
    import openai

    # Servers echo the key in their refusals.
    said = re.sub(r"\s+", " ", str(error)).replace(key, "***").strip()[:300]
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return LlmError(
            "llm-unauthorized",
            f"the server refuses the key in OPENAI_API_KEY ({said}); set a valid one",
        )
    if isinstance(error, openai.NotFoundError):
        return LlmError(
            "llm-unknown-model",
            f"the server does not know the model or address ({said}); check --llm_model",
        )
    if isinstance(error, openai.RateLimitError):
        if error.code == "insufficient_quota":
            return LlmError("llm-quota", f"the account has no credit left ({said}); top it up")
        return LlmError(
            "llm-rate-limited",
            f"the server still limits the rate after all retries ({said}); run again later",
        )
    if isinstance(error, openai.APITimeoutError):
        return LlmError("llm-timeout", "the server did not answer in time; run again")
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError):
        return LlmError(
            "llm-malformed-reply", "the server's answer is not JSON; check OPENAI_BASE_URL"
        )
    if isinstance(error, openai.APIConnectionError):
        return LlmError(
            "llm-unreachable", "the server cannot be reached; check the network and OPENAI_BASE_URL"
        )
    if isinstance(error, openai.InternalServerError):
        return LlmError(
            "llm-server-error", f"the server failed after all retries ({said}); run again later"
        )
    if isinstance(error, openai.APIError):
        return LlmError(
            "llm-rejected", f"the server rejects the request ({said}); check --llm_model"
        )
    raise error
