"""Pieces and recordings by their embeddings."""

import numpy as np
import pytest

from tasks.dsp.embedding_distances import frechet_distance, kernel_distance
from tasks.inversion.comparison import averages, compared, metrics


def around(axis: int, count: int, seed: int, noise: float = 0.1) -> np.ndarray:
    """Unit vectors around an axis of 8 dimensions."""
    rows = np.eye(8)[axis] + noise * np.random.default_rng(seed).standard_normal((count, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_each_concept_is_held_to_its_own_recordings_and_to_those_of_others():
    recordings = {"a": around(0, 30, 1), "b": around(1, 20, 2), "c": around(2, 10, 3)}
    # What is to be b sounds like c.
    pieces = {"a": around(0, 12, 4), "b": around(2, 12, 5)}
    found = compared(pieces, recordings)
    said = metrics(found)
    assert said["fad/a"] == frechet_distance(pieces["a"], recordings["a"]).value
    assert said["kad/b"] == kernel_distance(pieces["b"], recordings["b"]).value
    assert (said["n/a"], said["n_reference/a"], said["n_reference/b"]) == (12, 30, 20)
    assert said["fad/b"] > 10 * said["fad/a"]
    assert said["kad/b"] > 10 * abs(said["kad/a"])
    pairs = pieces["b"].astype(np.float64) @ recordings["b"].T
    assert said["clap_similarity/b"] == pytest.approx(pairs.mean())
    others = [(pieces["b"].astype(np.float64) @ recordings[name].T).mean() for name in "ac"]
    assert said["clap_similarity_to_others/b"] == pytest.approx(np.mean(others))
    assert found["b"].similarities["c"] > 0.8 > 0.3 > found["b"].similarities["a"]
    means = averages(found)
    assert means["fad_avg"] == pytest.approx((said["fad/a"] + said["fad/b"]) / 2)
    assert set(means) == {
        "fad_avg",
        "kad_avg",
        "clap_similarity_avg",
        "clap_similarity_to_others_avg",
    }


def test_one_concept_has_no_others_and_one_recording_no_distance():
    alone = compared({"a": around(0, 5, 1)}, {"a": around(0, 1, 2)})
    assert set(metrics(alone)) == {"clap_similarity/a", "n/a", "n_reference/a"}
    assert set(averages(alone)) == {"clap_similarity_avg"}
    both = compared(
        {"a": around(0, 5, 1), "b": around(1, 5, 3)}, {"a": around(0, 1, 2), "b": around(1, 9, 4)}
    )
    # The mean is of those that have one.
    assert averages(both)["fad_avg"] == metrics(both)["fad/b"]
