"""Vocals of a song, by repetition and stereo position; no trained network."""

from collections.abc import Iterable, Iterator, Mapping
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
    from tasks.dsp.separation import separate_blocks

    rate_hz = config.sample_rate_hz
    hop = round(ENVELOPE_HOP_SECONDS * rate_hz)
    mix_rms, vocal_rms = RmsEnvelope(hop), RmsEnvelope(hop)
    # Nothing is kept whole: the mix is decoded while its vocals are written.
    mix = mix_rms.measuring(tools.mix_stereo_blocks(track, rate_hz))
    vocals = vocal_rms.measuring(separate_blocks(mix, rate_hz))
    path = vocals_path(track, config)
    write_flac(tools.artifacts, path, vocals, rate_hz)
    return {
        "vocals_path": path,
        "vocal_rms": vocal_rms.values(),
        "mix_rms": mix_rms.values(),
        "envelope_hop_seconds": hop / rate_hz,
        "method": config.method,
    }


def vocals_path(track: Track, config: SeparateConfig) -> str:
    """Name of a track's vocals: a digest of all that they depend on."""
    made_by = digest(f"{STEP.version} {config.model_dump_json()}".encode())
    return f"{track.track_id}-{made_by[:8]}.flac"


class RmsEnvelope:
    """RMS of the mono sum of a stereo signal, per block of `hop` samples.

    Parameters
    ----------
    hop
        Samples per block; the last block of the signal may be shorter.
    """

    def __init__(self, hop: int) -> None:
        self._hop = hop
        self._rms: list[np.float32] = []
        self._rest = np.empty(0, np.float32)

    def measuring(self, pieces: Iterable[Samples]) -> Iterator[Samples]:
        """Pass on the pieces of a signal, shape ``(2, n)`` each, and measure them."""
        for piece in pieces:
            mono = (piece[0] + piece[1]) * np.float32(0.5)
            mono = np.concatenate([self._rest, mono])
            whole = len(mono) - len(mono) % self._hop
            self._rms += [_rms(block) for block in mono[:whole].reshape(-1, self._hop)]
            self._rest = mono[whole:].copy()
            yield piece

    def values(self) -> Samples:
        """RMS of every block so far, shape ``(blocks,)``."""
        last = [_rms(self._rest)] if len(self._rest) else []
        return np.array(self._rms + last, np.float32)


def _rms(mono: Samples) -> np.float32:
    return np.float32(np.sqrt(np.dot(mono, mono) / len(mono)))


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
