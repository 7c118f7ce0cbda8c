"""Beats, downbeats and metre of a track, heard by a network."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from models.protocols import BEATS
from tasks.audio import Repair
from tasks.song import voices
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track, column, costs, per_track

LOUDNESS_LUFS = -14.0
"""At which the network hears a track: at -50 LUFS it hears next to nothing."""


class BeatsConfig(StepConfig):
    """Beats of the mix."""

    model: str = "beatnet"


COLUMNS = pa.schema(
    [
        column(
            "beat_times_seconds",
            pa.list_(pa.float32()),
            "Times of the beats; null without a credible beat",
            "s",
        ),
        column(
            "beat_positions",
            pa.list_(pa.int32()),
            "Positions of the beats in their bars, 1 being the downbeat; null without a metre",
        ),
        column(
            "downbeat_times_seconds",
            pa.list_(pa.float32()),
            "Times of the downbeats; null without a credible metre",
            "s",
        ),
        column(
            "time_signature",
            pa.string(),
            "3/4, 4/4 or 6/8, whose beats are dotted quarters; null without a credible metre",
        ),
        column("tempo_bpm", pa.float64(), "Tempo of the beats; null without beats", "bpm"),
        column(
            "tempo_confidence",
            pa.float64(),
            "Correlation of onsets with those one to six beats later; null without a tempo",
        ),
    ]
)


def beats(
    track: Track, upstream: Mapping[str, Row | None], config: BeatsConfig, tools: Tools
) -> Row:
    """Hear a track, and find its beats and metre; all null where there is no credible beat."""
    from tasks.dsp.accents import Accents
    from tasks.dsp.metre import find_metre

    probe = upstream["probe"]
    assert probe is not None
    if not voices.may_be_music(upstream.get("activity")):
        return dict.fromkeys(COLUMNS.names)
    adapter = tools.model(config.model, BEATS)
    blocks = tools.mix_blocks(track, adapter.sample_rate_hz, Repair.of(probe))
    accents, activations = Accents(adapter.band_hz), [np.zeros((0, 2), np.float32)]
    for heard in adapter.hear(_levelled(blocks, probe.get("loudness_lufs"))):
        accents.take(heard.levels)
        activations.append(heard.activations)
    found = find_metre(np.concatenate(activations), accents, adapter.frame_rate_hz)
    if found is None:
        return dict.fromkeys(COLUMNS.names)
    times, positions = found.times_seconds.astype(np.float32), found.positions
    return {
        "beat_times_seconds": times,
        "beat_positions": None if positions is None else positions.astype(np.int32),
        "downbeat_times_seconds": None if positions is None else times[positions == 1],
        "time_signature": found.time_signature,
        "tempo_bpm": found.tempo_bpm,
        "tempo_confidence": found.confidence,
    }


def _levelled(blocks: Iterable[Samples], loudness_lufs: float | None) -> Iterator[Samples]:
    """Yield a signal at ``LOUDNESS_LUFS``; as it is where its loudness is not known."""
    gain_db = 0.0 if loudness_lufs is None else LOUDNESS_LUFS - loudness_lufs
    gain = np.float32(10 ** (gain_db / 20))
    for block in blocks:
        yield block * gain


STEP = Step(
    name="beats",
    version=1,
    config=BeatsConfig,
    columns=COLUMNS,
    run=per_track(beats),
    upstream=("probe",),
    optional_upstream=("activity",),
    models=lambda config: (config.model,),
    cost=costs(0.31),
)
