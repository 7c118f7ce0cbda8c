"""What is said in a track, and how."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from models.whisper import Transcript
    from models.whisper_alignment import HeardWord

Float32 = npt.NDArray[np.float32]


class Signal(Protocol):
    """Samples of a mono signal: an array, or what reads parts of a long one where they lie."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, part: slice, /) -> Float32:
        """Return those of a part, shape ``(n,)``."""
        ...


@runtime_checkable
class Transcriber(Protocol):
    """Writes down what is said or sung, and finds words that are known.

    Attributes
    ----------
    silence
        What :meth:`encode` returns of a silent window of 30 s.
    """

    silence: Any

    def prepare(self, signal: Signal) -> Any:
        """Return what :meth:`transcribe_together` takes of a signal: the processor's work.

        May be called by several threads at once.
        """
        ...

    def transcribe_together(
        self, prepared: Iterable[Any], *, language: str | None = None, batch_size: int | None = None
    ) -> "Iterator[Transcript]":
        """Yield the words of each signal with their times, in order: the network's work."""
        ...

    def encode(self, window: Float32) -> Any:
        """Return what :meth:`align` takes of a mono window of at most 30 s, shape ``(n,)``."""
        ...

    def align(
        self, encoded: Any, words: Sequence[str], *, language: str, seconds: float
    ) -> "Sequence[HeardWord]":
        """Return where given words are heard in a window of so many seconds."""
        ...


@runtime_checkable
class Phonemizer(Protocol):
    """Says how words are spoken.

    Attributes
    ----------
    name
        As rows name it.
    """

    name: str

    def language(self, tag: str) -> str | None:
        """Return its own name of the language of a BCP 47 tag; None if it does not know it."""
        ...

    def unread(self, tag: str) -> str | None:
        """Return why it does not read a language that it knows by name; None if it does not."""
        ...

    def speak(self, text: str, language: str) -> tuple[tuple[str, ...], ...]:
        """Return the phonemes of each spoken word; `language` as :meth:`language` names it."""
        ...

    def spell(self, letters: str, language: str) -> tuple[str, ...]:
        """Return the phonemes of the names of letters; empty if it does not know all of them."""
        ...


@runtime_checkable
class LanguageIdentifier(Protocol):
    """Tells the language of a text."""

    def languages(self, text: str) -> list[tuple[str, float]]:
        """Return languages with their probabilities, the likeliest first."""
        ...
