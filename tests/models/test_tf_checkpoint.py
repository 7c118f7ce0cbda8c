"""Checkpoints of TensorFlow: one that TensorFlow wrote, and those that are damaged."""

from pathlib import Path

import numpy as np
import pytest

from models import packages
from models.registry import card
from models.tf_checkpoint import read_arrays
from models.tiny.musicnn import entries, table

ARRAYS = {
    "dense/bias": np.arange(3, dtype=np.float32),
    "dense/kernel": np.arange(12, dtype=np.float32).reshape(4, 3),
    "power": np.array(0.5, np.float32),
}

PLAIN = b"\1\0\0\0" + bytes(5)
"""How a block ends: the number of its restarts, no compression, no checksum."""


def read(folder: Path, index: bytes, data: bytes) -> dict[str, np.ndarray]:
    (folder / "index").write_bytes(index)
    (folder / "data").write_bytes(data)
    return read_arrays(folder / "index", folder / "data")


def written(arrays: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    return table(entries(arrays)), b"".join(arrays[name].tobytes() for name in sorted(arrays))


def test_arrays_are_read_as_they_were_written(tmp_path: Path):
    found = read(tmp_path, *written(ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_a_checkpoint_of_tensorflow_is_read():
    """Values as ``tf.train.NewCheckpointReader`` of TensorFlow 2.21 gives them."""
    found = card("musicnn-msd")
    folder = packages.folder(found)
    if folder is None:
        pytest.skip("the package musicnn is not installed")
    arrays = read_arrays(*(folder / file.name for file in found.files))
    assert len(arrays) == 150
    assert arrays["conv2d_1/kernel"].shape == (7, 67, 1, 204)
    assert arrays["batch_normalization/moving_mean"] == pytest.approx([2.197803])
    assert arrays["dense_1/bias"][:3] == pytest.approx([-1.27, -2.03, -2.37], abs=0.005)


def test_every_damage_of_an_index_is_a_value_error_or_another_array(tmp_path: Path):
    index, data = written(ARRAYS)
    random = np.random.default_rng(0)
    refused = 0
    for at in range(0, len(index), 3):
        damaged = bytearray(index)
        damaged[at] ^= int(random.integers(1, 256))
        for content in (bytes(damaged), index[:at]):
            try:
                read(tmp_path, content, data)
            except ValueError:
                refused += 1
    assert refused > len(index) / 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index, data: (b"<!DOCTYPE html>" * 10, data), "no index"),
        (lambda index, data: (index, data[:-1]), "of another size"),
        (
            lambda index, data: (index.replace(PLAIN, PLAIN[:4] + b"\1" + PLAIN[5:]), data),
            "compres",
        ),
    ],
    ids=["a page", "cut", "compressed"],
)
def test_what_is_wrong_is_said(tmp_path: Path, change, said: str):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, *change(*written(ARRAYS)))
