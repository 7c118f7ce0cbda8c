"""How the separated vocals would sound to listeners, by DNSMOS P.835."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.protocols import VOICE_QUALITY
from models.stretches import Stretches
from tasks.step import (
    Row,
    Samples,
    Step,
    StepConfig,
    Tools,
    Track,
    column,
    costs,
    on_gpu,
    per_track,
)

MODEL = "dnsmos"

WINDOWS = 4
"""Of a track, at most, which cost 0.9 s of a processor. In one song the scores of 158 windows have
standard deviations of 0.4 to 0.7. Means of 2, 4 and 6, evenly spaced, are off by 0.24 to 0.48, 0.19
to 0.28 and 0.09 to 0.15 from the mean of all (root of the mean square)."""


class VocalScoresConfig(StepConfig):
    """There is nothing to configure."""


def vocal_scores(
    track: Track, upstream: Mapping[str, Row | None], config: VocalScoresConfig, tools: Tools
) -> Row:
    """Score the vocals as they are in the mix; all null where nothing is sung."""
    separated, quality = upstream["separate"], upstream["vocal_quality"]
    assert separated is not None  # neither of them
    assert quality is not None  # is optional
    if quality["leakage_db"] is None:
        return dict.fromkeys(COLUMNS.names)
    rater = tools.model(MODEL, VOICE_QUALITY)
    vocals = tools.output_blocks(separated["vocals_path"], rater.sample_rate_hz)
    envelope = np.asarray(separated["vocal_rms"], np.float64)
    windows = loud_windows(vocals, envelope, rater.window_samples)
    scores = np.stack(list(rater.scores(windows))).mean(axis=0, dtype=np.float64)
    return dict(zip(rater.scales, scores.tolist(), strict=True))


def loud_windows(
    blocks: Iterable[Samples], envelope: npt.NDArray[np.float64], window_samples: int
) -> list[Samples]:
    """Return windows of a signal, around the moments at which equal shares of its energy have been.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each; gone over twice. It is repeated as often as it takes if it
        is shorter than a window, as the package speechmos does.
    envelope, shape (blocks,)
        RMS of blocks of equal length, not all of which are zero.
    window_samples
        Of a window.

    Returns
    -------
    list of ndarray, shape (window_samples,) each
        ``WINDOWS`` of them, or as many as cover a short signal.
    """
    samples = sum(map(len, blocks))
    signal = Stretches(blocks)
    if samples < window_samples:
        return [np.resize(signal.read(0, samples), window_samples)]
    count = min(WINDOWS, -(-samples // window_samples))
    energy = np.cumsum(envelope**2)
    moments = np.searchsorted(energy, (np.arange(count) + 0.5) / count * energy[-1])
    centres = (moments + 0.5) * samples / len(envelope)
    starts = np.clip(np.round(centres) - window_samples // 2, 0, samples - window_samples)
    return [signal.read(start, start + window_samples) for start in starts.astype(int).tolist()]


COLUMNS = pa.schema(
    [
        column("sig", pa.float64(), "The voice, 1 to 5; null where nothing is sung"),
        column("bak", pa.float64(), "How little else is heard, likewise"),
        column("ovrl", pa.float64(), "Both together, likewise"),
    ]
)

STEP = Step(
    name="vocal_scores",
    version=1,
    config=VocalScoresConfig,
    columns=COLUMNS,
    run=per_track(vocal_scores),
    upstream=("separate", "vocal_quality"),
    resource=on_gpu,
    models=lambda config: (MODEL,),
    cost=costs(0.5),
)
