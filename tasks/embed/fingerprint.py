"""Acoustic fingerprint of a track, to find the same recording again.

The whole file is decoded for it: what is found to be damaged here is left out.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from tasks.audio import Repair
from tasks.dataset.near_duplicates import RATE_HZ, Words, acoustic_fingerprint
from tasks.engine.batch import UPSTREAM_FAILED
from tasks.engine.results import Results
from tasks.step import (
    Row,
    Samples,
    Step,
    StepConfig,
    Tools,
    Track,
    TrackError,
    column,
    costs,
    per_track,
)

DECODED_RATE_HZ = 22_050
"""A rate at which other steps of songs decode as well: of clips that a worker holds, the
fingerprint takes 0.02 s per minute instead of 0.05 to 0.07. Hardly a bit differs."""


class FingerprintConfig(StepConfig):
    """The fingerprint has no options."""


def run(
    track: Track, upstream: Mapping[str, Row | None], config: FingerprintConfig, tools: Tools
) -> Row:
    """Fingerprint the mono mix of a track.

    In a run that probes tracks it is the mix as it was repaired, as other steps decode it too.
    """
    mix: Iterable[Samples]
    if "probe" not in upstream:
        rate_hz = RATE_HZ
        mix = tools.mix_blocks(track, rate_hz)
    elif upstream["probe"] is None:
        raise TrackError(UPSTREAM_FAILED, "probe failed")
    else:
        rate_hz = DECODED_RATE_HZ
        mix = tools.mix_passes(track, rate_hz, Repair.of(upstream["probe"]))
    return {"fingerprint": acoustic_fingerprint((block[None] for block in mix), rate_hz)}


STEP = Step(
    name="fingerprint",
    version=1,
    config=FingerprintConfig,
    columns=pa.schema(
        [
            column(
                "fingerprint",
                pa.list_(pa.uint32()),
                "Acoustic fingerprint, a word of 32 bits for each 46 ms",
            )
        ]
    ),
    run=per_track(run),
    optional_upstream=("probe",),
    cost=costs(0.05),
)


def keys(results: Results) -> list[str] | None:
    """Keys of the fingerprints that a run has; None if the step was no part of it."""
    if not any(stage.step is STEP for stage in results.stages):
        return None
    found = zip(results.keys[STEP.name], results.entries(STEP.name), strict=True)
    return [key for key, entry in found if entry is not None and entry.status != "failed"]


def of_tracks(results: Results) -> dict[str, Words] | None:
    """Fingerprint of each track that has one; None if the step was no part of the run."""
    if keys(results) is None:
        return None
    return {
        track.track_id: np.asarray(row["fingerprint"], np.uint32)
        for track, row in results.rows(STEP.name, ["fingerprint"])
    }
