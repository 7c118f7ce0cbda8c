"""Segments of a recording: mono audio at the codec's rate, and EnCodec's codes of each."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from pydantic import Field

from models.protocols import CODEC, Codec
from tasks import audio
from tasks.audio import Repair
from tasks.audio.measures import SILENT_DBFS
from tasks.audio.windows import cut
from tasks.dataset.near_duplicates import MixFingerprint
from tasks.embed.items import Item
from tasks.step import Row, Step, StepConfig, Tools, column, costs, digest, on_gpu, per_track
from tasks.text import printable
from tasks.track import Samples, Track, TrackError

CODEC_NAME = "encodec-32khz"
"""The codec whose codes every MusicGen is made of."""

MAX_SILENCE = 0.5
"""Share of a segment's tenths of a second from which on it is left out as silent: what follows a
last chord says little of a concept."""


class EncodeConceptConfig(StepConfig):
    """How recordings are cut."""

    segment_seconds: float = Field(
        5.0,
        ge=1.0,
        le=30.0,
        description="Length of a segment; what remains at the end of a recording is left out.",
        json_schema_extra={"unit": "s", "flag": "segment_seconds"},
    )


def encode(
    track: Track, upstream: Mapping[str, Row | None], config: EncodeConceptConfig, tools: Tools
) -> Row:
    """Cut a recording into segments, and encode each that sounds, on its own."""
    codec = tools.model(CODEC_NAME, CODEC)
    segments = _Segments(track, Repair.of(upstream["probe"]), config, codec, tools)
    codes = [each.codes for each in codec.encode(segments, batch_size=tools.batch_size)]
    seconds = segments.samples / codec.sample_rate_hz
    if not codes:
        raise _nothing(track, seconds, config)
    return {
        "duration_seconds": seconds,
        "start_seconds": segments.start_seconds,
        "audio_paths": segments.paths,
        "codes": [each.astype("<u2").tobytes() for each in codes],
        "silent_segments": segments.silent,
        "rest_seconds": segments.rest_samples / codec.sample_rate_hz,
        "fingerprint": segments.fingerprint.words().astype("<u4").tobytes(),
        "codebooks": len(codes[0]),
        "codebook_size": codec.codebook_size,
        "frame_rate_hz": codec.frame_rate_hz,
        "sample_rate_hz": codec.sample_rate_hz,
    }


class _Segments:
    """The segments of a recording that sound, each stored as it passes by.

    Attributes
    ----------
    samples, rest_samples
        Length of the recording, and of what is shorter than a segment at its end.
    silent
        Segments that were left out.
    start_seconds, paths
        Of those that were not.
    fingerprint
        Of the whole recording.
    """

    def __init__(
        self,
        track: Track,
        repair: Repair,
        config: EncodeConceptConfig,
        codec: Codec,
        tools: Tools,
    ) -> None:
        self._track, self._repair, self._tools = track, repair, tools
        self._rate_hz = codec.sample_rate_hz
        self._length = round(config.segment_seconds * codec.sample_rate_hz)
        self._folder = f"{track.track_id}-{_made_by(config)}"
        self.samples = self.rest_samples = self.silent = 0
        self.start_seconds: list[float] = []
        self.paths: list[str] = []
        self.fingerprint = MixFingerprint(codec.sample_rate_hz)

    def __iter__(self) -> Iterator[Samples]:
        blocks = self._tools.mix_blocks(self._track, self._rate_hz, self._repair)
        with self.fingerprint.adding() as adding:
            windows = cut(adding(block[None] for block in blocks), self._length)
            for number, window in enumerate(windows):
                self.samples += window.shape[1]
                if window.shape[1] < self._length:
                    self.rest_samples = window.shape[1]
                elif is_silent(window[0], self._rate_hz):
                    self.silent += 1
                else:
                    path = f"{self._folder}/{number:04d}.wav"
                    with audio.writing_sound(
                        self._tools.outputs, path, self._rate_hz, 1, "wav"
                    ) as write:
                        write(window)
                    self.start_seconds.append(number * self._length / self._rate_hz)
                    self.paths.append(path)
                    yield window


def is_silent(segment: Samples, rate_hz: int) -> bool:
    """Return whether half or more of a segment, shape ``(samples,)``, cannot be heard.

    Tenths of a second below -60 dBFS RMS cannot, as ``silence_ratio`` of a song has it.
    """
    starts = np.arange(0, len(segment), rate_hz // 10)
    lengths = np.diff(starts, append=len(segment))
    power = np.add.reduceat(np.square(segment, dtype=np.float64), starts) / lengths
    return float(lengths[power < 10 ** (SILENT_DBFS / 10)].sum()) >= MAX_SILENCE * len(segment)


def _nothing(track: Track, seconds: float, config: EncodeConceptConfig) -> TrackError:
    name = printable(track.path)
    if isinstance(track, Item) and track.start_seconds is not None:
        name = f"The part of {name} from {track.start_seconds:.1f} s on"
    if seconds < config.segment_seconds:
        return TrackError(
            "too-short",
            f"{name} is {seconds:.1f} s long, and a segment {config.segment_seconds:g} s: take a "
            "longer recording, join short ones into one file, or ask for shorter segments by "
            "--segment_seconds.",
        )
    return TrackError("silent", f"{name} is silent in all of its segments.")


def _made_by(config: EncodeConceptConfig) -> str:
    """Return what the stored audio of a configuration is named by."""
    return digest(json.dumps([STEP.version, config.keyed()]).encode())[:8]


STEP = Step(
    name="encode_concept",
    version=1,
    config=EncodeConceptConfig,
    columns=pa.schema(
        [
            column("duration_seconds", pa.float64(), "Duration of the recording", "s"),
            column("start_seconds", pa.list_(pa.float64()), "Where each segment begins", "s"),
            column(
                "audio_paths", pa.list_(pa.string()), "Audio of each segment, below the outputs"
            ),
            column(
                "codes",
                pa.list_(pa.binary()),
                "Codes of each segment, uint16, codebook after codebook",
            ),
            column("silent_segments", pa.int32(), "Segments left out since they are silent"),
            column(
                "rest_seconds",
                pa.float64(),
                "End of the recording, left out since it is shorter than a segment",
                "s",
            ),
            column("fingerprint", pa.binary(), "Words of the recording, uint32"),
            column("codebooks", pa.int32(), "Codes per frame"),
            column("codebook_size", pa.int32(), "Entries of a codebook"),
            column("frame_rate_hz", pa.float64(), "Frames per second", "Hz"),
            column("sample_rate_hz", pa.int32(), "Sample rate of the audio", "Hz"),
        ]
    ),
    run=per_track(encode),
    upstream=("probe",),
    resource=on_gpu,
    models=lambda config: (CODEC_NAME,),
    cost=costs(5.6, 0.1),
)
