"""faster-whisper's model and its batched pipeline, for windows in several languages at once."""

from collections.abc import Sequence
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import restore_speech_timestamps

from models.whisper_windows import RATE_HZ, Piece, Window


class Model(WhisperModel):
    """faster-whisper's model.

    Attributes
    ----------
    windows_at_most
        Windows at once that fit into memory; None as long as it has not run out.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.windows_at_most: int | None = None
        self._known: Sequence[list[dict[str, Any]]] | None = None
        self._tokenizers: dict[str, Tokenizer] = {}

    def tokenizer(self, code: str) -> Tokenizer:
        """Return the tokenizer of a language, as Whisper names it.

        Raises
        ------
        ValueError
            If Whisper does not know the language.
        """
        if code not in self._tokenizers:
            self._tokenizers[code] = Tokenizer(
                self.hf_tokenizer, self.model.is_multilingual, task="transcribe", language=code
            )
        return self._tokenizers[code]

    @cached_property
    def options(self) -> Any:
        """How windows are decoded: as the library does, with words and without sampling."""
        nothing = np.zeros(1, np.float32)
        _, info = BatchedInferencePipeline(self).transcribe(
            nothing, language="en", temperature=0.0, word_timestamps=True
        )
        return info.transcription_options

    def find_alignment(self, *arguments: Any, **options: Any) -> list[list[dict[str, Any]]]:
        """Return what was found for these windows already, or find where their words are."""
        known, self._known = self._known, None
        return list(known) if known is not None else super().find_alignment(*arguments, **options)

    def decode(self, encoded: Any, windows: Sequence[Window], codes: Sequence[str]) -> "Written":
        """Write down what is heard in windows, each in its language.

        Parameters
        ----------
        encoded
            Output of the encoder for them.
        windows, codes
            The windows, and the language of each as Whisper names it.
        """
        outputs = self._generated(encoded, codes)
        texts = [
            self._text(self.tokenizer(code), output["tokens"])
            for code, output in zip(codes, outputs, strict=True)
        ]
        frames = [int(ceil(each.voice_seconds) * self.frames_per_second) for each in windows]
        words: list[Any] = [[]] * len(windows)
        # An alignment has one language, and takes the whole batch; an empty text has no words.
        for language in dict.fromkeys(codes):
            mine = [
                text if code == language else [] for text, code in zip(texts, codes, strict=True)
            ]
            found = self.find_alignment(self.tokenizer(language), mine, encoded, frames)
            words = [
                new if code == language else old
                for code, new, old in zip(codes, found, words, strict=True)
            ]
        return list(zip(outputs, words, strict=True))

    def segments(self, piece: Piece, code: str, written: "Written") -> list[Any]:
        """Return the library's segments of a piece whose windows were all decoded."""
        self._known = [words for _, words in written]
        pipeline = _Pipeline(self, [output for output, _ in written])
        places = [window.place for window in piece.windows]
        found = pipeline._batched_segments_generator(
            piece.windows, self.tokenizer(code), places, len(places), self.options, False
        )
        return list(restore_speech_timestamps(found, piece.clips, RATE_HZ))

    def _generated(self, encoded: Any, codes: Sequence[str]) -> list[dict[str, Any]]:
        """Return the library's ``generate_segment_batched``, where languages differ."""
        options = self.options
        prompts = [
            self.get_prompt(self.tokenizer(code), [], without_timestamps=options.without_timestamps)
            for code in codes
        ]
        results = self.model.generate(
            encoded,
            prompts,
            beam_size=options.beam_size,
            patience=options.patience,
            length_penalty=options.length_penalty,
            max_length=self.max_length,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
            return_scores=True,
            return_no_speech_prob=True,
            sampling_temperature=options.temperatures[0],
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
        )
        outputs = []
        for result in results:
            (tokens,), (score,) = result.sequences_ids, result.scores
            # The score is the mean over the tokens; the library counts the end as one more.
            total = score * len(tokens) ** options.length_penalty
            outputs.append(
                {
                    "avg_logprob": total / (len(tokens) + 1),
                    "no_speech_prob": result.no_speech_prob,
                    "tokens": tokens,
                }
            )
        return outputs

    def _text(self, tokenizer: Tokenizer, tokens: list[int]) -> list[int]:
        """Return the tokens whose times the library asks for."""
        segments, *_ = self._split_segments_by_timestamps(
            tokenizer=tokenizer,
            tokens=tokens,
            time_offset=0.0,
            segment_size=0,
            segment_duration=0.0,
            seek=0,
        )
        return [token for each in segments for token in each["tokens"] if token < tokenizer.eot]


Written = list[tuple[dict[str, Any], list[dict[str, Any]]]]
"""Of each window what the decoder wrote and its words with their times, as the library has it."""


class _Pipeline(BatchedInferencePipeline):
    """faster-whisper's pipeline over one piece of a signal, whose windows are decoded already."""

    def __init__(self, model: Model, outputs: list[dict[str, Any]]) -> None:
        super().__init__(model)
        self._outputs = outputs

    def generate_segment_batched(
        self, features: Any, tokenizer: Any, options: Any
    ) -> tuple[None, list[dict[str, Any]]]:
        return None, self._outputs
