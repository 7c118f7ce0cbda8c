"""Values of columns that are more than a copy of a step's own.

Functions of a track take its :class:`Rows`, those of a segment a :class:`Segment`. A step that
failed or is not part of the run has an empty row, and its columns are None. Nothing is rounded
here: how, the table of columns says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.song import voices
from tasks.song.clap_tags import nearest
from tasks.song.confident_tags import tags_of
from tasks.song.lyrics import aligned_lyrics, segment_lyrics, timed_lyrics
from tasks.song.segments import has_vocals as segment_has_vocals
from tasks.song.segments import segment_means, vocal_ratio
from tasks.step import Row


class Rows(dict[str, Row]):
    """Rows of a track by step of the run: empty where a step failed, and of any other step."""

    def __missing__(self, step: str) -> Row:
        return {}


@dataclass(frozen=True)
class Segment:
    """One segment of a track.

    Attributes
    ----------
    rows
        Rows of the track, by step.
    index
        Place of the segment in the track, from 0.
    start_seconds, end_seconds, label
        As `sections` found it; without sections, the whole track without a label.
    """

    rows: Rows
    index: int
    start_seconds: float
    end_seconds: float
    label: str | None

    @property
    def span(self) -> tuple[float, float]:
        """Start and end in seconds."""
        return self.start_seconds, self.end_seconds

    @cached_property
    def means(self) -> Mapping[str, Any]:
        """Means of the features over the segment; empty without features."""
        features = self.rows["features"]
        return segment_means(features, *self.span) if features else {}


def segments(rows: Rows) -> list[Segment]:
    """Segments of a track; one for the whole track without sections."""
    sections = rows["sections"]
    if not sections:
        return [Segment(rows, 0, 0.0, duration(rows), None)]
    spans = zip(sections["start_seconds"], sections["end_seconds"], sections["label"], strict=True)
    return [Segment(rows, index, *span) for index, span in enumerate(spans)]


def duration(rows: Rows) -> float:
    """Duration as decoded, in seconds."""
    seconds: float = (rows["features"] or rows["probe"])["duration_seconds"]
    return seconds


def audio_notices(rows: Rows) -> list[str]:
    """Return the notices of the file, and that of the vocals if they were stored with a gain."""
    notices = list(rows["probe"]["audio_notices"])
    gain_db = rows["separate"].get("vocals_gain_db")
    if gain_db:
        notices.append(
            f"vocals-gain: The vocals exceed full scale; they are stored with {gain_db:.1f} dB."
        )
    return notices


def chords(rows: Rows) -> list[dict[str, Any]] | None:
    """Chords, one after the other from the begin of the track to its end; None of no music."""
    row = rows["harmony"]
    if not row or row["chord_label"] is None:
        return None
    return [
        {"chord": label, "start_time": start, "end_time": end}
        for label, start, end in zip(
            row["chord_label"], row["chord_start_seconds"], row["chord_end_seconds"], strict=True
        )
    ]


def is_instrumental(rows: Rows) -> bool | None:
    """Return whether the track is music without vocals."""
    activity = rows["activity"]
    if not activity:
        return None
    return voices.is_instrumental(activity, rows["lyrics"], rows["probe"]["duration_seconds"])


def vocal_activity(rows: Rows) -> list[dict[str, Any]] | None:
    """Return when a voice is heard, and whether it sings."""
    if not rows["activity"]:
        return None
    return [
        {"start_time": start, "end_time": end, "kind": kind}
        for start, end, kind in voices.voices(rows["activity"])
    ]


def tags(rows: Rows) -> list[dict[str, Any]] | None:
    """Return the tags that are sure enough; empty where none is, None of what is no music."""
    told = tags_of(rows)
    return None if told is None else [tag._asdict() for tag in told]


def clap_tags(rows: Rows) -> list[dict[str, Any]] | None:
    """Return the tags whose descriptions are nearest to the sound; None of what is no music."""
    similarity = rows["clap_tags"].get("similarity")
    if similarity is None:
        return None
    return [
        {"tag": tag, "kind": kind, "similarity": value} for tag, kind, value in nearest(similarity)
    ]


def lyrics_lines(rows: Rows) -> list[dict[str, Any]] | None:
    """Lines of the lyrics with their times."""
    return _timed(_lyrics(rows), "line", "text")


def lyrics_words(rows: Rows) -> list[dict[str, Any]] | None:
    """Words of the lyrics with their times, and how surely Whisper found each, if it did."""
    words = _timed(_lyrics(rows), "word", "word")
    if words is None:
        return None
    confidences = rows["align"].get("word_confidence") or [None] * len(words)
    return [
        word | {"alignment_confidence": confidence}
        for word, confidence in zip(words, confidences, strict=True)
    ]


def lyrics_notices(rows: Rows) -> list[str] | None:
    """Return what of the lyrics file was repaired, left out or not sung, and where it disagrees.

    That is where its own times are not those of a voice that is heard.
    """
    notices: list[str] | None = _lyrics(rows).get("notices")
    disagreements = voices.disagreements(rows["activity"], rows["lyrics"])
    return [*(notices or ()), *disagreements] if disagreements else notices


def words_heard(rows: Rows) -> str | None:
    """Return what Whisper was given: the vocals or the mix; None if it was given nothing."""
    heard: str | None = rows["align"].get("heard") or rows["transcribe"].get("heard")
    return heard


def _lyrics(rows: Rows) -> Row:
    """Row of the lyrics, with times from the sound if there are any."""
    return dict(aligned_lyrics(rows["lyrics"], rows["align"]) or {})


def lyrics_sections(rows: Rows) -> list[dict[str, Any]] | None:
    """Headings in the lyrics, each with the index of the line that it stands over."""
    row = _lyrics(rows)
    if row.get("heading_text") is None:
        return None
    return [
        {"label": label, "start_time": start, "line": line}
        for label, start, line in zip(
            row["heading_text"], row["heading_start_seconds"], row["heading_line"], strict=True
        )
    ]


def _timed(lyrics: Row, unit: str, text: str) -> list[dict[str, Any]] | None:
    texts = lyrics.get(f"{unit}_text")
    if texts is None:
        return None
    starts, ends = lyrics[f"{unit}_start_seconds"], lyrics[f"{unit}_end_seconds"]
    return [
        {text: value, "start_time": start, "end_time": end}
        for value, start, end in zip(texts, starts, ends, strict=True)
    ]


def transcript(rows: Rows) -> list[dict[str, Any]] | None:
    """Windows of the transcript, with what Whisper thinks of them."""
    row = rows["transcribe"]
    if not row:
        return None
    columns = {
        "text": row["segment_text"],
        "start_time": row["segment_start_seconds"],
        "end_time": row["segment_end_seconds"],
        "average_log_probability": row["segment_average_log_probability"],
        "no_speech_probability": row["segment_no_speech_probability"],
        "compression_ratio": row["segment_compression_ratio"],
        "is_hallucination": row["segment_is_hallucination"],
    }
    return [
        dict(zip(columns, window, strict=True)) for window in zip(*columns.values(), strict=True)
    ]


def phonemes(rows: Rows) -> dict[str, Any] | None:
    """Phonemes of the lyrics, whole, per word and per line."""
    row = rows["phonemes"]
    if row.get("phonemes_ipa") is None:
        return None
    return {
        "phonemes_ipa": row["phonemes_ipa"],
        "words": [
            {"word": word, "phonemes": phonemes}
            for word, phonemes in zip(row["word"], row["word_phonemes"], strict=True)
        ],
        "lines": row["line_ipa"],
        "backend": row["backend"],
    }


def segment_idx(segment: Segment) -> int:
    """Place of the segment in the track, from 0."""
    return segment.index


def start_time(segment: Segment) -> float:
    """Start of the segment, in seconds."""
    return segment.start_seconds


def end_time(segment: Segment) -> float:
    """End of the segment, in seconds."""
    return segment.end_seconds


def mean(name: str) -> Callable[[Segment], Any]:
    """Return a function of the mean of a feature over a segment."""
    return lambda segment: segment.means.get(name)


def has_vocals(segment: Segment) -> bool | None:
    """Return whether the segment has vocals."""
    return segment_has_vocals(segment.rows, *segment.span, segment.label)


def ratio_of_vocals(segment: Segment) -> float | None:
    """RMS of the vocals over the mix's."""
    return vocal_ratio(segment.rows["separate"], *segment.span)


def f0_mean(segment: Segment) -> float | None:
    """Mean F0 of the voiced frames, in Hz."""
    contour = f0_contour(segment)
    if contour is None:
        return None
    voiced = contour[np.isfinite(contour)]
    return float(voiced.mean()) if len(voiced) else None


def f0_contour(segment: Segment) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    """F0 of each frame in Hz, NaN where it is unvoiced; shape ``(frames,)``."""
    pitch = segment.rows["pitch"]
    if not pitch:
        return None
    first, end = (round(seconds / pitch["hop_seconds"]) for seconds in segment.span)
    return np.asarray(pitch["f0_hz"][first:end], np.float64)


def vibrato(name: str) -> Callable[[Segment], float | None]:
    """Return a function of the mean over a segment's vibratos, weighed by their seconds."""

    def mean_of_vibratos(segment: Segment) -> float | None:
        singing = segment.rows["singing"]
        if not singing:
            return None
        starts = np.asarray(singing["vibrato_start_seconds"], np.float64)
        seconds = np.asarray(singing["vibrato_end_seconds"], np.float64) - starts
        inside = (starts >= segment.start_seconds) & (starts < segment.end_seconds)
        values = np.asarray(singing[f"vibrato_{name}"], np.float64)[inside]
        return float(np.average(values, weights=seconds[inside])) if len(values) else None

    return mean_of_vibratos


def breath_positions(segment: Segment) -> list[float] | None:
    """Return the times of audible breaths, in seconds of the track."""
    singing = segment.rows["singing"]
    if not singing:
        return None
    start, end = segment.span
    return [time for time in singing["breath_times_seconds"] if start <= time < end]


def words_sung(segment: Segment) -> str | None:
    """Words that begin in the segment."""
    timed = timed_lyrics(_lyrics(segment.rows), segment.rows["transcribe"])
    return segment_lyrics(timed, *segment.span) if timed else None
