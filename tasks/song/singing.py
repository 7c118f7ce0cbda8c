"""How the vocals are sung: vibrato and breaths."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, per_track

RATE_HZ = 16_000

SMOOTHING_SECONDS = {"swiftf0": 0.041, "pyin": 0.058, "crepe-tiny": 0.043, "crepe-full": 0.038}
"""Time over which each method of the pitch step averages F0, in its frames of 64 ms; swift-f0 in
frames of 32 to 128 ms.

Solved from the extent that remains of synthetic vibrato of 4 to 8 Hz and 0.5 semitones; for
swift-f0 at eight pitches from 110 to 830 Hz, where corrected extents are off by 6 % on average.
"""


class SingingConfig(StepConfig):
    """There is nothing to configure."""


def singing(
    track: Track, upstream: Mapping[str, Row | None], config: SingingConfig, tools: Tools
) -> Row:
    """Find vibrato in the pitch contour, and breaths in the pauses between its phrases."""
    from tasks.dsp.breath import find_breaths
    from tasks.dsp.vibrato import find_vibrato

    separated, pitch = upstream["separate"], upstream["pitch"]
    assert separated is not None  # neither of them
    assert pitch is not None  # is optional
    f0_hz = np.asarray(pitch["f0_hz"], np.float64)
    hop_seconds = pitch["hop_seconds"]
    vocals = tools.output_blocks(separated["vocals_path"], RATE_HZ)
    vibrato = find_vibrato(f0_hz, hop_seconds, smoothing_seconds=SMOOTHING_SECONDS[pitch["method"]])
    breaths = find_breaths(vocals, RATE_HZ, f0_hz, hop_seconds)
    return {
        "vibrato_start_seconds": vibrato.start_seconds.astype(np.float32),
        "vibrato_end_seconds": vibrato.end_seconds.astype(np.float32),
        "vibrato_rate_hz": vibrato.rate_hz.astype(np.float32),
        "vibrato_extent_semitones": vibrato.extent_semitones.astype(np.float32),
        "breath_times_seconds": breaths.start_seconds.astype(np.float32),
        "breath_durations_seconds": breaths.duration_seconds.astype(np.float32),
    }


_FLOATS = pa.list_(pa.float32())

STEP = Step(
    name="singing",
    version=2,
    config=SingingConfig,
    columns=pa.schema(
        [
            column("vibrato_start_seconds", _FLOATS, "Begin of each vibrato", "s"),
            column("vibrato_end_seconds", _FLOATS, "End of each vibrato", "s"),
            column("vibrato_rate_hz", _FLOATS, "Median rate of each vibrato", "Hz"),
            column(
                "vibrato_extent_semitones",
                _FLOATS,
                "Median amplitude of each vibrato, half of peak to peak",
                "semitones",
            ),
            column("breath_times_seconds", _FLOATS, "Begin of each breath", "s"),
            column("breath_durations_seconds", _FLOATS, "Duration of each breath", "s"),
        ]
    ),
    run=per_track(singing),
    upstream=("separate", "pitch"),
    cost=costs(0.02),
)
