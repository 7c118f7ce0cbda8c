"""Sections of a track: boundaries and labels."""

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from tasks.song import voices
from tasks.song.segments import vocal_ratio
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class SectionsConfig(StepConfig):
    """Sections of a track."""

    min_segment_seconds: float = Field(
        4.0,
        gt=0,
        description="Shortest section; a shorter track is one section.",
        json_schema_extra={"flag": "min_segment", "unit": "s"},
    )
    enabled: bool = Field(
        True,
        description="Divide each track into sections.",
        json_schema_extra={"flag": "segments"},
    )


def sections(
    track: Track, upstream: Mapping[str, Row | None], config: SectionsConfig, tools: Tools
) -> Row:
    """Divide a track into sections and label them.

    The sections tile the track from 0 to its duration. Inner boundaries lie on the
    features' grid, that is on beats. Where there are vocals, the step `activity` tells, or
    without it `separate`. Without either, nothing is known of the voice: no section is called
    solo or inst, and an undivided track is a verse.
    """
    from tasks.dsp.structure import label_parts

    features = upstream["features"]
    assert features is not None
    duration = float(features["duration_seconds"])
    if config.enabled and duration >= 2 * config.min_segment_seconds:
        edges, parts = _divided(features, config.min_segment_seconds)
    else:
        edges, parts = np.array([0.0, duration]), (np.zeros((1, 1)), np.zeros(1))
    return {
        "start_seconds": edges[:-1].tolist(),
        "end_seconds": edges[1:].tolist(),
        "label": label_parts(*parts, _sung(edges, upstream)),
    }


def _divided(features: Row, min_segment_seconds: float) -> tuple[Floats, tuple[Floats, Floats]]:
    """Edges of the sections in seconds; features and level in dB of each section."""
    from tasks.dsp.structure import block_features, find_boundaries

    rms = np.asarray(features["grid_rms"], np.float64)
    blocks = block_features(
        rms,
        np.asarray(features["grid_mfcc"], np.float64).reshape(-1, 20),
        np.asarray(features["grid_chroma"], np.float64).reshape(-1, 12),
    )
    grid_seconds = np.array(features["grid_seconds"], np.float64)
    # The grid is stored in single precision; the duration is not.
    grid_seconds[-1] = features["duration_seconds"]
    boundaries = find_boundaries(blocks, grid_seconds, min_segment_seconds)
    spans = [slice(first, last) for first, last in itertools.pairwise(boundaries)]
    # Medians, because a section may end in silence.
    typical = np.stack([np.median(blocks[span], axis=0) for span in spans])
    power = np.array([np.mean(np.square(rms[span])) for span in spans])
    return grid_seconds[boundaries], (typical, 10 * np.log10(np.maximum(power, 1e-12)))


def _sung(edges_seconds: Floats, upstream: Mapping[str, Row | None]) -> Flags | None:
    """Return whether each section has vocals; None if nothing tells."""
    spans = list(itertools.pairwise(edges_seconds.tolist()))
    if activity := upstream.get("activity"):
        shares = [voices.vocals_share(activity, *span) for span in spans]
        return np.array(shares) >= voices.MIDDLE_SHARE
    separate = upstream.get("separate")
    if separate is None:
        return None
    from tasks.dsp.structure import sung_parts

    ratios = [vocal_ratio(separate, *span) for span in spans]
    return sung_parts(np.array(ratios, np.float64))  # None becomes NaN


STEP = Step(
    name="sections",
    version=2,
    config=SectionsConfig,
    columns=pa.schema(
        [
            column("start_seconds", pa.list_(pa.float64()), "Starts of the sections", "s"),
            column("end_seconds", pa.list_(pa.float64()), "Ends of the sections", "s"),
            column(
                "label",
                pa.list_(pa.string()),
                "intro, verse, chorus, bridge, solo, outro or inst, by sound and place",
            ),
        ]
    ),
    run=per_track(sections),
    upstream=("features",),
    optional_upstream=("separate", "activity"),
)
