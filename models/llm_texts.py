"""Lists of texts in the replies of language models that were asked for JSON."""

import json
from typing import Any, cast

# Room per word in a reply, JSON and the longest languages included.
TOKENS_PER_WORD = 4
# A text may run over the words it was asked for by this factor, not more.
MAX_WORDS_FACTOR = 3
MAX_REPLY_CHARACTERS = 200_000
# Places in a reply at which its JSON may begin.
MAX_OBJECTS = 100


def max_tokens(count: int, max_words: int) -> int:
    """Return how many tokens a reply of `count` texts may have."""
    return 50 + count * max_words * TOKENS_PER_WORD


def texts_in(reply: str, name: str, count: int, max_words: int) -> list[str]:
    """Texts in a model's reply.

    Parameters
    ----------
    reply
        What the model wrote: a JSON object, whatever stands around it.
    name
        Key of the list in the object: ``"prompts"``.
    count
        How many were asked for.
    max_words
        How long each may be, with some allowance.

    Raises
    ------
    ValueError
        If the reply is not a JSON object with `count` texts of bounded length.
    """
    texts = _json_object(reply, name).get(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"no list of {name}")
    if len(texts) != count:
        raise ValueError(f"{len(texts)} {name} for {count} descriptions")
    texts = [" ".join(text.split()) for text in texts]
    for text in texts:
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ValueError(f"half a character in {name}")
        says_something = any(char.isalnum() for char in text)
        if not says_something or len(text.split()) > MAX_WORDS_FACTOR * max_words:
            raise ValueError(f"{name} that are empty or overlong")
    return texts


def _json_object(reply: str, name: str) -> dict[str, Any]:
    """Return the JSON object in a reply that has a name, whatever stands around it.

    Models put it between sentences or code fences, or after their thoughts, which may hold others.
    """
    text = reply.rpartition("</think>")[2]
    if len(text) > MAX_REPLY_CHARACTERS:
        raise ValueError("an overlong reply, and so not JSON")
    decoder = json.JSONDecoder(strict=False)  # models break lines within strings
    found = None
    starts = [place for place, char in enumerate(text) if char == "{"][:MAX_OBJECTS]
    for start in starts:
        try:
            content, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if name in content:
            return cast("dict[str, Any]", content)
        found = content if found is None else found
    if found is None:
        raise ValueError("not JSON")
    raise ValueError(f"no list of {name}")
