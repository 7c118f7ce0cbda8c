"""What Whisper is given of a track: the best vocals there are, or the mix.

The split without weights leaves half of the accompaniment in the vocals, and its artefacts. Of a
Spanish rock song, Whisper base got 39 % of the words wrong in Spleeter's vocals, 47 % in the mix
and 85 % in the weight-free vocals (``python -m benchmarks truth``): so these are never heard.
"""

from collections.abc import Mapping
from typing import Literal

from models.protocols import Signal
from tasks.audio import SHORT_SECONDS, Repair, spooled
from tasks.song.separate import WITHOUT_WEIGHTS
from tasks.step import Row, Tools, Track

RATE_HZ = 16_000

Heard = Literal["vocals", "mix"]


def heard(separated: Row) -> Heard:
    """Return what is heard of a track, by its row of `separate`."""
    return "mix" if separated["method"] == WITHOUT_WEIGHTS else "vocals"


def signal(track: Track, upstream: Mapping[str, Row | None], tools: Tools) -> Signal:
    """Return it, mono at :data:`RATE_HZ`, shape ``(n,)``; a long one lies in a file.

    Parameters
    ----------
    track
        The track.
    upstream
        Its rows of `probe` and `separate`.
    tools
        Where the audio comes from.
    """
    separated = upstream["separate"]
    assert separated is not None
    if heard(separated) == "vocals":
        blocks = tools.output_blocks(separated["vocals_path"], RATE_HZ)
    else:
        blocks = tools.mix_blocks(track, RATE_HZ, Repair.of(upstream["probe"]))
    return spooled(blocks, round(SHORT_SECONDS * RATE_HZ))
