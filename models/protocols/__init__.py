"""What models do: a task each, and the protocol that the adapters of the task keep.

A step asks for a model by name and task, ``tools.model(name, SEPARATION)``, and gets a
:class:`Separator`. What an adapter promises beyond the signature is in its own docstrings.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from models.protocols.embeddings import (
    AudioTextEmbedder,
    EmbeddingProjector,
    MusicEmbedder,
    SpeakerEmbedder,
    TextEmbedder,
    VoicedSignal,
    VoiceEmbedder,
)
from models.protocols.generation import LearntConcepts, MusicGenerator
from models.protocols.listening import (
    BeatFrames,
    BeatTracker,
    EventDetector,
    PitchTracker,
    Tagger,
    VoicedPitchTracker,
    VoiceRater,
)
from models.protocols.signals import (
    Codec,
    Separator,
    SeparatorOfMany,
)
from models.protocols.words import (
    LanguageIdentifier,
    Phonemizer,
    Signal,
    Transcriber,
)

__all__ = [
    "AUDIO_EVENTS",
    "AUDIO_TEXT_EMBEDDING",
    "BEATS",
    "CODEC",
    "CONCEPTS",
    "GENERATION",
    "LANGUAGE_IDENTIFICATION",
    "MUSIC_EMBEDDING",
    "PHONEMES",
    "PITCH",
    "PITCH_AND_VOICING",
    "PROJECTION",
    "SEPARATION",
    "SPEAKER_EMBEDDING",
    "TAGGING",
    "TASKS",
    "TEXT_EMBEDDING",
    "TRANSCRIPTION",
    "VOICE_EMBEDDING",
    "VOICE_QUALITY",
    "AudioTextEmbedder",
    "BeatFrames",
    "BeatTracker",
    "Codec",
    "EmbeddingProjector",
    "EventDetector",
    "LanguageIdentifier",
    "LearntConcepts",
    "MusicEmbedder",
    "MusicGenerator",
    "Phonemizer",
    "PitchTracker",
    "Separator",
    "SeparatorOfMany",
    "Signal",
    "SpeakerEmbedder",
    "Tagger",
    "Task",
    "TextEmbedder",
    "Transcriber",
    "VoiceEmbedder",
    "VoiceRater",
    "VoicedPitchTracker",
    "VoicedSignal",
]

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
TEXT_EMBEDDING: Task[TextEmbedder] = Task("text-embedding", TextEmbedder)
AUDIO_TEXT_EMBEDDING: Task[AudioTextEmbedder] = Task("audio-text-embedding", AudioTextEmbedder)
MUSIC_EMBEDDING: Task[MusicEmbedder] = Task("music-embedding", MusicEmbedder)
PROJECTION: Task[EmbeddingProjector] = Task("projection", EmbeddingProjector)
CODEC: Task[Codec] = Task("codec", Codec)
GENERATION: Task[MusicGenerator] = Task("music-generation", MusicGenerator)
CONCEPTS: Task[LearntConcepts] = Task("musical-concepts", LearntConcepts)
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
        TEXT_EMBEDDING,
        AUDIO_TEXT_EMBEDDING,
        MUSIC_EMBEDDING,
        PROJECTION,
        CODEC,
        GENERATION,
        CONCEPTS,
        PHONEMES,
        LANGUAGE_IDENTIFICATION,
    )
}
"""All tasks of models, by name."""
