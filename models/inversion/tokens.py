"""Concepts in prompts: ``<8bit>`` stands for the vectors that were learnt for it."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TOKEN = re.compile(rf"<({NAME})>")

MAX_NAME = 64
"""Letters of a name at most."""


class ConceptError(ValueError):
    """A concept that cannot be, or is not known; the message says why, and what to do."""


def check_concept(name: str) -> str:
    """Return the name of a concept if it can stand in a prompt as ``<name>``.

    Raises
    ------
    ConceptError
        If it cannot.
    """
    if re.fullmatch(NAME, name) and len(name) <= MAX_NAME:
        return name
    possible = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:MAX_NAME]
    remedy = f"call it {possible}" if possible else "give it another name"
    raise ConceptError(
        f"{name!r} cannot be a word of a prompt, which is made of the letters a to z, digits, _ "
        f"and -, and begins with a letter or a digit: {remedy}."
    )


def token(concept: str) -> str:
    """Return how a concept is written in a prompt."""
    return f"<{concept}>"


def entropy(concept: str) -> int:
    """Return a number of 32 bits for what is drawn for a concept, whatever concepts are beside."""
    return int.from_bytes(hashlib.sha256(concept.encode()).digest()[:4], "big")


def vector_tokens(concept: str, count: int) -> list[str]:
    """Return the words that a tokenizer knows for the vectors of a concept, in order.

    A colon is in no name: no concept's vector is taken for another concept.
    """
    return [f"<{concept}:{number}>" for number in range(count)]


def concepts_of(prompt: str) -> list[str]:
    """Return the names of the concepts in a prompt, in order, each once."""
    return list(dict.fromkeys(_TOKEN.findall(prompt)))


def check_known(prompts: Sequence[str], known: Sequence[str]) -> None:
    """Make sure that the concepts of prompts were learnt.

    Raises
    ------
    ConceptError
        If one was not.
    """
    for prompt in prompts:
        for name in concepts_of(prompt):
            if name in known:
                continue
            if not known:
                raise ConceptError(
                    f"{token(name)} stands for a concept, and none is known: give the folder of "
                    "learnt concepts as --embeds, or write the prompt without < and >."
                )
            near = difflib.get_close_matches(name, known, 1)
            meant = f" (did you mean {token(near[0])}?)" if near else ""
            raise ConceptError(
                f"{token(name)} is no concept that was learnt{meant}: there are "
                f"{', '.join(map(token, sorted(known)))}."
            )


def expanded(prompt: str, counts: Mapping[str, int]) -> str:
    """Return a prompt in which each concept is replaced by the words of its vectors.

    Parameters
    ----------
    prompt
        Its concepts are all known.
    counts
        Vectors of each concept, by its name.
    """
    return _TOKEN.sub(lambda found: "".join(vector_tokens(found[1], counts[found[1]])), prompt)
