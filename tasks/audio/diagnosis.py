"""What is certain to be wrong with a signal, and how it is put right.

Every threshold was tried on music, singing, speech and stems that nothing is wrong with, and
leaves a margin to what was measured there.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tasks.audio.levels import SUM
from tasks.audio.measures import Measurement
from tasks.audio.repair import ChannelMap, Repair
from tasks.track import Samples

ABOVE_ANY_MIX = 8.0
"""Samples beyond it, +18 dBFS, are in another scale or no audio. Float mixes of 0 to +6 dBFS are
met, and stay as they are."""

INTEGER_BITS = (16, 24, 32)
OVERSHOOT = 1.12
LEAST_OF_SCALE = 0.01
WHOLE_SHARE = 0.99
"""Samples are at the scale of integers if their peak fits it, up to +1 dB, and either is above
-40 dBFS of it or 99 % of the samples are whole numbers."""

LOUD_SHARE = 1e-3
STRAY_FACTOR = 16.0
"""Of samples beyond ABOVE_ANY_MIX, those 24 dB above the level that a thousandth of all samples
reaches are strays: broken bytes, not sound."""

DC_OFFSET = 0.002
DC_WINDOW_FRAMES = 5
DC_SHARE = 0.9
DC_DEVIATION = 0.5
"""An offset is a mean of at least -54 dBFS to which nine of ten half seconds agree within half
of it. Recordings were met with means of up to 0.0013 and a synthesised song with 0.0036, but
their half seconds do not agree."""

OPPOSITE = -0.9
OPPOSITE_IN_MOST = -0.6
OPPOSITE_BASS = -0.95
OPPOSITE_WINDOW_FRAMES = 5
OPPOSITE_SHARE = 0.95
"""The channels are out of phase if their correlation is below -0.9; or below -0.6 if that of
the bass, which mixes keep in the middle, is below -0.95 and nearly all half seconds are negative.
Of a mix with one channel turned round it was -0.77, and -0.99 in the bass. Mixes whose sides were
raised by 14 dB reached -0.80, and -0.91 in the bass: they stay wide."""

DEAD_RATIO = 1e-3
LEAST_LIVING = 1e-3
"""A channel is dead if in its loudest tenth of a second it is 60 dB below the RMS of the other
one, which is above -60 dBFS. MP3, AAC and Opus at 64 kb/s leak -124 dB into a silent channel."""


def stray_limit(blocks: Iterable[Samples]) -> tuple[float | None, bool]:
    """Return beyond what samples are no audio, and whether the others are whole numbers.

    For signals with samples beyond ABOVE_ANY_MIX.

    Parameters
    ----------
    blocks
        Of finite samples, of any shape.
    """
    counts = np.zeros(2048, np.int64)
    zero = 1024
    whole = 0
    for block in blocks:
        values = block[block != 0]
        # A sample is at least half of, and less than, two to the power of its exponent.
        counts += np.bincount(np.frexp(values)[1] + zero, minlength=len(counts))
        whole += int(np.count_nonzero(values == np.round(values)))
    total = counts.sum()
    from_above = np.cumsum(counts[::-1])[::-1]
    loud = int(np.flatnonzero(from_above >= max(1.0, LOUD_SHARE * total))[-1]) - zero
    limit = max(ABOVE_ANY_MIX, STRAY_FACTOR * 2.0**loud)
    # Of integers, the strays are too few to count.
    return limit if _largest(counts, zero) > limit else None, whole >= WHOLE_SHARE * total


def _largest(counts: npt.NDArray[np.int64], zero: int) -> float:
    return float(2.0 ** (np.flatnonzero(counts)[-1] - zero - 1))


def scale(peak: float, is_whole: bool) -> tuple[float, str | None]:
    """Return the gain that brings a signal to the scale at which 1 is full, and a notice.

    Parameters
    ----------
    peak
        Largest sample.
    is_whole
        Whether samples are whole numbers.
    """
    if peak <= ABOVE_ANY_MIX:
        return 1.0, None
    for bits in INTEGER_BITS:
        full = 2.0 ** (bits - 1)
        if peak <= OVERSHOOT * full and (is_whole or peak >= LEAST_OF_SCALE * full):
            return 1 / full, (
                f"integer-scale: The samples are at the scale of {bits}-bit integers; they were "
                f"divided by {full:.0f}."
            )
    return 1 / peak, (
        f"far-above-full-scale: The samples reach {peak:.4g} times full scale; they were brought "
        f"down to it, by {20 * np.log10(peak):.1f} dB."
    )


def treat(measured: Measurement, repair: Repair, *, is_stereo: bool) -> tuple[Repair, list[str]]:
    """Return the repair with what the channels need as well, and a notice for each.

    Parameters
    ----------
    measured
        The signal without strays, at its right scale.
    repair
        What made it so.
    is_stereo
        Whether the file has two channels; of a downmix of more nothing is certain.
    """
    notices = []
    offsets = [_dc_offset(measured, channel) for channel in range(measured.channels)]
    if any(offsets):
        left, right = offsets[0], offsets[-1]
        repair = replace(repair, left_offset=left, right_offset=right)
        means = " and ".join(f"{offset:.4f}" for offset in dict.fromkeys(offsets))
        notices.append(f"dc-offset: The samples had a mean of {means}; it was taken off.")
    if is_stereo:
        channel_map, notice = _channel_map(measured)
        repair = replace(repair, channel_map=channel_map)
        notices += [notice] if notice else []
    return repair, notices


def _dc_offset(measured: Measurement, channel: int) -> float:
    """Mean of a channel, if it is one that stays; else 0."""
    mean = float(measured.means()[channel])
    whole = measured.meter.samples // measured.meter.frame
    # Of short files, windows of a tenth of a second have to agree.
    frames = DC_WINDOW_FRAMES if whole >= 4 * DC_WINDOW_FRAMES else 1
    count = whole // frames
    if abs(mean) < DC_OFFSET or count < 4:
        return 0.0
    sums = measured.meter.frames(SUM)[: count * frames, channel].reshape(count, frames)
    means = sums.sum(axis=1) / (frames * measured.meter.frame)
    agreeing = np.abs(means - mean) <= DC_DEVIATION * abs(mean)
    return mean if agreeing.mean() >= DC_SHARE else 0.0


def _channel_map(measured: Measurement) -> tuple[ChannelMap, str | None]:
    variances = measured.variances()
    rms = np.sqrt(variances.mean(axis=0))
    loudest = np.sqrt(variances.max(axis=0))
    for dead, living, name in ((0, 1, "right"), (1, 0, "left")):
        if rms[living] >= LEAST_LIVING and loudest[dead] <= DEAD_RATIO * rms[living]:
            channel_map: ChannelMap = "right" if living else "left"
            other = "left" if living else "right"
            return channel_map, (
                f"dead-channel: The {other} channel is silent; both were taken from the {name} one."
            )
    correlation = measured.correlation()
    if correlation is not None and _is_opposite(measured, correlation):
        return "right-inverted", (
            f"out-of-phase: Left and right are of opposite polarity (correlation "
            f"{correlation:.2f}); the right one was turned round."
        )
    return "as-found", None


def _is_opposite(measured: Measurement, correlation: float) -> bool:
    if correlation <= OPPOSITE:
        return True
    if correlation > OPPOSITE_IN_MOST:
        return False
    bass = measured.bass_correlation()
    windows = measured.correlations(OPPOSITE_WINDOW_FRAMES)
    return (
        bass is not None
        and bass <= OPPOSITE_BASS
        and len(windows) > 0
        and float((windows < 0).mean()) >= OPPOSITE_SHARE
    )
