"""Composed captions rewritten by a language model, one request per track.

What a rewritten caption states against the facts, or without them, refuses it: the composed one
stands in its place. A track that the budget, a rate limit or the network left without an answer is
a failed row, which the next run tries again, while its composed captions stand.
"""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from models.llm_texts import max_tokens, texts_in
from tasks.captions.contradictions import contradictions
from tasks.captions.facts import Facts
from tasks.captions.track import CaptionTrack
from tasks.chat import ChatConfig, ChatTools
from tasks.step import Row, Step, TrackError, column

SYSTEM = (
    "You rewrite captions of one piece of music so that they read as if a listener had written "
    "them. All that is known of the piece is in `facts`. Of each description write one caption in "
    "its style: `writing` describes the piece, `summary` is one short sentence, `paraphrase` says "
    "the same in other words, `attributes` is a list of tags. State no instrument, genre, tempo, "
    "key, metre, voice or number that the facts do not have, and never name an artist, band, song, "
    "label or brand. Vary the wording; no two captions may be the same. Each caption is English "
    'and has at most {max_words} words. Answer with a JSON object {{"captions": [...]}} that holds '
    "exactly one string per description, in the same order."
)


class RewriteConfig(ChatConfig):
    """Texts by an LLM (with OPENAI_API_KEY in the environment)."""


def run(
    tracks: Sequence[CaptionTrack],
    upstream: Mapping[str, Sequence[Row | None]],
    config: RewriteConfig,
    tools: ChatTools,
) -> list[Row | TrackError]:
    """Rewritten captions of a batch; the requests of all its tracks run concurrently."""
    from models.llm import LlmError, complete
    from models.llm_request import ChatRequest

    if tools.llm is None:
        raise ValueError("the step 'rewrite_captions' needs ChatTools.llm")
    system = SYSTEM.format(max_words=config.max_words)

    def request_of(track: CaptionTrack) -> ChatRequest:
        tokens = max_tokens(len(track.captions), config.max_words)
        return ChatRequest(config.llm_model, system, _question(track), tokens, config.temperature)

    def check(request: ChatRequest, reply: str) -> None:
        count = len(json.loads(request.user)["descriptions"])
        texts_in(reply, "captions", count, config.max_words)

    asked = [index for index, track in enumerate(tracks) if track.captions]
    replies = complete([request_of(tracks[index]) for index in asked], tools.llm, check)
    results: list[Row | TrackError] = [
        {"captions": [], "refused": [], "llm_model": config.llm_model} for _ in tracks
    ]
    for index, reply in zip(asked, replies, strict=True):
        if isinstance(reply, LlmError):
            results[index] = TrackError(reply.reason, reply.message)
            continue
        track = tracks[index]
        texts = texts_in(reply.text, "captions", len(track.captions), config.max_words)
        results[index] = {**_judged(track, texts), "llm_model": reply.model}
    return results


def _question(track: CaptionTrack) -> str:
    facts = {name: value for name, value in track.facts.items() if value not in (None, [], ())}
    question = {
        "facts": facts,
        "styles": list(track.styles),
        "descriptions": list(track.captions),
    }
    return json.dumps(question, ensure_ascii=False, default=list)


def _judged(track: CaptionTrack, texts: Sequence[str]) -> Row:
    """Return the captions that stand: the model's, or the composed ones of those refused."""
    facts = Facts.of_row(track.facts)
    # A text that is refused leaves its composed caption, which no other may repeat.
    taken = {_identity(caption) for caption in track.captions}
    captions: list[str] = []
    refused: list[str | None] = []
    for composed, text in zip(track.captions, texts, strict=True):
        problems = contradictions(text, facts)
        if _identity(text) in taken:
            problems.append("it repeats another caption")
        taken.add(_identity(text))
        captions.append(composed if problems else text)
        refused.append("; ".join(problems) if problems else None)
    return {"captions": captions, "refused": refused}


def _identity(text: str) -> str:
    return text.rstrip(".!").casefold()


STEP = Step(
    name="rewrite_captions",
    version=1,
    config=RewriteConfig,
    columns=pa.schema(
        [
            column(
                "captions",
                pa.list_(pa.string()),
                "Captions, rewritten by a language model or, where that was refused, composed",
            ),
            column(
                "refused",
                pa.list_(pa.string()),
                "Of each caption, why the rewritten one was refused; null where it was not",
            ),
            column("llm_model", pa.string(), "The model, as its server names it"),
        ]
    ),
    run=run,
    attributes=("track_id", "facts", "captions", "styles"),
)
