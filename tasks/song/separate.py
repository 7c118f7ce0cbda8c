"""Vocals of a song, by repetition and stereo position; no trained network."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.step import (
    Row,
    Samples,
    Step,
    StepConfig,
    Tools,
    Track,
    column,
    digest,
    per_track,
)

ENVELOPE_HOP_SECONDS = 0.1


class SeparateConfig(StepConfig):
    """How vocals are told from accompaniment.

    Attributes
    ----------
    method
        ``repet-centre``: what repeats and what comes from the sides is accompaniment
        (see ``tasks/dsp/separation.py``). A mono track has no sides, and a solo voice
        or a track below 2.8 s nothing that repeats under it: then the other half of the
        method decides alone, and a solo voice in mono passes through a high-pass.
    sample_rate_hz
        Rate at which the track is separated and the vocals are stored.
    """

    method: Literal["repet-centre"] = "repet-centre"
    sample_rate_hz: int = Field(default=44_100, ge=8_000, le=192_000)


def separate(
    track: Track, upstream: Mapping[str, Row | None], config: SeparateConfig, tools: Tools
) -> Row:
    """Store a track's vocals as stereo FLAC beside the tables."""
    from tasks.audio import write_flac
    from tasks.dsp.separation import separate_vocals

    rate_hz = config.sample_rate_hz
    mix = tools.mix_stereo(track, rate_hz)
    vocals = separate_vocals(mix, rate_hz)
    path = vocals_path(track, config)
    write_flac(tools.artifacts, path, vocals, rate_hz)
    hop = round(ENVELOPE_HOP_SECONDS * rate_hz)
    return {
        "vocals_path": path,
        "vocal_rms": block_rms(vocals, hop),
        "mix_rms": block_rms(mix, hop),
        "envelope_hop_seconds": hop / rate_hz,
        "method": config.method,
    }


def vocals_path(track: Track, config: SeparateConfig) -> str:
    """Name of a track's vocals: a digest of all that they depend on."""
    made_by = digest(f"{STEP.version} {config.model_dump_json()}".encode())
    return f"{track.track_id}-{made_by[:8]}.flac"


def block_rms(stereo: Samples, hop: int) -> Samples:
    """RMS of the mono sum of each block of `hop` samples; the last one may be shorter.

    Parameters
    ----------
    stereo
        Shape ``(2, samples)``, at least one sample.
    hop
        Samples per block.

    Returns
    -------
    Samples
        Shape ``(blocks,)``.
    """
    starts = range(0, stereo.shape[1], hop)
    rms = np.empty(len(starts), np.float32)
    for index, start in enumerate(starts):
        block = stereo[:, start : start + hop]
        mono = (block[0] + block[1]) * np.float32(0.5)
        rms[index] = np.sqrt(np.dot(mono, mono) / len(mono))
    return rms


STEP = Step(
    name="separate",
    version=1,
    config=SeparateConfig,
    columns=pa.schema(
        [
            column("vocals_path", pa.string(), "Vocals as stereo FLAC, below the artifacts"),
            column(
                "vocal_rms",
                pa.list_(pa.float32()),
                "RMS of the vocals in mono per block; 1 is full scale",
            ),
            column(
                "mix_rms",
                pa.list_(pa.float32()),
                "RMS of the mix in mono per block; 1 is full scale",
            ),
            column("envelope_hop_seconds", pa.float64(), "Length of a block", "s"),
            column("method", pa.string(), "How the vocals were separated"),
        ]
    ),
    run=per_track(separate),
    upstream=("probe",),
)
