"""The key of a track, and its chords, one after the other."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tasks.audio import Repair
from tasks.song import voices
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track, column, costs, per_track

if TYPE_CHECKING:
    import numpy.typing as npt

    Float64 = npt.NDArray[np.float64]
    Int8 = npt.NDArray[np.int8]

RATE_HZ = 22_050
"""That of the features by default, so that a file is not decoded again."""

BEAT_TOLERANCE = 0.25
"""Share of a beat within which a chord begins on the beat. On 90 synthesised songs the overlap
changed by less than 0.005 against chords that begin where they were found."""


class HarmonyConfig(StepConfig):
    """There is nothing to configure."""


COLUMNS = pa.schema(
    [
        column("tonic", pa.string(), "Tonic of the key, C to B with sharps; null without a key"),
        column("mode", pa.string(), "major or minor; null without a key"),
        column(
            "key_confidence",
            pa.float64(),
            "Correlation of the track's pitch classes with its key's profile; null without a key",
        ),
        column("chord_start_seconds", pa.list_(pa.float64()), "Begin of each chord", "s"),
        column("chord_end_seconds", pa.list_(pa.float64()), "End of each chord", "s"),
        column(
            "chord_label",
            pa.list_(pa.string()),
            "Root and quality, maj or min, in Harte's syntax; N where there is no chord",
        ),
    ]
)


def compute_harmony(blocks: Iterable[Samples], features: Row) -> Row:
    """Row of the harmony of a mono signal at 22,050 Hz.

    Parameters
    ----------
    blocks
        Of finite samples, shape ``(n,)`` each.
    features
        The track's row of `features`, of which the duration and the beats are taken.
    """
    from tasks.dsp.chords import LABELS
    from tasks.dsp.key import find_key_and_chords
    from tasks.dsp.tonal import constant_q, find_notes

    key, chords = find_key_and_chords(find_notes(constant_q(blocks, RATE_HZ)))
    edges, numbers = _spans(chords, features)
    return {
        "tonic": key and key.tonic,
        "mode": key and key.mode,
        "key_confidence": key and key.confidence,
        "chord_start_seconds": edges[:-1],
        "chord_end_seconds": edges[1:],
        "chord_label": [LABELS[number] for number in numbers],
    }


def _harmony(
    track: Track, upstream: Mapping[str, Row | None], config: HarmonyConfig, tools: Tools
) -> Row:
    features = upstream["features"]
    assert features is not None
    if not voices.may_be_music(upstream.get("activity")):
        return dict.fromkeys(COLUMNS.names)
    blocks = tools.mix_passes(track, RATE_HZ, Repair.of(upstream["probe"]))
    return compute_harmony(blocks, features)


def _spans(chords: "Int8", features: Row) -> "tuple[Float64, Int8]":
    """Edges of the chords, ``(n + 1,)`` from 0 to the duration, and the chord between each two."""
    from tasks.dsp.tonal import HOP_SECONDS

    first = np.flatnonzero(np.diff(chords)) + 1
    # A frame stands for the time around its centre.
    times = np.asarray((first - 0.5) * HOP_SECONDS, np.float64)
    if features["beat_times_seconds"] is not None:
        times = _on_beats(times, np.asarray(features["grid_seconds"], np.float64))
    edges = np.concatenate([[0.0], times, [features["duration_seconds"]]])
    numbers = chords[np.concatenate([[0], first])]
    # Two changes can fall on one beat; what is left on both sides may be the same chord.
    numbers, edges = numbers[np.diff(edges) > 0], edges[np.append(np.diff(edges) > 0, True)]
    changes = np.flatnonzero(np.diff(numbers)) + 1
    return edges[np.concatenate([[0], changes, [len(numbers)]])], numbers[np.append(0, changes)]


def _on_beats(times: "Float64", grid_seconds: "Float64") -> "Float64":
    """Move what is near a beat onto it."""
    after = np.clip(np.searchsorted(grid_seconds, times), 1, len(grid_seconds) - 1)
    before, behind = grid_seconds[after - 1], grid_seconds[after]
    nearest = np.where(times - before < behind - times, before, behind)
    near = abs(nearest - times) <= BEAT_TOLERANCE * (behind - before)
    return np.where(near, nearest, times)


STEP = Step(
    name="harmony",
    version=1,
    config=HarmonyConfig,
    columns=COLUMNS,
    run=per_track(_harmony),
    upstream=("probe", "features"),
    optional_upstream=("activity",),
    cost=costs(0.1),
)
