"""What a file is: duration, rate, channels and format, by its header."""

from collections.abc import Mapping

import pyarrow as pa

from tasks import audio
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track


class ProbeConfig(StepConfig):
    """Nothing about a header can be configured."""


def probe(
    track: Track, upstream: Mapping[str, Row | None], config: ProbeConfig, tools: Tools
) -> Row:
    """Read a file's header with the decoder that will read the whole of it."""
    info = audio.probe(tools.source, track.path)
    return {
        "duration_seconds": info.duration_seconds,
        "sample_rate_hz": info.sample_rate_hz,
        "channels": info.channels,
        "format": info.format,
        "decoder": info.decoder,
    }


STEP = Step(
    name="probe",
    version=1,
    config=ProbeConfig,
    columns=pa.schema(
        [
            column("duration_seconds", pa.float64(), "Duration that the header states", "s"),
            column("sample_rate_hz", pa.int32(), "Sample rate of the file", "Hz"),
            column("channels", pa.int32(), "Channels of the file"),
            column("format", pa.string(), "Container and codec"),
            column("decoder", pa.string(), "Library that decodes it"),
        ]
    ),
    run=per_track(probe),
)
