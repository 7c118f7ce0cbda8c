"""Prompts rewritten by a language model, one request per track.

A step of its own and not a part of `prompts`: a track that the budget, a rate limit
or the network left without a rewritten prompt is a failed row here, which the next
run tries again, while its template prompts stand.
"""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from models.llm_texts import max_tokens, texts_in
from tasks.chat import ChatConfig, ChatTools
from tasks.step import Row, Step, Track, TrackError, column, costs

# Longer lists are cut: models lose count, and one reply stays a few kilobytes.
MAX_PROMPTS_PER_REQUEST = 24

SYSTEM = (
    "You turn terse descriptions of the sections of one piece of music into natural prompts "
    "for a text-to-music model. Keep every fact: section, genre, tempo, key, loudness, timbre, "
    "and whether there are vocals. Evoke mood and texture, but invent no instrument, lyric or "
    "fact. Never name an artist, band, song, label or brand. Vary the wording between sections. "
    "Each prompt is one or two sentences of at most {max_words} words. Answer with a JSON object "
    '{{"prompts": [...]}} that holds exactly one string per description, in the same order.'
)


class EnhanceConfig(ChatConfig):
    """Texts by an LLM (with OPENAI_API_KEY in the environment)."""


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: EnhanceConfig,
    tools: ChatTools,
) -> list[Row | TrackError]:
    """Rewritten prompts of a batch; the requests of all its tracks run concurrently."""
    from models.llm import LlmError, complete
    from models.llm_request import ChatRequest

    if tools.llm is None:
        raise ValueError("the step 'enhance' needs ChatTools.llm")
    system = SYSTEM.format(max_words=config.max_words)
    requests: list[ChatRequest] = []
    owners: list[int] = []
    for index, row in enumerate(upstream["prompts"]):
        assert row is not None
        for prompts in _chunks(row["prompt"]):
            user = json.dumps({"descriptions": prompts}, ensure_ascii=False)
            tokens = max_tokens(len(prompts), config.max_words)
            requests.append(ChatRequest(config.llm_model, system, user, tokens, config.temperature))
            owners.append(index)

    def check(request: ChatRequest, reply: str) -> None:
        count = len(json.loads(request.user)["descriptions"])
        texts_in(reply, "prompts", count, config.max_words)

    results: list[Row | TrackError] = [
        {"prompt_enhanced": [], "llm_model": config.llm_model} for _ in tracks
    ]
    replies = complete(requests, tools.llm, check)
    for index, request, reply in zip(owners, requests, replies, strict=True):
        result = results[index]
        if isinstance(result, TrackError):
            continue
        if isinstance(reply, LlmError):
            results[index] = TrackError(reply.reason, reply.message)
            continue
        count = len(json.loads(request.user)["descriptions"])
        result["prompt_enhanced"] += texts_in(reply.text, "prompts", count, config.max_words)
        result["llm_model"] = reply.model
    return results


def _chunks(prompts: Sequence[str]) -> list[list[str]]:
    return [
        list(prompts[start : start + MAX_PROMPTS_PER_REQUEST])
        for start in range(0, len(prompts), MAX_PROMPTS_PER_REQUEST)
    ]


STEP = Step(
    name="enhance",
    version=1,
    config=EnhanceConfig,
    columns=pa.schema(
        [
            column(
                "prompt_enhanced",
                pa.list_(pa.string()),
                "prompt of each segment, rewritten by a language model",
            ),
            column("llm_model", pa.string(), "the model, as its server names it"),
        ]
    ),
    run=run,
    upstream=("prompts",),
    cost=costs(0.5),
)
