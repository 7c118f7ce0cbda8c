"""When given words are heard in a window of sound, and how likely each is there, by Whisper.

The decoder reads the words as if it had written them (teacher forcing). What some of its heads
look at meanwhile, time-warped, says when each is heard, and the probability of its tokens whether
it is heard at all: word timestamps as in openai-whisper's ``timing.py``, by CTranslate2's
``Whisper.align``, over a text that is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from models.whisper_pipeline import Model

FRAMES_PER_SECOND = 50
"""Of the encoder's output: 1,500 in 30 s."""

MEDIAN_FILTER_FRAMES = 7
"""Over the attention, as Whisper's own word timestamps have it."""

MAX_TOKENS = 440
"""That the decoder reads at once: 448 with those that say what is to be done."""

LEAST_PROBABILITY = 1e-9


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A given word in a window.

    Attributes
    ----------
    start_seconds, end_seconds
        From the beginning of the window; words follow each other without pauses.
    log_probability
        Mean over its tokens, given the sound and the words before it.
    """

    start_seconds: float
    end_seconds: float
    log_probability: float


def tokens_of(model: Model, words: Sequence[str], language: str) -> tuple[Any, list[list[int]]]:
    """Return the tokenizer of a language, and the tokens of each word.

    Raises
    ------
    ValueError
        If Whisper does not know the language.
    """
    tokenizer = model.tokenizer(language)
    return tokenizer, [tokenizer.encode(word) for word in words]


def align(
    model: Model, encoded: Any, words: Sequence[str], language: str, seconds: float
) -> list[HeardWord]:
    """Find words in a window.

    Parameters
    ----------
    model
        The model.
    encoded
        Output of its encoder for one window.
    words
        As written, each with the space before it if there is one.
    language
        As Whisper names it.
    seconds
        Length of the window; nothing is placed beyond it.

    Raises
    ------
    ValueError
        If Whisper does not know the language, or the words have more than ``MAX_TOKENS`` tokens.
    """
    tokenizer, tokens = tokens_of(model, words, language)
    text = [token for each in tokens for token in each]
    if len(text) > MAX_TOKENS:
        raise ValueError(f"{len(text)} tokens are more than the {MAX_TOKENS} that Whisper reads")
    if not text:
        return []
    (found,) = model.model.align(
        encoded,
        tokenizer.sot_sequence,
        [text],
        [max(2, round(seconds * 2 * FRAMES_PER_SECOND))],
        median_filter_width=MEDIAN_FILTER_FRAMES,
    )
    pairs = np.array(found.alignments)
    # First frame of each token, and of what ends the text.
    firsts = np.searchsorted(pairs[:, 0], np.arange(len(text) + 1))
    times = pairs[np.minimum(firsts, len(pairs) - 1), 1] / FRAMES_PER_SECOND
    logs = np.log(np.maximum(found.text_token_probs[: len(text)], LEAST_PROBABILITY))
    bounds = np.cumsum([0, *map(len, tokens)])
    return [
        HeardWord(
            float(times[first]),
            float(times[end]),
            float(logs[first:end].mean()) if end > first else float(np.log(LEAST_PROBABILITY)),
        )
        for first, end in pairwise(bounds)
    ]
