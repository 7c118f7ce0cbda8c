"""Times of the words of known lyrics, found in the sound by Whisper.

Lyrics that say every word's time are left as they are, and so is what Whisper wrote down itself.
"""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Literal

import pyarrow as pa
from pydantic import Field

from models.protocols import TRANSCRIPTION
from tasks.song.heard import heard, signal
from tasks.song.lyric_files.lines import notice
from tasks.song.transcribe import LANGUAGES
from tasks.song.word_places import Known, PlacedLine
from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, on_gpu, per_track

OTHER_LANGUAGE = "en"
"""What Whisper is told of words in a language that it does not know, or that nobody could tell."""


class AlignConfig(StepConfig):
    """How the words of known lyrics are found in the sound."""

    model: Literal[
        "auto", "off", "tiny", "base", "small", "medium", "large-v2", "large-v3", "large-v3-turbo"
    ] = Field(
        "auto",
        description="Size of Whisper that finds when the words of lyrics files are sung, or off "
        "(default: base where Whisper transcribes, else off).",
        json_schema_extra={"flag": "align_model"},
    )

    @property
    def model_name(self) -> str:
        """Name of the model in the registry."""
        return f"whisper-{'base' if self.model == 'auto' else self.model}"


_TIMES = pa.list_(pa.float64())

COLUMNS = pa.schema(
    [
        column("model", pa.string(), "which Whisper; null if nothing was to be aligned"),
        column("heard", pa.string(), "what it was given: vocals, or mix"),
        column("word_start_seconds", _TIMES, "start of each word; null if it is not sung", "s"),
        column("word_end_seconds", _TIMES, "end of each word", "s"),
        column(
            "word_confidence",
            pa.list_(pa.float32()),
            "probability of each word where it was put; null if it is not sung",
        ),
        column("line_start_seconds", _TIMES, "start of each line", "s"),
        column("line_end_seconds", _TIMES, "end of each line", "s"),
        column("unsung_lines", pa.list_(pa.int32()), "indices of lines that are not heard"),
        column("notices", pa.list_(pa.string()), "which lines are not heard"),
    ]
)


def align(
    track: Track, upstream: Mapping[str, Row | None], config: AlignConfig, tools: Tools
) -> Row:
    """Find the words of one track's lyrics; nulls if there is nothing to be aligned."""
    lyrics, separated = upstream["lyrics"], upstream["separate"]
    assert lyrics is not None
    assert separated is not None
    if not is_to_be_aligned(lyrics):
        return dict.fromkeys(COLUMNS.names)
    # Nothing of it is needed where no words are known.
    from tasks.song.aligned_lines import find

    model = tools.model(config.model_name, TRANSCRIPTION)
    sound = signal(track, upstream, tools)
    lines = known_lines(lyrics)
    what = heard(separated)
    found = find(model, sound, lines, _language(lyrics), is_vocals=what == "vocals")
    return _row(lyrics, lines, found) | {"model": config.model_name, "heard": what}


def is_to_be_aligned(lyrics: Row) -> bool:
    """Return whether lyrics are known words of which some have no time."""
    starts = lyrics["word_start_seconds"]
    return bool(starts) and not lyrics["source"].startswith("whisper-") and None in starts


def known_lines(lyrics: Row) -> list[Known]:
    """Lines of a row of `lyrics`, with the times that it gives them."""
    words: list[list[str]] = [[] for _ in lyrics["line_text"]]
    for text, line in zip(lyrics["word_text"], lyrics["word_line"], strict=True):
        words[line].append(text)
    return [
        Known(tuple(each), start, end)
        for each, start, end in zip(
            words, lyrics["line_start_seconds"], lyrics["line_end_seconds"], strict=True
        )
    ]


def _language(lyrics: Row) -> str:
    tag = (lyrics["language"] or "").split("-")[0]
    return tag if tag in LANGUAGES else OTHER_LANGUAGE


def _row(lyrics: Row, lines: Sequence[Known], found: Sequence[PlacedLine | None]) -> Row:
    """Row of what was found; times that the lyrics give go before it."""
    words = [
        word
        for line, placed in zip(lines, found, strict=True)
        for word in (placed.words if placed else [None] * len(line.words))
    ]
    given = zip(lyrics["word_start_seconds"], lyrics["word_end_seconds"], words, strict=True)
    times: list[tuple[float | None, float | None]] = [
        (start, end)
        if start is not None or word is None
        else (word.start_seconds, word.end_seconds)
        for start, end, word in given
    ]
    spans = [
        (line.start_seconds, line.end_seconds)
        if line.start_seconds is not None or placed is None
        else (placed.words[0].start_seconds, placed.words[-1].end_seconds)
        for line, placed in zip(lines, found, strict=True)
    ]
    unsung = [
        index
        for index, (line, placed) in enumerate(zip(lines, found, strict=True))
        if line.words and placed is None
    ]
    sentence = "these lines are not heard in this recording, and have no times from it"
    texts = [lyrics["line_text"][index] for index in unsung]
    return {
        "word_start_seconds": [start for start, _ in times],
        "word_end_seconds": [end for _, end in times],
        "word_confidence": [exp(word.log_probability) if word else None for word in words],
        "line_start_seconds": [start for start, _ in spans],
        "line_end_seconds": [end for _, end in spans],
        "unsung_lines": unsung,
        "notices": [notice("not-sung", sentence, texts)] if unsung else [],
    }


STEP = Step(
    name="align",
    version=1,
    config=AlignConfig,
    columns=COLUMNS,
    run=per_track(align),
    upstream=("probe", "separate", "lyrics"),
    resource=on_gpu,
    models=lambda config: (config.model_name,),
    cost=costs(2.0, 0.3),
)
