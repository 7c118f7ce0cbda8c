"""faster-whisper's model and its batched pipeline, with the language heard all over a signal."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import BatchedInferencePipeline, WhisperModel


class Model(WhisperModel):
    """faster-whisper's model, whose encoder's next outputs may be known already."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.known: deque[Any] = deque()

    def encode(self, features: npt.NDArray[np.float32]) -> Any:
        """Return the next of the outputs that are known, or encode."""
        return self.known.popleft() if self.known else super().encode(features)


class Pipeline(BatchedInferencePipeline):
    """faster-whisper's pipeline, which hears the language in all windows before it decodes any.

    The library's own hears it in the first window alone, which it encodes another time for it;
    that may be an introduction, or noise.

    Attributes
    ----------
    votes
        Seconds of voice by language: those of each window, shared out by its probabilities.
    """

    def __init__(self, model: Model, *, detects: bool, votes_every: int | None = None) -> None:
        super().__init__(model)
        self._detects = detects
        self._votes_every = votes_every
        self.votes: Counter[str] = Counter()

    def _batched_segments_generator(
        self,
        features: Any,
        tokenizer: Any,
        chunks_metadata: list[dict[str, Any]],
        batch_size: int,
        options: Any,
        log_progress: bool,
    ) -> Iterator[Any]:
        if self._votes_every:
            features, chunks_metadata = (
                each[:: self._votes_every] for each in (features, chunks_metadata)
            )
        self.model.known.clear()
        known = []
        for first in range(0, len(features) if self._detects else 0, batch_size):
            known.append(self.model.encode(features[first : first + batch_size]))
            heard = self.model.model.detect_language(known[-1])
            for window, languages in zip(chunks_metadata[first:], heard, strict=False):
                for token, probability in languages:
                    self.votes[token.strip("<|>")] += probability * window["duration"]
        if self._votes_every:
            return
        if self.votes:
            code, _ = winner(self.votes)
            tokenizer.language = tokenizer.tokenizer.token_to_id(f"<|{code}|>")
            tokenizer.language_code = code
        self.model.known.extend(known)
        yield from super()._batched_segments_generator(
            features, tokenizer, chunks_metadata, batch_size, options, log_progress
        )


def winner(votes: Counter[str]) -> tuple[str, float]:
    """Return the language with most of the votes, and its share of them."""
    code, most = votes.most_common(1)[0]
    return code, most / votes.total()
