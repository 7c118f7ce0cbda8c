"""Whisper, a transformer that writes down speech and singing, with the times of the words.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", 2022, by way
of faster-whisper and CTranslate2. A voice activity detector picks the parts with a voice, which
are joined to windows of at most 30 s; these are decoded in batches, independently of each other.

Results are reproducible: the beam search takes the likeliest text, and never samples at higher
temperatures as Whisper does after a failure. Texts that such a failure would have been
recognised by are marked instead (see :class:`Segment`). A signal's windows never share a batch
with another signal's.
"""

import ctypes
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper.audio import pad_or_trim

from models.batching import is_out_of_memory
from models.hallucinations import is_invented
from models.registry import ModelCard
from models.whisper_alignment import HeardWord, align
from models.whisper_pipeline import Model, Pipeline, winner

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000

COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
"""On a CPU, 8-bit weights take half the time of 32-bit ones, and a quarter of the memory. The
GPU computes in the precision that the weights are published in."""

WINDOWS_AT_ONCE = {"cpu": 2, "cuda": 16}
"""Windows of 30 s per batch. On a CPU two take 9 % less time than one, and four no less than
two; their number is fixed there, and with it every bit of the result. In the half precision of a
GPU the last digits depend on it."""

VAD_OPTIONS = {"threshold": 0.2, "min_silence_duration_ms": 160}
"""The threshold for speech, 0.5, misses singing: of the 88 words of a rock song whose vocals
were separated without weights it kept 31 %, and 2 % of what is not sung. 0.2 kept 72 % and 12 %,
0.1 kept 77 % and 24 %. The pause that ends a part is the batched pipeline's own."""

PIECE_SECONDS = 600.0
"""Longest part of a signal that is processed at once, which bounds the memory; the language is
detected over all of them."""

WINDOW_SECONDS = 30.0
"""What Whisper hears at once."""

LANGUAGE_WINDOWS = 20
"""Windows in which the language of a signal of several pieces is heard, evenly spread: these are
encoded twice, since not all are kept."""

CUT_SECONDS = 60.0
"""Last part of a piece in which it is cut, where the voice is softest."""

MAX_COMPRESSION_RATIO = 2.4
MIN_AVERAGE_LOG_PROBABILITY = -1.0
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Whisper's own limits (section 4.5 of the paper): text above the first repeats itself, and where
the two others are passed there is no speech."""

_BCP_47 = {"jw": "jv"}  # Whisper's only language code that is not one
_WHISPER = {tag: code for code, tag in _BCP_47.items()}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Word:
    """A word as Whisper wrote it, with the space before it if there is one.

    Attributes
    ----------
    text
        The word; words that follow each other make up the text.
    start_seconds, end_seconds
        When it is heard.
    probability
        Mean probability of its tokens.
    """

    text: str
    start_seconds: float
    end_seconds: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was decoded from a window.

    Attributes
    ----------
    text
        Without surrounding spaces.
    start_seconds, end_seconds
        From its first to its last word.
    average_log_probability
        Mean over its tokens.
    no_speech_probability
        Of there being no speech in the window.
    compression_ratio
        How many times smaller zlib makes the text.
    words
        The text in words.
    """

    text: str
    start_seconds: float
    end_seconds: float
    average_log_probability: float
    no_speech_probability: float
    compression_ratio: float
    words: tuple[Word, ...]

    @property
    def is_hallucination(self) -> bool:
        """Whether the text is rather Whisper's own invention.

        It is by Whisper's own limits if it repeats itself, or if it is improbable where
        there seems to be no speech; and it is if :func:`models.hallucinations.is_invented` knows
        it: credits of subtitles, "[Music]", "♪ ♪".
        """
        is_repetitive = self.compression_ratio > MAX_COMPRESSION_RATIO
        is_no_speech = (
            self.no_speech_probability > MAX_NO_SPEECH_PROBABILITY
            and self.average_log_probability < MIN_AVERAGE_LOG_PROBABILITY
        )
        return is_repetitive or is_no_speech or is_invented(self.text)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said or sung in a signal.

    Attributes
    ----------
    language
        BCP 47 tag; None if there are no segments.
    language_probability
        Of the language: mean over the windows, weighed by their seconds of voice; 1 for one that
        was given.
    segments
        In order of time; none if no voice was found.
    """

    language: str | None
    language_probability: float | None
    segments: tuple[Segment, ...]


class WhisperAdapter:
    """A loaded Whisper.

    Parameters
    ----------
    model
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, model: "Model", device: str) -> None:
        self._model = model
        self._is_cpu = device == "cpu"
        self._at_once = WINDOWS_AT_ONCE[device]
        self._at_most: int | None = None

    def transcribe(
        self, signal: Samples, *, language: str | None = None, batch_size: int | None = None
    ) -> Transcript:
        """Write down what is said or sung.

        Parameters
        ----------
        signal, shape (n,)
            Mono, at 16 kHz.
        language
            BCP 47 tag of the language if it is known, else it is detected.
        batch_size
            Windows at once on a GPU, None for :data:`WINDOWS_AT_ONCE`. When memory runs out
            it is halved, for good.

        Raises
        ------
        ValueError
            If Whisper does not know the language.
        """
        code = _WHISPER.get(language, language) if language else None
        probability = 1.0
        segments: list[Segment] = []
        pieces = list(_pieces(signal))
        if code is None and len(pieces) > 1:
            code, probability = self._language(pieces, batch_size) or (None, 1.0)
        for start, piece in pieces:
            pipeline, found = self._transcribe_piece(piece, code, batch_size)
            if code is None and pipeline.votes:
                code, probability = winner(pipeline.votes)
            first, last = start / RATE_HZ, (start + len(piece)) / RATE_HZ
            segments += [_segment(each, first, last) for each in found if each.text.strip()]
        if code is None or not segments:
            return Transcript(None, None, ())
        return Transcript(_BCP_47.get(code, code), probability, tuple(segments))

    def encode(self, window: Samples) -> Any:
        """Encode a window of at most 30 s, mono at 16 kHz, for :meth:`align`."""
        features = self._model.feature_extractor(window)[..., :-1]
        return self._model.encode(pad_or_trim(features)[None])

    @cached_property
    def silence(self) -> Any:
        """What :meth:`encode` returns of 30 s of silence, made once."""
        return self.encode(np.zeros(round(WINDOW_SECONDS * RATE_HZ), np.float32))

    def align(
        self, encoded: Any, words: Sequence[str], *, language: str, seconds: float
    ) -> list[HeardWord]:
        """Find given words in a window: see :func:`models.whisper_alignment.align`.

        Parameters
        ----------
        encoded
            What :meth:`encode` returned.
        words
            As written, each with the space before it if there is one; all of them are placed.
        language
            BCP 47 tag of their language.
        seconds
            Length of the window.

        Raises
        ------
        ValueError
            If Whisper does not know the language, or the words are more than it can read at once.
        """
        return align(self._model, encoded, words, _WHISPER.get(language, language), seconds)

    def _language(
        self, pieces: list[tuple[int, Samples]], batch_size: int | None
    ) -> tuple[str, float] | None:
        """Return the language of all pieces of a signal, heard in windows all over it."""
        windows = len(pieces) * PIECE_SECONDS / WINDOW_SECONDS
        every = max(1, int(windows / LANGUAGE_WINDOWS))
        votes: Counter[str] = Counter()
        for _, piece in pieces:
            votes += self._transcribe_piece(piece, None, batch_size, votes_every=every)[0].votes
        return winner(votes) if votes else None

    def _transcribe_piece(
        self,
        piece: Samples,
        code: str | None,
        batch_size: int | None,
        votes_every: int | None = None,
    ) -> tuple["Pipeline", list[Any]]:
        """Transcribe, or with `votes_every` only hear which language every so many windows have."""
        size = self._at_once if self._is_cpu else batch_size or self._at_once
        while True:
            size = min(size, self._at_most or size)
            pipeline = Pipeline(self._model, detects=code is None, votes_every=votes_every)
            try:
                segments, _ = pipeline.transcribe(
                    piece,
                    # The pipeline asks for a language, which is replaced before it is used.
                    language=code or "en",
                    temperature=0.0,
                    word_timestamps=True,
                    vad_parameters=dict(VAD_OPTIONS),
                    batch_size=size,
                )
                return pipeline, list(segments)
            except RuntimeError as error:
                if not is_out_of_memory(error) or size == 1:
                    raise
            self._at_most = size // 2
            log.warning("Out of GPU memory at %d windows at once: %d now.", size, self._at_most)


def load(card: ModelCard, device: str, folder: Path) -> WhisperAdapter:
    """Load a model in CTranslate2's format from its folder.

    Parameters
    ----------
    card
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where its files lie, the tokenizer among them.

    Raises
    ------
    FileNotFoundError
        If there is no tokenizer, for which faster-whisper would turn to the network.
    RuntimeError
        If the library that CTranslate2 needs on a GPU is not installed.
    """
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{card.name} has no tokenizer.json in {folder}")
    if device == "cuda":
        load_cublas()
    model = Model(
        str(folder),
        device=device,
        compute_type=COMPUTE_TYPES[device],
        cpu_threads=1,  # as many processes as cores share a machine
        local_files_only=True,
    )
    return WhisperAdapter(model, device)


def load_cublas() -> None:
    """Make the CUDA 12 library that CTranslate2 opens known to the process.

    CTranslate2 is built for CUDA 12, and torch brings that of another version.

    Raises
    ------
    RuntimeError
        If neither the package nor the system has it.
    """
    nvidia = find_spec("nvidia")
    places = nvidia.submodule_search_locations if nvidia else None
    for folder in (Path(place, "cublas", "lib") for place in places or ()):
        if (folder / "libcublas.so.12").is_file():
            # cuBLAS opens the second one, which is no more on the search path than itself.
            for name in ("libcublasLt.so.12", "libcublas.so.12"):
                ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)
            return
    try:
        ctypes.CDLL("libcublas.so.12", ctypes.RTLD_GLOBAL)
    except OSError:
        raise RuntimeError(
            "Whisper needs CUDA 12's cuBLAS on a GPU: install the package nvidia-cublas-cu12."
        ) from None


def _pieces(signal: Samples) -> Iterator[tuple[int, Samples]]:
    """Pieces of a signal that follow each other, with their first samples."""
    start, most, block = 0, round(PIECE_SECONDS * RATE_HZ), RATE_HZ // 2
    while len(signal) - start > most:
        search = signal[start + most - round(CUT_SECONDS * RATE_HZ) : start + most]
        blocks = search[: len(search) // block * block].reshape(-1, block)
        softest = int(np.argmin([np.dot(samples, samples) for samples in blocks]))
        end = start + most - len(search) + softest * block + block // 2
        yield start, signal[start:end]
        start = end
    yield start, signal[start:]


def _segment(found: Any, first_seconds: float, last_seconds: float) -> Segment:
    """Segment of a piece that lies between two times."""

    def time(seconds: float) -> float:
        # An alignment may end up one frame before the signal.
        return round(min(max(first_seconds + float(seconds), first_seconds), last_seconds), 3)

    words: Iterable[Any] = found.words or ()
    return Segment(
        text=found.text.strip(),
        start_seconds=time(found.start),
        end_seconds=time(found.end),
        average_log_probability=float(found.avg_logprob),
        no_speech_probability=float(found.no_speech_prob),
        compression_ratio=float(found.compression_ratio),
        words=tuple(
            Word(word.word, time(word.start), time(word.end), float(word.probability))
            for word in words
        ),
    )
