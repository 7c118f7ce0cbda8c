"""Acoustic fingerprint of a track, to find the same recording in two corpora.

The whole file is decoded for it: what is found to be damaged here is left out.
"""

from collections.abc import Mapping

import pyarrow as pa

from tasks.dataset.near_duplicates import RATE_HZ, acoustic_fingerprint
from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, per_track


class FingerprintConfig(StepConfig):
    """The fingerprint has no options."""


def run(
    track: Track, upstream: Mapping[str, Row | None], config: FingerprintConfig, tools: Tools
) -> Row:
    """Fingerprint the mono mix of a track."""
    blocks = (block[None] for block in tools.mix_blocks(track, RATE_HZ))
    return {"fingerprint": acoustic_fingerprint(blocks, RATE_HZ)}


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
    cost=costs(0.05),
)
