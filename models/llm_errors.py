"""What went wrong with a request to a language model: a reason, and the server's own sentence."""

import html
import json
import re
from typing import Any

MAX_SENTENCE_CHARACTERS = 300

_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|hf|xai|key|AIza)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}"
    r"|(?<=Bearer )[^\s\"',;]+|(?<=://)[^/\s@]+@|(?<=key=)[^\s&\"']+",
    re.IGNORECASE,
)
"""Keys as providers make them, tokens in headers, and passwords in addresses."""


class LlmError(Exception):
    """A request without a usable reply: a kebab-case reason, and a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def failure_of(error: Exception, key: str) -> LlmError:
    """Return what an exception of the client means, in one sentence that never holds the key.

    Raises
    ------
    Exception
        The exception itself, if it is none of a request.
    """
    import openai

    said = sentence_of(error, key)
    if isinstance(error, openai.AuthenticationError):
        return LlmError(
            "llm-unauthorized",
            f"the server refuses the key in OPENAI_API_KEY ({said}); set a valid one",
        )
    if isinstance(error, openai.PermissionDeniedError):
        return LlmError(
            "llm-unauthorized",
            f"the server refuses access ({said}); see whether the account of OPENAI_API_KEY may "
            "use --llm_model, and that OPENAI_BASE_URL is right",
        )
    if isinstance(error, openai.NotFoundError):
        return LlmError(
            "llm-unknown-model",
            f"the server does not know the model or address ({said}); check --llm_model and "
            "OPENAI_BASE_URL",
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
    # Of the last two are bytes that are no UTF-8, and JSON without end.
    if isinstance(error, openai.APIResponseValidationError | ValueError | RecursionError):
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
            "llm-rejected",
            f"the server rejects the request ({said}); if that does not help, use another "
            "--llm_model",
        )
    raise error


def sentence_of(error: Exception, key: str) -> str:
    """Return what a server said of an error, on one line and without secrets."""
    body = getattr(error, "body", None)
    return excerpt(said_in(body) or str(error), key)


def said_in(body: Any) -> str:
    """Return the text of an error's body, in the forms that servers give it; else an empty one."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, (said_in(item) for item in body)))
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "detail", "msg"):
        if text := said_in(body.get(name)):
            return text
    return json.dumps(body) if body else ""


def excerpt(text: str, key: str) -> str:
    """Return a text without markup, secrets, line breaks and what no file can hold, and cut it."""
    if re.search(r"<(?:!doctype|html|head|body)\b", text[:1000], re.IGNORECASE):
        text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", " ", text[:20_000])
        text = html.unescape(re.sub(r"<[^<>]*>", " ", text))
    text = text.encode("utf-8", "replace").decode()
    text = "".join(char if char.isprintable() else " " for char in text)
    # Servers echo the key in their refusals. A short one ("x", for a local server) is no secret.
    if key:
        text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "***", text)
        if len(key) >= 8:
            text = text.replace(key, "***")
    text = " ".join(_SECRETS.sub("***", text).split())
    if len(text) > MAX_SENTENCE_CHARACTERS:
        text = text[: MAX_SENTENCE_CHARACTERS - 1].rstrip() + "…"
    return text
