"""The index: exact for some, and nearly so for many."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.projection import index


def unit(count: int, dimensions: int = 16, seed: int = 0) -> np.ndarray:
    """Vectors around some centres, of unit length."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dimensions))
    found = centres[rng.integers(20, size=count)] + 0.5 * rng.standard_normal((count, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def made(vectors: np.ndarray, numbers: np.ndarray):
    def chunks() -> Iterator[np.ndarray]:
        yield from np.array_split(vectors, 7)

    return index.build(chunks, numbers)


def test_few_vectors_are_all_compared_and_keep_their_numbers(tmp_path: Path):
    vectors, numbers = unit(500), np.arange(500) * 3 + 10
    index.save(made(vectors, numbers), tmp_path / "index")
    stored = index.load(tmp_path / "index")
    query = unit(1, seed=5)[0]
    similarities = vectors @ query
    order = np.argsort(-similarities)
    found = index.nearest(stored, query, 5)
    assert [number for number, _ in found] == numbers[order[:5]].tolist()
    assert [score for _, score in found] == pytest.approx(
        similarities[order[:5]].tolist(), abs=1e-6
    )
    among = np.sort(numbers[order[100:103]])
    chosen = index.nearest(stored, query, 10, among)
    assert [number for number, _ in chosen] == numbers[order[100:103]].tolist()
    assert list(tmp_path.iterdir()) == [tmp_path / "index"]


def test_of_many_vectors_most_of_the_nearest_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "EXACT_MOST", 1000)
    vectors, numbers = unit(20_000), np.arange(20_000) + 7
    approximate = made(vectors, numbers)
    assert approximate.nlist == 128
    hits = 0
    for query in unit(30, seed=5):
        order = np.argsort(-(vectors @ query))
        found = [number for number, _ in index.nearest(approximate, query, 10)]
        hits += len(set(found) & set(numbers[order[:10]].tolist()))
        # Of the few that may be found none is missed, wherever they lie.
        far = numbers[order[-3:]]
        chosen = index.nearest(approximate, query, 10, far)
        assert {number for number, _ in chosen} == set(far.tolist())
    assert hits / 300 >= 0.9


def test_a_damaged_index_is_none(tmp_path: Path):
    assert index.load(tmp_path / "index") is None
    (tmp_path / "index").write_bytes(b"damaged")
    assert index.load(tmp_path / "index") is None
