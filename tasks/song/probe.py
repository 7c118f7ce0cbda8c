"""What a file is, how every later step reads it, and the levels that people filter by."""

from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from tasks import audio
from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, per_track

REPAIR = pa.struct(
    [
        ("limit", pa.float64()),
        ("gain", pa.float64()),
        ("left_offset", pa.float64()),
        ("right_offset", pa.float64()),
        ("channel_map", pa.string()),
    ]
)


class ProbeConfig(StepConfig):
    """Nothing about the inspection can be configured."""


def probe(
    track: Track, upstream: Mapping[str, Row | None], config: ProbeConfig, tools: Tools
) -> Row:
    """Inspect the whole of a file, once for all steps."""
    found = audio.inspect(tools.source, track.path)
    info, levels = found.info, found.levels
    repair = asdict(found.repair)
    return {
        "duration_seconds": info.duration_seconds,
        "sample_rate_hz": info.sample_rate_hz,
        "channels": info.channels,
        "format": info.format,
        "decoder": repair.pop("decoder"),
        "repair": repair,
        "audio_notices": list(found.notices),
        "clipped_ratio": levels.clipped_ratio,
        "bandwidth_hz": levels.bandwidth_hz,
        "loudness_lufs": levels.loudness_lufs,
        "true_peak_dbtp": levels.true_peak_dbtp,
        "phase_correlation": levels.phase_correlation,
        "dc_offset": levels.dc_offset,
        "silence_ratio": levels.silence_ratio,
    }


STEP = Step(
    name="probe",
    version=2,
    config=ProbeConfig,
    columns=pa.schema(
        [
            column("duration_seconds", pa.float64(), "Duration that was decoded", "s"),
            column("sample_rate_hz", pa.int32(), "Sample rate of the file, at its beginning", "Hz"),
            column("channels", pa.int32(), "Channels of the file, the most of its parts"),
            column("format", pa.string(), "Container and codec"),
            column("decoder", pa.string(), "Library that decodes the whole of it"),
            column("repair", REPAIR, "What every step puts right while it reads the file"),
            column(
                "audio_notices",
                pa.list_(pa.string()),
                "What was found wrong, and what was done: code, colon, sentence",
            ),
            column("clipped_ratio", pa.float64(), "Share of samples clipped at full scale"),
            column("bandwidth_hz", pa.float64(), "Highest frequency heard; null for silence", "Hz"),
            column(
                "loudness_lufs",
                pa.float64(),
                "Integrated loudness by ITU-R BS.1770-4; null below -70 LUFS or 0.4 s",
                "LUFS",
            ),
            column(
                "true_peak_dbtp",
                pa.float64(),
                "True peak by ITU-R BS.1770-4; null for digital silence",
                "dBTP",
            ),
            column(
                "phase_correlation",
                pa.float64(),
                "Correlation of left and right as found, -1 to 1; null for mono",
            ),
            column("dc_offset", pa.float64(), "Mean of the samples as found; 1 is full scale"),
            column("silence_ratio", pa.float64(), "Share of tenths of a second below -60 dBFS RMS"),
        ]
    ),
    run=per_track(probe),
    cost=costs(0.1),
)
