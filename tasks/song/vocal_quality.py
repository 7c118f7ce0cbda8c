"""How good the separated vocals are: what leaks into them, and how they sound to listeners."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.protocols import VOICE_QUALITY
from tasks.audio import Repair
from tasks.song import voices
from tasks.step import Resource, Row, Samples, Step, StepConfig, Tools, Track, column, per_track

MODEL = "dnsmos"

RATE_HZ = 16_000

SILENCE_RMS = 1e-4
"""Of the loudest tenth of a second; -80 dBFS. Quieter vocals are the rounding of an empty stem."""

WINDOWS = 4
"""Of a track, at most, that DNSMOS hears. A window costs 0.22 s of a processor; the windows of one
song differ by 0.4 to 0.7 points (standard deviation of 158). Means of 2, 4 and 6 windows are off
by 0.24 to 0.48, 0.19 to 0.28 and 0.09 to 0.15 of the mean of all."""

CONFIDENCE_OFFSET, CONFIDENCE_PER_DB = -0.42, -0.176
"""Of the logistic function from `leakage_db` to `confidence`.

Fitted to the overall accuracy of swift-f0 in the vocals that Spleeter and repet found in 40
synthesised songs (seeds 1000 to 1039, voice at -10 to 8 dB of the band). On 40 others, the median
error is 0.06 and the rank correlation 0.75; on 24 mixes of a singer and a speaker with recorded
instruments 0.05 and 0.92. DNSMOS added to it makes neither better: within one separator, its ranks
correlate with the accuracy by -0.15 to 0.4 in the synthesised songs."""


class VocalQualityConfig(StepConfig):
    """Quality of the vocals.

    Attributes
    ----------
    model
        That scores them; None to leave its columns null.
    """

    model: str | None = MODEL


COLUMNS = pa.schema(
    [
        column("dnsmos_sig", pa.float64(), "Voice, by DNSMOS P.835, 1 to 5; null without singing"),
        column("dnsmos_bak", pa.float64(), "Absence of other sounds, likewise"),
        column("dnsmos_ovrl", pa.float64(), "Both together, likewise"),
        column(
            "leakage_db",
            pa.float64(),
            "Estimated energy of accompaniment in the vocals over the voice's; null likewise",
            "dB",
        ),
        column(
            "confidence",
            pa.float64(),
            "Expected share of frames with right pitch and voicing; null likewise",
        ),
    ]
)


def vocal_quality(
    track: Track, upstream: Mapping[str, Row | None], config: VocalQualityConfig, tools: Tools
) -> Row:
    """Compare the vocals with the mix, and score them; all null where nothing is sung."""
    from tasks.dsp.leakage import leakage_db

    probe, separated = upstream["probe"], upstream["separate"]
    assert probe is not None  # neither of them
    assert separated is not None  # is optional
    row: Row = dict.fromkeys(COLUMNS.names)
    activity, envelope = upstream.get("activity"), np.asarray(separated["vocal_rms"])
    duration = len(envelope) * separated["envelope_hop_seconds"]
    is_unsung = voices.has_vocals(activity, None, 0.0, duration) is False
    if is_unsung or envelope.max(initial=0.0) < SILENCE_RMS:
        return row
    vocals = tools.output(separated["vocals_path"], RATE_HZ)
    if separated["vocals_gain_db"]:
        vocals = vocals * np.float32(10 ** (-separated["vocals_gain_db"] / 20))
    leakage = leakage_db(tools.mix_blocks(track, RATE_HZ, Repair.of(probe)), vocals)
    if leakage is not None:
        row["leakage_db"] = leakage
        row["confidence"] = confidence(leakage)
    if config.model is not None:
        rater = tools.model(config.model, VOICE_QUALITY)
        windows = loud_windows(vocals, envelope, rater.window_samples)
        scores = np.stack(list(rater.scores(windows))).mean(axis=0, dtype=np.float64)
        for scale, score in zip(rater.scales, scores.tolist(), strict=True):
            row[f"dnsmos_{scale}"] = score
    return row


def confidence(leakage_db: float) -> float:
    """Return the expected share of frames whose pitch and voicing are right."""
    return 1.0 / (1.0 + math.exp(-CONFIDENCE_OFFSET - CONFIDENCE_PER_DB * leakage_db))


def loud_windows(
    samples: Samples, envelope: npt.NDArray[np.float32], window_samples: int
) -> list[Samples]:
    """Return windows of a signal, each around a moment before which another share of it sounded.

    Parameters
    ----------
    samples, shape (samples,)
        Repeated as often as it takes if it is shorter than a window, as in the package speechmos.
    envelope, shape (blocks,)
        RMS of blocks of equal length.
    window_samples
        Of a window.

    Returns
    -------
    list of ndarray, shape (window_samples,) each
        ``WINDOWS`` of them, or fewer that are enough for the signal.
    """
    if len(samples) < window_samples:
        return [np.resize(samples, window_samples)]
    count = min(WINDOWS, -(-len(samples) // window_samples))
    energy = np.cumsum(np.square(envelope, dtype=np.float64))
    shares = (np.arange(count) + 0.5) / count
    centres = (np.searchsorted(energy, shares * energy[-1]) + 0.5) * len(samples) / len(envelope)
    starts = np.clip(np.round(centres) - window_samples // 2, 0, len(samples) - window_samples)
    return [samples[start : start + window_samples] for start in starts.astype(int)]


def _resource(config: VocalQualityConfig) -> Resource:
    return "CPU" if config.model is None else "GPU"


STEP = Step(
    name="vocal_quality",
    version=1,
    config=VocalQualityConfig,
    columns=COLUMNS,
    run=per_track(vocal_quality),
    upstream=("probe", "separate"),
    optional_upstream=("activity",),
    resource=_resource,
    models=lambda config: () if config.model is None else (config.model,),
)
