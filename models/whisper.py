"""Whisper, a transformer that writes down speech and singing, with the times of the words.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", 2022, by way
of faster-whisper and CTranslate2. A voice activity detector picks the parts with a voice, which
are joined to windows of at most 30 s; these are decoded in batches, independently of each other.

Results are reproducible: the beam search takes the likeliest text, and never samples at higher
temperatures as Whisper does after a failure. Texts that such a failure would have been
recognised by are marked instead (see :class:`Segment`).

On a processor a signal's windows share no batch with another signal's, and its transcript depends
on nothing else. On a GPU the windows of one signal, of which most songs have one to seven, do not
fill it: there a batch has those of several, and the last digits of a probability may differ with
what else is in it, as with all networks there.
"""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper.audio import pad_or_trim

from models.batching import gpu_turn
from models.hallucinations import is_invented
from models.protocols import Signal
from models.registry import ModelCard
from models.whisper_alignment import HeardWord, align
from models.whisper_batches import Batches, Heard
from models.whisper_pipeline import Model
from models.whisper_windows import RATE_HZ, WINDOW_SECONDS, Prepared

Samples = npt.NDArray[np.float32]

COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
"""On a CPU, 8-bit weights take half the time of 32-bit ones, and a quarter of the memory. The
GPU computes in the precision that the weights are published in."""

WINDOWS_AT_ONCE = {"cpu": 2, "cuda": 16}
"""Windows of 30 s per batch. On a CPU two take 9 % less time than one, and four no less than
two; their number is fixed there, and with it every bit of the result. In the half precision of a
GPU the last digits depend on it."""

MAX_COMPRESSION_RATIO = 2.4
MIN_AVERAGE_LOG_PROBABILITY = -1.0
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Whisper's own limits (section 4.5 of the paper): text above the first repeats itself, and where
the two others are passed there is no speech."""

_BCP_47 = {"jw": "jv"}  # Whisper's only language code that is not one
_WHISPER = {tag: code for code, tag in _BCP_47.items()}


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

    def prepare(self, signal: Signal) -> Prepared:
        """Find the voice in a signal, and make the spectra that the network takes of it.

        This leaves Python's lock to others, so that threads may prepare several signals at once.

        Parameters
        ----------
        signal, shape (n,)
            Mono, at 16 kHz. Of one that is longer than :data:`models.whisper_windows.PIECE_SECONDS`
            a piece at a time is taken, and more than once; it has to stay as it is until the
            transcript is there.
        """
        return Prepared(signal, self._model.feature_extractor)

    def transcribe_together(
        self,
        prepared: Iterable[Prepared],
        *,
        language: str | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Transcript]:
        """Yield what is said or sung in each of some signals, in order.

        Parameters
        ----------
        prepared
            What :meth:`prepare` made of them; taken as they are needed.
        language
            BCP 47 tag of the language of all of them if it is known, else each one's is detected.
        batch_size
            Windows at once on a GPU, None for :data:`WINDOWS_AT_ONCE`. When memory runs out
            it is halved, for good.

        Raises
        ------
        ValueError
            If Whisper does not know the language.
        """
        code = self._model.tokenizer(_whispers(language)).language_code if language else None
        size = self._at_once if self._is_cpu else batch_size or self._at_once
        batches = Batches(self._model, size, joins=not self._is_cpu)
        return (_transcript(heard) for heard in batches.map(prepared, code))

    def transcribe(
        self, signal: Signal, *, language: str | None = None, batch_size: int | None = None
    ) -> Transcript:
        """Write down what is said or sung in one signal: see :meth:`transcribe_together`."""
        (transcript,) = self.transcribe_together(
            [self.prepare(signal)], language=language, batch_size=batch_size
        )
        return transcript

    def encode(self, window: Samples) -> Any:
        """Encode a window of at most 30 s, mono at 16 kHz, for :meth:`align`."""
        features = pad_or_trim(self._model.feature_extractor(window)[..., :-1])
        with gpu_turn():
            return self._model.encode(features[None])

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
        with gpu_turn():
            return align(self._model, encoded, words, _whispers(language), seconds)


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


def _whispers(tag: str) -> str:
    """Return a language as Whisper names it."""
    return _WHISPER.get(tag, tag)


def _transcript(heard: Heard) -> Transcript:
    segments = [
        _segment(each, first / RATE_HZ, last / RATE_HZ)
        for first, last, found in heard.found
        for each in found
        if each.text.strip()
    ]
    if heard.code is None or not segments:
        return Transcript(None, None, ())
    return Transcript(_BCP_47.get(heard.code, heard.code), heard.probability, tuple(segments))


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
