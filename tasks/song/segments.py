"""Values of a segment from the block-wise values of its track."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.song import voices

# Column of the features' block grid -> name in the result, values per block.
_GRID_COLUMNS = {
    "grid_rms": ("rms", 1),
    "grid_energy": ("energy", 1),
    "grid_centroid_hz": ("spectral_centroid_hz", 1),
    "grid_chroma": ("chroma", 12),
    "grid_mfcc": ("mfcc", 20),
}

# Share of the mix, in RMS, from which separated vocals count as heard. On a real song with
# timed lyrics the weight-free separation gave 0.15 to 0.57 to sung segments and 0.07 to 0.20
# to others, but 0.43 to the fading end: it misses soft singing, and near silence says nothing.
VOCALS_HEARD_RATIO = 0.2


def segment_means(
    features: Mapping[str, Any], start_seconds: float, end_seconds: float
) -> dict[str, Any]:
    """Means of the features over the frames of one segment.

    A block belongs to the segment that holds its middle, so that rounding at the
    boundaries, which lie on the grid, moves no block. Blocks weigh as many frames as
    they have: the result equals the mean over the segment's frames.

    Parameters
    ----------
    features
        A row of the step `features`: ``grid_seconds`` (n + 1), ``grid_frames`` (n),
        ``grid_rms``, ``grid_energy``, ``grid_centroid_hz`` (n), ``grid_chroma``
        (n * 12) and ``grid_mfcc`` (n * 20). A column that is null stays so.
    start_seconds, end_seconds
        The segment. One that holds no block's middle takes the block nearest to its
        own middle.

    Returns
    -------
    dict
        ``rms``, ``energy``, ``spectral_centroid_hz`` (float or None), ``chroma``
        (float64 array, shape (12,), or None) and ``mfcc`` (float64, (20,), or None).

    Raises
    ------
    ValueError
        If no block of the grid holds a frame.
    """
    means: dict[str, Any] = {name: None for name, _ in _GRID_COLUMNS.values()}
    if features.get("grid_seconds") is None:
        return means
    grid = np.asarray(features["grid_seconds"], dtype=np.float64)
    frames = np.asarray(features["grid_frames"], dtype=np.float64)
    blocks = _blocks_within(grid, frames, start_seconds, end_seconds)
    weights = frames[blocks] / frames[blocks].sum()
    for column, (name, width) in _GRID_COLUMNS.items():
        if features.get(column) is None:
            continue
        values = np.asarray(features[column], dtype=np.float64).reshape(-1, width)
        mean = weights @ values[blocks]  # (blocks,) @ (blocks, width)
        means[name] = mean if width > 1 else float(mean[0])
    return means


def vocal_ratio(
    separate: Mapping[str, Any] | None, start_seconds: float, end_seconds: float
) -> float | None:
    """RMS of the separated vocals over RMS of the mix within one segment.

    Parameters
    ----------
    separate
        A row of the step `separate`: ``vocal_rms`` and ``mix_rms`` per block of
        ``envelope_hop_seconds``. None when there is none.
    start_seconds, end_seconds
        The segment.

    Returns
    -------
    float or None
        Between 0 and 1; None without a separation, and where the mix is silent.
    """
    if not separate or separate.get("vocal_rms") is None:
        return None
    vocals = np.asarray(separate["vocal_rms"], dtype=np.float64)
    mix = np.asarray(separate["mix_rms"], dtype=np.float64)
    hop = float(separate["envelope_hop_seconds"])
    middles = (np.arange(mix.size) + 0.5) * hop
    blocks = (middles >= start_seconds) & (middles < end_seconds)
    mix_power = float(np.square(mix[blocks]).sum())
    if mix_power == 0.0:
        return None
    return min(1.0, float(np.sqrt(np.square(vocals[blocks]).sum() / mix_power)))


def has_vocals(
    rows: Mapping[str, Mapping[str, Any] | None],
    start_seconds: float,
    end_seconds: float,
    label: str | None,
) -> bool | None:
    """Return whether a segment has vocals: by activity, or by the rest if that is not in the run.

    Parameters
    ----------
    rows
        Of the steps of the run; None or empty where one failed.
    start_seconds, end_seconds, label
        The segment.

    Returns
    -------
    bool or None
        None where activity failed, and where there is no evidence at all.
    """
    if "activity" not in rows:
        return vocals_heard(
            rows.get("separate"), rows.get("lyrics"), start_seconds, end_seconds, label
        )
    activity = rows["activity"]
    if not activity:
        return None
    surely = voices.has_vocals(activity, rows.get("lyrics"), start_seconds, end_seconds)
    if surely is not None:
        return surely
    return voices.vocals_share(activity, start_seconds, end_seconds) >= voices.MIDDLE_SHARE


def vocals_heard(
    separate: Mapping[str, Any] | None,
    lyrics: Mapping[str, Any] | None,
    start_seconds: float,
    end_seconds: float,
    label: str | None,
) -> bool | None:
    """Return whether a segment is sung.

    If lines of the lyrics have times, it is when one of them lies in it; not so if others would
    start after the end of the audio, since the times are then another recording's. Otherwise
    sections that are named instrumental are not, and the vocals' share of the mix
    decides.

    Parameters
    ----------
    separate, lyrics
        Rows of these steps, or None.
    start_seconds, end_seconds, label
        The segment.

    Returns
    -------
    bool or None
        None if there is neither evidence.
    """
    starts = (lyrics or {}).get("line_start_seconds")
    ends = (lyrics or {}).get("line_end_seconds")
    if (lyrics or {}).get("lines_beyond_end"):
        starts = None
    if starts is not None and ends is not None and any(start is not None for start in starts):
        return any(
            line_start is not None
            and line_start < end_seconds
            and (line_start if line_end is None else line_end) > start_seconds
            for line_start, line_end in zip(starts, ends, strict=True)
        )
    if label in ("inst", "solo"):
        return False
    ratio = vocal_ratio(separate, start_seconds, end_seconds)
    return None if ratio is None else ratio >= VOCALS_HEARD_RATIO


def _blocks_within(
    grid: npt.NDArray[np.float64],
    frames: npt.NDArray[np.float64],
    start_seconds: float,
    end_seconds: float,
) -> npt.NDArray[np.intp]:
    """Return the indices of a segment's blocks; never empty, and none of them without frames."""
    filled = np.flatnonzero(frames > 0)
    if filled.size == 0:
        raise ValueError("no block of the features' grid holds a frame")
    middles = (grid[:-1] + grid[1:])[filled] / 2
    within = filled[(middles >= start_seconds) & (middles < end_seconds)]
    if within.size:
        return within
    nearest = np.argmin(np.abs(middles - (start_seconds + end_seconds) / 2))
    return filled[nearest : nearest + 1]
