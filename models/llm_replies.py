"""What a server answered, whatever it was."""

from typing import Any, NamedTuple, TypeGuard

from models.llm_errors import LlmError, excerpt, said_in
from models.llm_request import ChatRequest

MAX_MODEL_CHARACTERS = 200


class Read(NamedTuple):
    """A reply that was read.

    Attributes
    ----------
    text
        What the model wrote.
    model
        Which model the server says it was.
    problem
        Why the reply is of no use though another one might be; empty if it is of use.
    reason
        The kebab-case reason of that.
    failure
        Why asking again would not help; None if it might.
    prompt_tokens, completion_tokens
        As billed; None where the server does not tell.
    """

    text: str
    model: str
    problem: str = ""
    reason: str = "llm-malformed-reply"
    failure: LlmError | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def read_completion(completion: Any, request: "ChatRequest", key: str) -> Read:
    """Read what the client made of an answer with status 200; it raises nothing."""
    model = getattr(completion, "model", None)
    usage = getattr(completion, "usage", None)
    read = Read(
        "",
        model if _is_name(model) else request.model,
        prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
        completion_tokens=_count(getattr(usage, "completion_tokens", None)),
    )
    if isinstance(completion, str):
        return read._replace(
            problem=f"no chat completion but {excerpt(completion, key)!r}; see OPENAI_BASE_URL"
        )
    error = said_in(getattr(completion, "error", None))
    if error:
        return read._replace(
            problem=f"the server says {excerpt(error, key)!r}", reason="llm-server-error"
        )
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not all(hasattr(each, "message") for each in choices):
        return read._replace(problem="it is not a chat completion")
    if not choices:
        return read._replace(problem="it holds no choices")
    message, finish_reason = choices[0].message, getattr(choices[0], "finish_reason", None)
    if finish_reason == "content_filter":
        return read._replace(failure=_refused("the server's content filter withheld the answer"))
    if finish_reason == "length":
        return read._replace(problem=f"cut off after {request.max_tokens} tokens")
    content = _text(getattr(message, "content", None))
    if content is None:
        refusal = excerpt(said_in(getattr(message, "refusal", None)), key)
        said = f" ({refusal})" if refusal else ""
        return read._replace(failure=_refused(f"{request.model} declined to answer{said}"))
    return read._replace(text=content, problem="" if content.strip() else "an empty answer")


def _refused(cause: str) -> LlmError:
    return LlmError("llm-refused", f"{cause}; the template prompt remains")


def _text(content: Any) -> str | None:
    """Text of a message, which some servers give in parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**40 else None


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARACTERS and value.isprintable()
