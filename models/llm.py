"""Chat completions through the official OpenAI client: cached, paced, within a budget.

The client takes the key from ``OPENAI_API_KEY`` and the server from
``OPENAI_BASE_URL`` in the environment of the worker. The key is read when a request
is made and goes nowhere else. Retries with exponential back-off and jitter on 408,
409, 429, 5xx and lost connections, after ``Retry-After`` where the server sends it,
are the client's own.
"""

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.llm_cache import CacheError, Reply, ReplyCache
from models.llm_errors import LlmError, failure_of, sentence_of
from models.llm_replies import read_completion
from models.llm_request import ChatRequest
from models.llm_servers import dialect_of

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
        Raises ValueError for a reply that is of no use. Such replies are not cached; of those
        that an earlier version has cached, they are asked for anew.

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
                if (reply := _cached(request, check, cache)) is not None
            }
            missing = {request.key: request for request in requests if request.key not in found}
            if missing:
                found |= _ask(list(missing.values()), settings, check, cache)
    except CacheError as error:
        return [LlmError("llm-cache-unusable", str(error))] * len(requests)
    except sqlite3.Error as error:
        message = (
            f"{settings.cache_path} cannot be used as the cache of prompts ({error}); see that its "
            "disk has space, or give another file by --llm_cache"
        )
        return [LlmError("llm-cache-unusable", message)] * len(requests)
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
        mapped = failure_of(error, key)
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


def _cached(
    request: ChatRequest, check: Callable[[ChatRequest, str], object], cache: ReplyCache
) -> Reply | None:
    """Return the stored reply to a request, if it is one that would be stored today."""
    reply = cache.get(request.key)
    if reply is not None:
        try:
            _check_text(reply.text + reply.model)
            check(request, reply.text)
        except ValueError:
            cache.discard(request.key)
            return None
    return reply


def _check_text(text: str) -> None:
    """Raise ValueError for text that no table can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character, which no file can hold") from None


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

    try:
        replies = asyncio.run(ask_all())
    except LlmError as error:  # of the client: there is no server to ask
        return {request.key: error for request in requests}
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
    dialect = dialect_of(str(client.base_url), request.model)
    problem, reason, answers = "", "", 0
    while answers < MAX_ANSWERS:
        entry = cache.reserve(request.model, reserved, settings.budget_usd)
        if entry is None:
            raise LlmError(
                "llm-budget",
                f"the budget of {settings.budget_usd:g} USD leaves no room for another request "
                f"({cache.spent_usd():.4f} USD are spent); raise the budget to go on",
            )
        options = dialect.options(request)
        try:
            completion = await client.chat.completions.create(**options)
        except Exception as error:
            failure = failure_of(error, key)
            # Without an answer nobody knows whether the server has billed it.
            if failure.reason not in ("llm-timeout", "llm-unreachable"):
                cache.settle(entry, 0.0)
            is_refusal = failure.reason in ("llm-rejected", "llm-server-error")
            if is_refusal and dialect.learn(options, sentence_of(error, key)):
                continue
            raise failure from None
        read = read_completion(completion, request, key)
        prompt_tokens, completion_tokens = read.prompt_tokens, read.completion_tokens
        if prompt_tokens is None or completion_tokens is None:
            prompt_tokens, completion_tokens = size // BYTES_PER_TOKEN, request.max_tokens
        cost_usd = input_usd * prompt_tokens + output_usd * completion_tokens
        cache.settle(entry, cost_usd, prompt_tokens, completion_tokens)
        if read.failure is not None:
            raise read.failure
        if read.problem and dialect.learn(options, read.problem):
            continue
        answers += 1
        try:
            if read.problem:
                raise ValueError(read.problem)
            _check_text(read.text)
            check(request, read.text)
        except ValueError as error:
            problem, reason = str(error), read.reason
            continue
        return Reply(read.text, read.model)
    raise LlmError(
        reason,
        f"{request.model} gave {MAX_ANSWERS} unusable answers ({problem}); "
        "run again, or use another model",
    )


def _client(key: str, settings: LlmSettings) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    try:
        return AsyncOpenAI(
            api_key=key, max_retries=settings.max_retries, timeout=settings.timeout_seconds
        )
    except Exception:
        # The only thing that can be wrong here is the address; httpx and its fork, which the
        # client takes if it is there, share no class of errors.
        raise LlmError(
            "llm-unreachable",
            "OPENAI_BASE_URL is no address; write it like http://127.0.0.1:1234/v1",
        ) from None


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
