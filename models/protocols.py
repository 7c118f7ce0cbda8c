"""What models do: a task each, and the protocol that the adapters of the task keep.

A step asks for a model by name and task, ``tools.model(name, SEPARATION)``, and gets a
:class:`Separator`. What an adapter promises beyond the signature is in its own docstrings.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from models.encodec import Encoded
    from models.whisper import Transcript
    from models.whisper_alignment import HeardWord

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Adapter = TypeVar("Adapter")


@dataclass(frozen=True)
class Task(Generic[Adapter]):
    """What a model does.

    Attributes
    ----------
    name
        As the cards of models have it.
    protocol
        What the adapters of such models are.
    """

    name: str
    protocol: type[Any]


@runtime_checkable
class Separator(Protocol):
    """Tells the sources of a mix apart.

    Attributes
    ----------
    sources
        Names of what it tells apart.
    sample_rate_hz
        Rate of the audio that it takes and returns.
    needs_level
        Whether it normalises a track by the level of all of it.
    """

    sources: tuple[str, ...]
    sample_rate_hz: int
    needs_level: bool

    def separate(
        self,
        blocks: Iterable[Float32],
        stems: Sequence[str],
        *,
        mean: float,
        std: float,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Return the stems of a track, from blocks ``(2, n)`` to blocks ``(len(stems), 2, n)``.

        `mean` and `std` are those of the mono mix of the whole track, for one that needs them.
        """
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

    def transcribe(
        self, signal: Float32, *, language: str | None = None, batch_size: int | None = None
    ) -> "Transcript":
        """Return the words of a mono signal, shape ``(n,)``, with their times."""
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
class EventDetector(Protocol):
    """Hears which kinds of sound there are at each time.

    Attributes
    ----------
    events
        Kinds of sound, of which several may be heard at once.
    sample_rate_hz
        Rate of the audio that it hears.
    hop_seconds
        Between its frames.
    """

    events: tuple[str, ...]
    sample_rate_hz: int
    hop_seconds: float

    def probabilities(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Return probabilities, ``(frames, len(events))`` each, of a mono track in blocks."""
        ...


@runtime_checkable
class Tagger(Protocol):
    """Says how likely listeners would give music each tag.

    Attributes
    ----------
    tags
        What it knows.
    sample_rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once.
    """

    tags: tuple[str, ...]
    sample_rate_hz: int
    window_samples: int

    def bands(self, windows: Float32) -> Float32:
        """Return what :meth:`scores` takes of mono windows, shape ``(n, window_samples)``.

        Taggers of the same library take the same.
        """
        ...

    def scores(self, bands: Float32) -> Float32:
        """Return how likely each tag is in each window, shape ``(n, len(tags))``."""
        ...


@runtime_checkable
class PitchTracker(Protocol):
    """Hears how likely each pitch is."""

    def activations(self, samples: Float32, hop_samples: int) -> Iterator[Float32]:
        """Return activations of pitch bins, ``(frames, bins)`` each, of a mono signal in frames."""
        ...


class BeatFrames(NamedTuple):
    """What a tracker of beats hears in some frames.

    Attributes
    ----------
    activations
        Probabilities of a beat that is no downbeat, and of a downbeat, shape ``(frames, 2)``.
    levels
        Levels of bands, ``log10(1 + magnitude)``, shape ``(frames, bands)``.
    """

    activations: Float32
    levels: Float32


@runtime_checkable
class BeatTracker(Protocol):
    """Hears how likely each moment is a beat, and a downbeat.

    Attributes
    ----------
    sample_rate_hz
        Rate of the audio that it hears.
    frame_rate_hz
        Frames per second.
    band_hz
        Centres of the bands of its levels, shape ``(bands,)``.
    """

    sample_rate_hz: int
    frame_rate_hz: float
    band_hz: Float64

    def hear(self, blocks: Iterable[Float32]) -> Iterator[BeatFrames]:
        """Return what is heard in a mono signal, given in blocks of shape ``(n,)``."""
        ...


@runtime_checkable
class VoicedPitchTracker(Protocol):
    """Hears the pitch of each frame, and how sure it is that there is one."""

    def track(
        self, samples: Float32, hop_samples: int, *, fmax_hz: float = np.inf, gain: float = 1.0
    ) -> tuple[Float32, Float32]:
        """Return F0 up to `fmax_hz`, and confidence, ``(frames,)`` each; `gain` is a factor."""
        ...


@runtime_checkable
class VoiceRater(Protocol):
    """Says how good a recording of a voice sounds, as listeners would.

    Attributes
    ----------
    scales
        What is scored.
    sample_rate_hz
        Rate of the audio that is scored.
    window_samples
        What is scored at once.
    """

    scales: tuple[str, ...]
    sample_rate_hz: int
    window_samples: int

    def scores(self, windows: Iterable[Float32]) -> Iterator[Float32]:
        """Return scores, ``(len(scales),)`` each, of mono windows ``(window_samples,)``."""
        ...


@runtime_checkable
class VoiceEmbedder(Protocol):
    """Embeds the voice of an utterance, in which it finds the voice itself."""

    def voiced(self, signal: Float32) -> Float32:
        """Return what is voice in a mono signal, shape ``(samples,)``; empty if nothing is."""
        ...

    def embed(self, voiced: Float32, partials_per_second: float) -> Float32:
        """Return the embedding of what :meth:`voiced` returned, of unit norm."""
        ...


@runtime_checkable
class SpeakerEmbedder(Protocol):
    """Embeds who speaks or sings, signal by signal."""

    def embed(self, signals: Iterable[Float32], batch_size: int | None = None) -> Iterator[Float32]:
        """Return the embeddings of mono signals, shape ``(samples,)`` each, of unit norm."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """Embeds texts.

    Attributes
    ----------
    dimensions
        Of the space.
    """

    dimensions: int

    def embed_text(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Float32]:
        """Return the embeddings of texts, shape ``(dimensions,)`` each."""
        ...


@runtime_checkable
class AudioTextEmbedder(TextEmbedder, Protocol):
    """Embeds sounds and texts in one space.

    Attributes
    ----------
    rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once.
    """

    rate_hz: int
    window_samples: int

    def embed_audio(
        self, windows: Iterable[Float32], batch_size: int | None = None
    ) -> Iterator[Float32]:
        """Return the embeddings of mono windows, shape ``(samples,)`` each."""
        ...


@runtime_checkable
class MusicEmbedder(Protocol):
    """Describes music frame by frame.

    Attributes
    ----------
    sample_rate_hz
        Rate of the audio that it hears.
    dimensions
        Numbers per frame.
    frame_rate_hz
        Frames per second.
    layers
        Layers to choose from.
    min_samples
        Samples of the shortest window that has a frame.
    """

    sample_rate_hz: int
    dimensions: int
    frame_rate_hz: float
    layers: int
    min_samples: int

    def embed(
        self,
        windows: Iterable[Float32],
        *,
        layer: int | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Return the features of mono windows, shape ``(frames, dimensions)`` each."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Turns audio into codes, and back.

    Attributes
    ----------
    sample_rate_hz, channels
        Of the signals.
    frame_rate_hz
        Frames per second.
    codebook_size
        Entries of a codebook.
    bandwidths_kbps
        Bandwidths to choose from, ascending.
    """

    sample_rate_hz: int
    channels: int
    frame_rate_hz: float
    codebook_size: int
    bandwidths_kbps: tuple[float, ...]

    def codebooks(self, bandwidth_kbps: float | None = None) -> int:
        """Return the number of codebooks of a bandwidth; None for the lowest."""
        ...

    def encode(
        self,
        signals: Iterable[Float32],
        *,
        bandwidth_kbps: float | None = None,
        batch_size: int | None = None,
    ) -> "Iterator[Encoded]":
        """Return the codes of signals, shape ``(channels, samples)`` each."""
        ...

    def decode(self, encoded: "Encoded") -> Float32:
        """Return the audio of a signal's codes, shape ``(channels, samples)``."""
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


SEPARATION: Task[Separator] = Task("separation", Separator)
TRANSCRIPTION: Task[Transcriber] = Task("transcription", Transcriber)
AUDIO_EVENTS: Task[EventDetector] = Task("audio-events", EventDetector)
TAGGING: Task[Tagger] = Task("tagging", Tagger)
PITCH: Task[PitchTracker] = Task("pitch", PitchTracker)
BEATS: Task[BeatTracker] = Task("beats", BeatTracker)
PITCH_AND_VOICING: Task[VoicedPitchTracker] = Task("pitch-and-voicing", VoicedPitchTracker)
VOICE_QUALITY: Task[VoiceRater] = Task("voice-quality", VoiceRater)
VOICE_EMBEDDING: Task[VoiceEmbedder] = Task("voice-embedding", VoiceEmbedder)
SPEAKER_EMBEDDING: Task[SpeakerEmbedder] = Task("speaker-embedding", SpeakerEmbedder)
AUDIO_TEXT_EMBEDDING: Task[AudioTextEmbedder] = Task("audio-text-embedding", AudioTextEmbedder)
MUSIC_EMBEDDING: Task[MusicEmbedder] = Task("music-embedding", MusicEmbedder)
CODEC: Task[Codec] = Task("codec", Codec)
PHONEMES: Task[Phonemizer] = Task("phonemes", Phonemizer)
LANGUAGE_IDENTIFICATION: Task[LanguageIdentifier] = Task(
    "language-identification", LanguageIdentifier
)

TASKS: dict[str, Task[Any]] = {
    task.name: task
    for task in (
        SEPARATION,
        TRANSCRIPTION,
        AUDIO_EVENTS,
        TAGGING,
        PITCH,
        BEATS,
        PITCH_AND_VOICING,
        VOICE_QUALITY,
        VOICE_EMBEDDING,
        SPEAKER_EMBEDDING,
        AUDIO_TEXT_EMBEDDING,
        MUSIC_EMBEDDING,
        CODEC,
        PHONEMES,
        LANGUAGE_IDENTIFICATION,
    )
}
"""All tasks of models, by name."""
