"""What Whisper is given of a track: the best vocals there are, or the mix.

The split without weights leaves half of the accompaniment in the vocals, and its artefacts. Of a
Spanish rock song, Whisper base got 39 % of the words wrong in Spleeter's vocals, 47 % in the mix
and 85 % in the weight-free vocals (``python -m benchmarks truth``): so these are never heard.
"""

from collections.abc import Mapping
from typing import Literal

from tasks.audio import Repair
from tasks.song.separate import WITHOUT_WEIGHTS
from tasks.step import Row, Samples, Tools, Track

RATE_HZ = 16_000

Heard = Literal["vocals", "mix"]


def heard(separated: Row) -> Heard:
    """Return what is heard of a track, by its row of `separate`."""
    return "mix" if separated["method"] == WITHOUT_WEIGHTS else "vocals"


def signal(track: Track, upstream: Mapping[str, Row | None], tools: Tools) -> Samples:
    """Return it, mono at :data:`RATE_HZ`, shape ``(n,)``.

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
        return tools.output(separated["vocals_path"], RATE_HZ)
    return tools.mix(track, RATE_HZ, Repair.of(upstream["probe"]))
