"""One text prompt per segment, put together from what the other steps measured.

"Gentle indie-rock intro, 96 BPM, A major, soft, with vocals": genre, section, tempo, key, level,
brightness, mood, instruments and vocals, as far as they are known. Each phrase names the columns
that it puts into words. The artist's name never enters a prompt: a model that learns it can be
asked to imitate a living person. Titles and lyrics, which identify the song as well, stay out too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.song import voices
from tasks.song.confident_tags import by_kind, tags_of
from tasks.song.phrasings import PHRASINGS
from tasks.song.segments import segment_means, vocals_heard
from tasks.song.traits import Chooser, describe
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track

CORRECTABLE = ("features", "harmony", "sections")
"""Steps of which a prompt puts values into words that people may correct."""


class PromptsConfig(StepConfig):
    """The template has no options; a change of its words is a new version of the step."""


def run(
    track: Track, upstream: Mapping[str, Row | None], config: PromptsConfig, tools: Tools
) -> Row:
    """Prompts of a track, one per segment and in the segments' order."""
    return _of(track, upstream)


def of_corrected(
    track: Track, upstream: Mapping[str, Row | None], record: Mapping[str, Any]
) -> Row:
    """Prompts of a track whose record people corrected, as :func:`run` makes them.

    Parameters
    ----------
    track, upstream
        As of :func:`run`.
    record
        Entry of the dataset; of what its `corrected` names, its values count.
    """
    features, harmony, sections = (dict(upstream[name] or {}) for name in CORRECTABLE)
    if "tempo" in record["corrected"]:
        features["tempo_bpm"] = record["tempo"]
    if "dominant_key" in record["corrected"]:
        harmony.update(tonic=record["dominant_key"], mode=record["mode"])
    sections["label"] = [
        (segment["section_type"] or "") if "section_type" in segment["corrected"] else label
        for segment, label in zip(record["segments"], sections["label"], strict=True)
    ]
    rows = zip(CORRECTABLE, (features, harmony, sections), strict=True)
    return _of(track, {**upstream, **dict(rows)})


def _of(track: Track, upstream: Mapping[str, Row | None]) -> Row:
    features, harmony = upstream["features"], upstream["harmony"]
    sections = upstream["sections"]
    assert features is not None
    assert harmony is not None
    assert sections is not None
    heard = by_kind(tags_of(upstream))
    pieces = []
    spans = zip(sections["start_seconds"], sections["end_seconds"], sections["label"], strict=True)
    for index, (start, end, label) in enumerate(spans):
        # Reproducible variety: the words depend on the track and the segment alone.
        choose = _chooser(f"{track.track_id}/{index}")
        vocals = _has_vocals(upstream, start, end, label)
        means = segment_means(features, start, end)
        traits = describe(track.metadata, heard, features, harmony, means, label, vocals, choose)
        pieces.append(choose("phrasing", PHRASINGS)(traits))
    return {
        "prompt": [piece.text for piece in pieces],
        "phrases": [[phrase._asdict() for phrase in piece.phrases] for piece in pieces],
    }


def _has_vocals(
    upstream: Mapping[str, Row | None], start: float, end: float, label: str
) -> bool | None:
    """Return whether a segment surely has vocals; None if that cannot be told, or it is speech."""
    if "activity" not in upstream:
        return vocals_heard(upstream.get("separate"), upstream.get("lyrics"), start, end, label)
    activity = upstream["activity"]
    sung = voices.has_vocals(activity, upstream.get("lyrics"), start, end)
    return None if activity and activity["content"] == "speech" and not sung else sung


def _chooser(seed: str) -> Chooser:
    def choose(purpose: str, options: Sequence[Any]) -> Any:
        if not options:
            return ""
        hashed = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
        return options[int.from_bytes(hashed, "big") % len(options)]

    return choose


PHRASE = pa.struct([("text", pa.string()), ("columns", pa.list_(pa.string()))])
STEP = Step(
    name="prompts",
    version=5,
    config=PromptsConfig,
    columns=pa.schema(
        [
            column("prompt", pa.list_(pa.string()), "template prompt of each segment"),
            column(
                "phrases",
                pa.list_(pa.list_(PHRASE)),
                "phrases of each prompt that say something of the track, and the dataset's columns "
                "that they put into words",
            ),
        ]
    ),
    run=per_track(run),
    upstream=("probe", "features", "harmony", "sections"),
    optional_upstream=("separate", "lyrics", "activity", "tags"),
    attributes=("track_id", "metadata"),
)
