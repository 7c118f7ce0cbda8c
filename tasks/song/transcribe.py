"""What is sung, written down by Whisper, with the times of the words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from models.protocols import TRANSCRIPTION
from tasks.audio.windows import per_window
from tasks.song.heard import heard, signal
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, on_gpu

_TAGS = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he "
    "hi hr ht hu hy id is it ja jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne "
    "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk "
    "ur uz vi yi yo yue zh"
)
LANGUAGES = frozenset(_TAGS.split())
"""BCP 47 tags of the languages that Whisper writes; Cantonese (yue) only from large-v3 on."""


class TranscribeConfig(StepConfig):
    """How the vocals are written down."""

    model: Literal[
        "auto",
        "off",
        "tiny",
        "base",
        "small",
        "medium",
        "large",
        "large-v2",
        "large-v3",
        "large-v3-turbo",
    ] = Field(
        "auto",
        description="Size of Whisper: the larger, the fewer errors; large is large-v3; off does "
        "not transcribe (default: large-v3 in the full profile, else off).",
        json_schema_extra={"flag": "whisper_model"},
    )
    language: str | None = Field(
        None, description="Language of all songs (en, es, ...), instead of detecting each one's."
    )

    @field_validator("model")
    @classmethod
    def _latest(cls, model: str) -> str:
        return "large-v3" if model == "large" else model

    @field_validator("language")
    @classmethod
    def _known(cls, language: str | None) -> str | None:
        if language is None:
            return None
        tag = language.lower()
        if tag not in LANGUAGES:
            raise ValueError(f"Whisper does not know the language; it knows {_TAGS}")
        return tag

    @property
    def model_name(self) -> str:
        """Name of the model in the registry."""
        return f"whisper-{'large-v3' if self.model == 'auto' else self.model}"


_TEXTS, _TIMES, _SHARES = pa.list_(pa.string()), pa.list_(pa.float64()), pa.list_(pa.float32())

COLUMNS = pa.schema(
    [
        column("text", pa.string(), "all that was heard, a line per segment; null if nothing was"),
        column("language", pa.string(), "BCP 47 tag, detected or given"),
        column("language_probability", pa.float32(), "of the language; 1 if it was given"),
        column("model", pa.string(), "which Whisper"),
        column("heard", pa.string(), "what it was given: vocals, or mix if there are no good ones"),
        column("segment_text", _TEXTS, "text of each segment, a window of at most 30 s"),
        column("segment_start_seconds", _TIMES, "start of its first word", "s"),
        column("segment_end_seconds", _TIMES, "end of its last word", "s"),
        column("segment_average_log_probability", _SHARES, "mean over its tokens"),
        column("segment_no_speech_probability", _SHARES, "of there being no speech"),
        column("segment_compression_ratio", _SHARES, "how well zlib compresses its text"),
        column(
            "segment_is_hallucination",
            pa.list_(pa.bool_()),
            "whether its text is repetitive, improbable where nothing is said, or has no letters",
        ),
        column("word_text", _TEXTS, "words, each with the space before it if there is one"),
        column("word_start_seconds", _TIMES, "start of each word", "s"),
        column("word_end_seconds", _TIMES, "end of each word", "s"),
        column("word_probability", _SHARES, "mean probability of its tokens"),
        column("word_segment", pa.list_(pa.int32()), "index of the segment that it is in"),
    ]
)


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: TranscribeConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Transcripts of a batch; one without words where no voice is found."""
    model = tools.model(config.model_name, TRANSCRIPTION)

    def prepared(at: int) -> Iterator[Any]:
        rows_of_track = {name: rows[at] for name, rows in upstream.items()}
        yield model.prepare(signal(tracks[at], rows_of_track, tools))

    def transcripts(signals: Iterable[Any]) -> Iterator[Any]:
        return model.transcribe_together(
            signals, language=config.language, batch_size=tools.batch_size
        )

    results = per_window(len(tracks), prepared, transcripts, tools.tracks_at_once)
    separated: Any = upstream["separate"]
    return [
        result
        if isinstance(result, TrackError)
        else row_of(result[0], config.model_name, heard(separated[at]))
        for at, result in enumerate(results)
    ]


def row_of(transcript: Any, model: str, heard: str) -> Row:
    """Row of a transcript."""
    segments = transcript.segments
    words = [(index, word) for index, segment in enumerate(segments) for word in segment.words]
    return {
        "text": "\n".join(segment.text for segment in segments) or None,
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "model": model,
        "heard": heard,
        "segment_text": [segment.text for segment in segments],
        "segment_start_seconds": [segment.start_seconds for segment in segments],
        "segment_end_seconds": [segment.end_seconds for segment in segments],
        "segment_average_log_probability": [
            segment.average_log_probability for segment in segments
        ],
        "segment_no_speech_probability": [segment.no_speech_probability for segment in segments],
        "segment_compression_ratio": [segment.compression_ratio for segment in segments],
        "segment_is_hallucination": [segment.is_hallucination for segment in segments],
        "word_text": [word.text for _, word in words],
        "word_start_seconds": [word.start_seconds for _, word in words],
        "word_end_seconds": [word.end_seconds for _, word in words],
        "word_probability": [word.probability for _, word in words],
        "word_segment": [index for index, _ in words],
    }


_CPU_SECONDS = {
    **{"tiny": 0.85, "base": 1.6, "small": 5.3, "medium": 17.0, "large-v2": 34.0},
    **{"large-v3": 34.0, "auto": 34.0, "large-v3-turbo": 20.0},
}
"""Per minute of audio; those of larger networks than tiny by their number of weights."""


def _cost(config: TranscribeConfig, device: str) -> float:
    cpu = _CPU_SECONDS.get(config.model, 0.0)
    return cpu if device == "cpu" else cpu / 70


STEP = Step(
    name="transcribe",
    version=2,
    config=TranscribeConfig,
    columns=COLUMNS,
    run=run,
    upstream=("probe", "separate"),
    resource=on_gpu,
    models=lambda config: (config.model_name,),
    cost=_cost,
)
