"""Where a piece of music changes, and which parts of it are what.

Boundaries are peaks of Foote's novelty over blocks of features (beats, when there
are any); labels come from which parts return, how loud they are, where they lie
and whether they are sung.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.signal import find_peaks
from scipy.spatial.distance import pdist

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int64]

LABELS = ("intro", "verse", "chorus", "bridge", "solo", "outro", "inst")

KERNEL_SECONDS = 12.0
"""Reach of the novelty's kernel to either side. 8 s also finds the halves of verses, 16 s
misses short sections (measured on one recorded song whose lyrics show its form, and on 34
synthesised ones)."""

MIN_NOVELTY = 0.35
MIN_PROMINENCE = 0.1
"""Squared distances in units of `block_features`. Chosen amid a plateau: F at 3 s is 0.94 to
0.99 on those songs for 0.3 to 0.4, and 0.1 to 0.2; lower values divide verses."""

MFCC_USED = slice(1, 13)
"""The first coefficient is the level, which has its own share."""

WEIGHTS = {"level": 1.0, "mfcc": 1.0, "chroma": 0.2}
"""Shares of the features. At 0.5, chords divide what instruments hold together."""

MIN_DEVIATION = {"level": 2.0, "mfcc": 20.0, "chroma": 0.3}
"""Deviations are not stretched beyond these, so that a steady sound stays uniform: dB;
MFCC of `librosa`'s scale; chroma with maximum 1. Songs: 2.3-8, 45-70, 0.65-0.85; stationary
noise: 0.1, 3, 0.1."""

SAME_PART_DISTANCE = 0.5
"""Largest mean distance between returns of one part, in units of `block_features`."""

SUNG_RATIO = (0.15, 0.3)
SUNG_SHARE = 0.6
"""A part counts as sung from this share of the upper quartile over the track's parts of the
vocals' RMS over the mix's, within these limits. The ratio says more within a track than
across tracks: weight-free separation gave 0.14-0.35 in sung and 0.07-0.17 in unsung passages
of a recorded song, 0.33-0.66 and 0.11-0.49 in synthesised ones."""

QUIET_DB = 2.0
"""An opening or ending part that does not return is this much below the median level."""

_FLOOR_RMS = 10 ** (-70 / 20)


def block_features(rms: Array, mfcc: Array, chroma: Array) -> Array:
    """Features whose Euclidean distance says how different two blocks sound.

    Parameters
    ----------
    rms
        Shape ``(n,)``.
    mfcc
        Shape ``(n, 20)``.
    chroma
        Shape ``(n, 12)``.

    Returns
    -------
    Array
        Shape ``(n, 25)``: level, MFCC 1 to 12 and chroma, each group centred, with its
        total deviation brought to its weight.
    """
    level_db = 20 * np.log10(np.maximum(rms, _FLOOR_RMS))[:, None]
    groups = {"level": level_db, "mfcc": mfcc[:, MFCC_USED], "chroma": chroma}
    scaled = []
    for name, values in groups.items():
        centred = values - values.mean(axis=0)
        deviation = np.sqrt(np.square(centred).sum(axis=1).mean())
        scaled.append(WEIGHTS[name] * centred / max(deviation, MIN_DEVIATION[name]))
    return np.concatenate(scaled, axis=1)


def novelty(features: Array, reach: int) -> Array:
    """Return how different the blocks before and after each block boundary are.

    This is Foote's correlation of a checkerboard kernel with the self-similarity
    matrix ("Automatic audio segmentation using a measure of audio novelty", 2000).
    With inner products as similarity and a separable kernel it equals the squared
    distance between the weighted means on the two sides, so that the matrix is
    never formed: the cost is O(n * reach) per feature. Where one side is cut short
    by an end of the track, the value shrinks by the weight that is missing.

    Parameters
    ----------
    features
        Shape ``(n, d)``.
    reach
        Blocks to either side; their weight falls as a Gaussian to exp(-2) at the end.

    Returns
    -------
    Array
        Shape ``(n + 1,)``, for the boundaries from before the first block to after the
        last; these two are 0.
    """
    taper = np.exp(-2 * ((np.arange(reach) + 0.5) / reach) ** 2)
    weighed = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    before = np.zeros((len(features) + 1, weighed.shape[1]))
    after = np.zeros_like(before)
    for index, column in enumerate(weighed.T):
        before[1:, index] = np.convolve(column, taper)[: len(column)]
        after[:-1, index] = np.convolve(column[::-1], taper)[: len(column)][::-1]
    weight_before, weight_after = before[:, -1], after[:, -1]
    inside = slice(1, -1)
    difference = (
        before[inside, :-1] / weight_before[inside, None]
        - after[inside, :-1] / weight_after[inside, None]
    )
    share = weight_before * weight_after / (weight_before + weight_after) / (taper.sum() / 2)
    result = np.zeros(len(features) + 1)
    result[inside] = np.square(difference).sum(axis=1) * share[inside]
    return result


def find_boundaries(features: Array, edges_seconds: Array, min_segment_seconds: float) -> list[int]:
    """Divide a track where its sound changes.

    Parameters
    ----------
    features
        Of :func:`block_features`, shape ``(n, d)``.
    edges_seconds
        Boundaries of the blocks, ascending, shape ``(n + 1,)``.
    min_segment_seconds
        No segment is shorter, unless the track is.

    Returns
    -------
    list of int
        Indices into `edges_seconds`, ascending, from 0 to n.
    """
    count = len(features)
    duration = edges_seconds[-1] - edges_seconds[0]
    reach = max(2, round(KERNEL_SECONDS * count / duration)) if duration > 0 else 2
    curve = novelty(features, reach)
    peaks, _ = find_peaks(curve, height=MIN_NOVELTY, prominence=MIN_PROMINENCE)
    allowed = (edges_seconds - edges_seconds[0] >= min_segment_seconds) & (
        edges_seconds[-1] - edges_seconds >= min_segment_seconds
    )
    chosen = []
    for peak in peaks[np.argsort(-curve[peaks], kind="stable")]:
        if allowed[peak]:
            chosen.append(int(peak))
            allowed &= np.abs(edges_seconds - edges_seconds[peak]) >= min_segment_seconds
    return [0, *sorted(chosen), count]


def sung_parts(vocal_ratios: Array) -> Flags:
    """Tell which parts are sung.

    Parameters
    ----------
    vocal_ratios
        RMS of the separated vocals over that of the mix in each part, shape
        ``(parts,)``; NaN where the mix is silent.
    """
    ratios = np.nan_to_num(vocal_ratios)
    return ratios >= np.clip(SUNG_SHARE * np.percentile(ratios, 75), *SUNG_RATIO)


def label_parts(features: Array, level_db: Array, sung: Flags | None) -> list[str]:
    """Name each part of a track.

    The chorus is the loudest sung part that returns. What is sung before it is
    verse; what is sung between choruses and does not return is bridge. Without a
    voice, what precedes the singing is intro, the part that ends the track outro,
    and in between it is solo when as loud as quieter singing and inst when not. A part
    that opens or ends the track, does not return and is quieter than the rest is
    intro or outro even if it seems sung: separators let instruments through. In
    music without any voice the rest is inst.

    Parameters
    ----------
    features
        Of :func:`block_features`, typical of each part, shape ``(parts, d)``.
    level_db
        RMS level, shape ``(parts,)``.
    sung
        Whether there is a voice, shape ``(parts,)``; if None, not known, all count as sung.

    Returns
    -------
    list of str
        One of ``LABELS`` for each part. A single part is inst when not sung, else verse.
    """
    count = len(level_db)
    if sung is None:
        sung = np.ones(count, bool)
    if count == 1:
        return ["verse" if sung[0] else "inst"]
    kinds = kinds_of_parts(features)
    labels = [""] * count
    first, last = 0, count
    if sung.any():
        first = int(np.argmax(sung))
        last = count if sung[-1] else count - 1
    if first == 0 and _stands_apart(0, kinds, level_db):
        first = 1
    if last == count and _stands_apart(count - 1, kinds, level_db):
        last = count - 1
    labels[:first] = ["intro"] * first
    labels[last:] = ["outro"] * (count - last)
    voiced = [index for index in range(first, last) if sung[index]]
    loud_db = np.percentile(level_db[voiced], 25) - QUIET_DB if voiced else np.inf
    for index in range(first, last):
        if not sung[index]:
            labels[index] = "solo" if level_db[index] >= loud_db else "inst"
    _label_sung(voiced, kinds, level_db, labels)
    return labels


def kinds_of_parts(features: Array) -> Kinds:
    """Return the kind of each part, a number, shape ``(parts,)``; parts of a kind sound alike."""
    if len(features) < 2:
        return np.zeros(len(features), np.int64)
    tree = linkage(pdist(features), "average")
    return fcluster(tree, SAME_PART_DISTANCE, "distance").astype(np.int64)


def _stands_apart(index: int, kinds: Kinds, level_db: Array) -> bool:
    """Return whether the first or last part is quieter than the rest and does not return."""
    if len(kinds) < 3:
        return False
    places = np.arange(len(kinds))
    body = (places > 0) & (places < len(kinds) - 1)  # intro and outro may be alike
    others = places != index
    returns = bool((kinds[body] == kinds[index]).any())
    return not returns and bool(level_db[index] < np.median(level_db[others]) - QUIET_DB)


def _label_sung(voiced: Sequence[int], kinds: Kinds, level_db: Array, labels: list[str]) -> None:
    """Tell verse, chorus and bridge apart, in place."""
    if not voiced:
        return
    counts = {kind: sum(kinds[index] == kind for index in voiced) for kind in kinds[voiced]}
    levels = {
        kind: float(np.mean([level_db[index] for index in voiced if kinds[index] == kind]))
        for kind in counts
    }
    # What opens the singing is a verse unless nothing else is sung.
    candidates = [kind for kind in counts if kind != kinds[voiced[0]]]
    returning = [kind for kind in candidates if counts[kind] > 1]
    chorus = max(returning or candidates, key=levels.__getitem__, default=None)
    if chorus is not None and not returning and levels[chorus] < levels[kinds[voiced[0]]]:
        chorus = None
    choruses = [index for index in voiced if kinds[index] == chorus]
    for index in voiced:
        if kinds[index] == chorus:
            labels[index] = "chorus"
        elif choruses and choruses[0] < index < choruses[-1] and counts[kinds[index]] == 1:
            labels[index] = "bridge"
        else:
            labels[index] = "verse"
