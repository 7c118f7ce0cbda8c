"""Everything known of a track, in one record: the entry of the dataset.

Names and nesting are those of ``tasks/song/schema.py``. Values are rounded here
and nowhere else.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tasks.engine.batch import UPSTREAM_FAILED
from tasks.song.lyrics import segment_lyrics, timed_lyrics
from tasks.song.segments import segment_means, vocal_ratio, vocals_heard
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track

TIME_DECIMALS = 3
PITCH_DECIMALS = 2
SIGNIFICANT_DIGITS = 6


class MergeConfig(StepConfig):
    """Nothing about the merge can be configured."""


def merge(
    track: Track, upstream: Mapping[str, Row | None], config: MergeConfig, tools: Tools
) -> Row:
    """Record of one track; steps that are not part of the run leave nulls."""
    probe = upstream["probe"]
    assert probe is not None
    # Without features a file was not decoded to its end: it is no track of a dataset.
    if "features" in upstream and upstream["features"] is None:
        raise TrackError(UPSTREAM_FAILED, "features failed")
    rows: dict[str, Row] = {name: row or {} for name, row in upstream.items()}
    features, separate = rows.get("features", {}), rows.get("separate", {})
    lyrics, voice = rows.get("lyrics", {}), rows.get("voice", {})
    duration = (features or probe)["duration_seconds"]
    record = {
        "duration": _round(duration, TIME_DECIMALS),
        "sample_rate": probe["sample_rate_hz"],
        "channels": probe["channels"],
        "format": probe["format"],
        "decoder": probe["decoder"],
        "tempo": _round(features.get("tempo_bpm"), PITCH_DECIMALS),
        "dominant_key": features.get("tonic"),
        "mode": features.get("mode"),
        "key_confidence": _significant(features.get("key_confidence")),
        "energy": _significant(features.get("energy")),
        "rms": _significant(features.get("rms")),
        "spectral_centroid": _significant(features.get("spectral_centroid_hz")),
        "chroma": _significant(features.get("chroma")),
        "mel": _significant(features.get("mel_db")),
        "mfcc": _significant(features.get("mfcc")),
        "beats": _round(features.get("beat_times_seconds"), TIME_DECIMALS),
        "vocals_path": separate.get("vocals_path"),
        "singing_confidence": rows.get("singing", {}).get("confidence"),
        "voice_embedding": _significant(voice.get("voice_embedding")),
        "ecapa_embedding": _significant(rows.get("ecapa", {}).get("ecapa_embedding")),
        "clap_embedding": _significant(rows.get("clap", {}).get("clap_embedding")),
        "lyrics": lyrics.get("text"),
        "lyrics_language": lyrics.get("language"),
        "lyrics_source": lyrics.get("source"),
        "lyrics_lines": _timed(lyrics, "line", "text"),
        "lyrics_words": _timed(lyrics, "word", "word"),
        "transcript": _transcript(rows.get("transcribe", {})),
        "phonemes": _phonemes(rows.get("phonemes", {})),
        "segments": [
            _segment(at, start, end, label, rows)
            for at, (start, end, label) in enumerate(_spans(rows, duration))
        ],
    }
    return {"record": orjson.dumps(record).decode()}


def _spans(rows: Mapping[str, Row], duration: float) -> list[tuple[float, float, str | None]]:
    """Start, end and label of each segment; one for the whole track without sections."""
    sections = rows.get("sections")
    if not sections:
        return [(0.0, duration, None)]
    return list(
        zip(sections["start_seconds"], sections["end_seconds"], sections["label"], strict=True)
    )


def _segment(
    at: int, start: float, end: float, label: str | None, rows: Mapping[str, Row]
) -> dict[str, Any]:
    features, lyrics = rows.get("features"), rows.get("lyrics")
    timed = timed_lyrics(lyrics, rows.get("transcribe"))
    means = segment_means(features, start, end) if features else {}
    ratio = vocal_ratio(rows.get("separate"), start, end)
    prompts, enhanced = rows.get("prompts", {}), rows.get("enhance", {})
    embedded = rows.get("clap_text", {})
    return {
        "segment_idx": at,
        "start_time": _round(start, TIME_DECIMALS),
        "end_time": _round(end, TIME_DECIMALS),
        "section_type": label,
        "energy": _significant(means.get("energy")),
        "spectral_centroid": _significant(means.get("spectral_centroid_hz")),
        "rms": _significant(means.get("rms")),
        "chroma": _significant(means.get("chroma")),
        "mfcc": _significant(means.get("mfcc")),
        "has_vocals": vocals_heard(rows.get("separate"), lyrics, start, end, label),
        "vocal_ratio": _significant(ratio),
        **_pitch(rows.get("pitch"), start, end),
        **_singing(rows.get("singing"), start, end),
        "segment_lyrics": segment_lyrics(timed, start, end) if timed else None,
        "prompt": prompts["prompt"][at] if prompts else None,
        "prompt_embedding": _significant(embedded["prompt_embedding"][at]) if embedded else None,
        "prompt_enhanced": enhanced["prompt_enhanced"][at] if enhanced else None,
    }


def _pitch(pitch: Row | None, start: float, end: float) -> dict[str, Any]:
    if not pitch:
        return {"f0_mean": None, "f0_contour": None}
    hop = pitch["hop_seconds"]
    contour = np.asarray(pitch["f0_hz"][_frame(start, hop) : _frame(end, hop)], np.float64)
    voiced = contour[np.isfinite(contour)]
    return {
        "f0_mean": _round(voiced.mean(), PITCH_DECIMALS) if len(voiced) else None,
        "f0_contour": _round(contour, PITCH_DECIMALS),
    }


def _singing(singing: Row | None, start: float, end: float) -> dict[str, Any]:
    if not singing:
        return {"vibrato_rate": None, "vibrato_extent": None, "breath_positions": None}
    starts = np.asarray(singing["vibrato_start_seconds"], np.float64)
    seconds = np.asarray(singing["vibrato_end_seconds"], np.float64) - starts
    inside = (starts >= start) & (starts < end)

    def mean(name: str) -> float | None:
        values = np.asarray(singing[name], np.float64)[inside]
        return _round(np.average(values, weights=seconds[inside]), 3) if len(values) else None

    return {
        "vibrato_rate": mean("vibrato_rate_hz"),
        "vibrato_extent": mean("vibrato_extent_semitones"),
        "breath_positions": [
            _round(time, TIME_DECIMALS)
            for time in singing["breath_times_seconds"]
            if start <= time < end
        ],
    }


def _frame(seconds: float, hop_seconds: float) -> int:
    return round(seconds / hop_seconds)


def _timed(lyrics: Row, unit: str, text: str) -> list[dict[str, Any]] | None:
    """Lines or words with their times, as a list of objects."""
    texts = lyrics.get(f"{unit}_text")
    if texts is None:
        return None
    return [
        {
            text: value,
            "start_time": _round(start, TIME_DECIMALS),
            "end_time": _round(end, TIME_DECIMALS),
        }
        for value, start, end in zip(
            texts,
            lyrics[f"{unit}_start_seconds"],
            lyrics[f"{unit}_end_seconds"],
            strict=True,
        )
    ]


def _transcript(row: Row) -> list[dict[str, Any]] | None:
    if not row:
        return None
    numbers = ("average_log_probability", "no_speech_probability", "compression_ratio")
    return [
        {
            "text": row["segment_text"][at],
            "start_time": _round(row["segment_start_seconds"][at], TIME_DECIMALS),
            "end_time": _round(row["segment_end_seconds"][at], TIME_DECIMALS),
            **{name: _significant(row[f"segment_{name}"][at]) for name in numbers},
            "is_hallucination": row["segment_is_hallucination"][at],
        }
        for at in range(len(row["segment_text"]))
    ]


def _phonemes(row: Row) -> dict[str, Any] | None:
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


def _round(value: Any, decimals: int) -> Any:
    """A number or an array to so many decimals, NaN as null."""
    if value is None:
        return None
    if isinstance(value, Sequence | np.ndarray):
        return _listed(round(float(each), decimals) for each in value)
    return round(float(value), decimals)


def _significant(value: Any) -> Any:
    """A number or an array to SIGNIFICANT_DIGITS digits, NaN as null."""
    if value is None:
        return None
    if isinstance(value, Sequence | np.ndarray):
        return _listed(float(f"{each:.{SIGNIFICANT_DIGITS}g}") for each in value)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _listed(values: Iterable[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


STEP = Step(
    name="merge",
    version=1,
    config=MergeConfig,
    columns=pa.schema([column("record", pa.large_string(), "Entry of the dataset, as JSON")]),
    run=per_track(merge),
    upstream=("probe",),
    optional_upstream=(
        "separate",
        "features",
        "sections",
        "pitch",
        "singing",
        "voice",
        "ecapa",
        "clap",
        "transcribe",
        "lyrics",
        "phonemes",
        "prompts",
        "clap_text",
        "enhance",
    ),
)
