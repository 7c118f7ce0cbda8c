"""Which prepared stems of a song are never in one example, since one holds the other.

Prepared songs have lost their copies and sums already. This looks again, at the stems that are
left, whatever version has prepared them: what accompanies a target never holds it.
"""

from collections.abc import Mapping

import pyarrow as pa

from tasks.corpora.prepared_song import PreparedSong
from tasks.stems.compare import relations_of
from tasks.stems.near_copies import related
from tasks.step import Row, Step, StepConfig, Tools, column, per_track
from tasks.track import Track


class KeepApartConfig(StepConfig):
    """How prepared stems are compared."""


def keep_apart(
    track: Track, upstream: Mapping[str, Row | None], config: KeepApartConfig, tools: Tools
) -> Row:
    """Compare the stems of a prepared song, each with all others."""
    assert isinstance(track, PreparedSong)
    found = relations_of(tools.source, [stem.path for stem in track.stems])
    ids = [stem.stem_id for stem in track.stems]
    pairs = sorted(related(found, len(ids)))
    return {"apart": [[ids[first], ids[second]] for first, second in pairs]}


STEP = Step(
    name="keep_apart",
    version=1,
    config=KeepApartConfig,
    columns=pa.schema(
        [
            column(
                "apart",
                pa.list_(pa.list_(pa.string())),
                "Pairs of stems of which one is in the other, as a copy or in a sum",
            )
        ]
    ),
    run=per_track(keep_apart),
)
