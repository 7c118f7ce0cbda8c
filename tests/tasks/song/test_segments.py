from typing import Any

import numpy as np
import pytest

from tasks.song.segments import has_vocals, segment_means, vocal_ratio, vocals_heard
from tests.tasks.song.records import make_activity


def grid(block_seconds: list[float], frames: list[int]) -> dict[str, object]:
    """Features whose block values are all the index of the block."""
    blocks = np.arange(len(frames), dtype=np.float32)
    boundaries = np.concatenate([[0.0], np.cumsum(block_seconds)]).astype(np.float32)
    return {
        "grid_seconds": boundaries.tolist(),
        "grid_frames": frames,
        "grid_rms": blocks,
        "grid_energy": blocks + 1,
        "grid_centroid_hz": blocks * 100,
        "grid_chroma": (blocks[:, None] + np.arange(12)).ravel(),
        "grid_mfcc": (blocks[:, None] * np.ones(20)).ravel(),
    }


def test_means_over_blocks_equal_the_mean_over_frames() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 30, 16)
    per_frame = rng.normal(size=(frames.sum(), 20))
    ends = np.cumsum(frames)
    blocks = np.stack([part.mean(0) for part in np.split(per_frame, ends[:-1])])
    # A frame each 0.1 s, boundaries rounded to float32 as in the table.
    boundaries = (np.concatenate([[0], ends]) * 0.1).astype(np.float32)
    features = {"grid_seconds": boundaries, "grid_frames": frames, "grid_mfcc": blocks.ravel()}
    for first, last in ((0, 16), (0, 5), (5, 9), (15, 16)):
        means = segment_means(features, float(boundaries[first]), float(boundaries[last]))
        begin = 0 if first == 0 else ends[first - 1]
        np.testing.assert_allclose(means["mfcc"], per_frame[begin : ends[last - 1]].mean(0))
        assert means["rms"] is None


def test_scalars_and_vectors_keep_their_shapes() -> None:
    means = segment_means(grid([0.5] * 4, [10, 30, 10, 10]), 0.0, 1.0)
    assert means["rms"] == pytest.approx(0.75)
    assert means["energy"] == pytest.approx(1.75)
    assert means["spectral_centroid_hz"] == pytest.approx(75.0)
    np.testing.assert_allclose(means["chroma"], 0.75 + np.arange(12))
    assert means["mfcc"].shape == (20,)


def test_each_block_belongs_to_exactly_one_of_adjoining_segments() -> None:
    features = grid([0.31, 0.47, 0.29, 0.53, 0.4], [1] * 5)
    features["grid_rms"] = [1.0] * 5
    boundaries = features["grid_seconds"]
    for cut in (1, 2, 3, 4):
        # The float64 sum differs from the float32 boundary in the eighth digit.
        at = sum([0.31, 0.47, 0.29, 0.53, 0.4][:cut])
        before = segment_means(grid([0.31, 0.47, 0.29, 0.53, 0.4], [1] * 5), 0.0, at)
        after = segment_means(grid([0.31, 0.47, 0.29, 0.53, 0.4], [1] * 5), at, boundaries[-1])
        assert before["rms"] == pytest.approx(np.mean(range(cut)))
        assert after["rms"] == pytest.approx(np.mean(range(cut, 5)))


def test_a_sliver_takes_the_nearest_block_and_blocks_without_frames_count_nothing() -> None:
    features = grid([1.0] * 4, [5, 0, 5, 5])
    features["grid_rms"] = [1.0, np.nan, 3.0, 4.0]
    assert segment_means(features, 2.6, 2.7)["rms"] == 3.0
    assert segment_means(features, 1.0, 2.0)["rms"] in (1.0, 3.0)
    assert segment_means(features, 0.0, 4.0)["rms"] == pytest.approx(8 / 3)


def test_missing_features_stay_null() -> None:
    means = segment_means({"grid_seconds": None}, 0.0, 1.0)
    assert means == dict.fromkeys(("rms", "energy", "spectral_centroid_hz", "chroma", "mfcc"))
    with pytest.raises(ValueError, match="frame"):
        segment_means(grid([1.0], [0]), 0.0, 1.0)


def test_vocal_ratio_is_the_share_in_rms() -> None:
    separate = {
        "vocal_rms": [0.0] * 10 + [0.3] * 10,
        "mix_rms": [0.5] * 10 + [0.5] * 9 + [0.4],
        "envelope_hop_seconds": 0.1,
    }
    assert vocal_ratio(separate, 0.0, 1.0) == 0.0
    assert vocal_ratio(separate, 1.0, 1.9) == pytest.approx(0.6)
    assert vocal_ratio(separate, 0.0, 0.0) is None
    assert vocal_ratio({**separate, "mix_rms": [0.0] * 20}, 0.0, 2.0) is None
    assert vocal_ratio({**separate, "vocal_rms": [0.9] * 20}, 0.0, 2.0) == 1.0
    assert vocal_ratio(None, 0.0, 1.0) is None


def test_timed_lines_decide_what_is_sung_and_without_them_a_name_or_the_separation() -> None:
    separate = {
        "vocal_rms": [0.01] * 20 + [0.08] * 50,
        "mix_rms": [0.1] * 70,
        "envelope_hop_seconds": 1.0,
    }
    timed = {"line_start_seconds": [3.0, 45.0, None], "line_end_seconds": [None, 47.0, None]}
    untimed = {"line_start_seconds": [None, None], "line_end_seconds": [None, None]}
    labels = ["intro", "verse", "chorus", "inst", "solo", "inst", None]

    def heard(lyrics: dict[str, Any]) -> list[bool | None]:
        return [
            vocals_heard(separate, lyrics, 10.0 * i, 10.0 * (i + 1), label)
            for i, label in enumerate(labels)
        ]

    assert heard(timed) == [True, False, False, False, True, False, False]
    assert heard(untimed) == [False, False, True, False, False, False, True]
    assert vocals_heard(None, None, 0.0, 10.0, "verse") is None
    assert vocals_heard({}, {}, 0.0, 10.0, "inst") is False


def test_activity_goes_before_all_else_and_where_it_failed_nothing_is_known() -> None:
    timed = {"line_start_seconds": [3.0], "line_end_seconds": [9.0], "lines_beyond_end": 0}
    separate = {"vocal_rms": [0.5] * 40, "mix_rms": [0.5] * 40, "envelope_hop_seconds": 1.0}
    rest = {"separate": separate, "lyrics": timed}
    heard = make_activity(singing=[(10.0, 18.0), (20.0, 20.8), (30.0, 31.4)])

    def decided(rows: dict[str, Any]) -> list[bool | None]:
        return [has_vocals(rows, 10.0 * i, 10.0 * (i + 1), "solo") for i in range(4)]

    assert decided({**rest, "activity": heard}) == [False, True, False, False], "they disagree"
    assert decided({"separate": separate, "activity": heard}) == [False, True, False, True]
    assert decided({**rest, "activity": None}) == [None] * 4
    assert decided({**rest, "activity": {}}) == [None] * 4
    assert decided(rest) == [True, False, False, False]
