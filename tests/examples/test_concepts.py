"""Recordings of synthesised concepts: what they are, and the same each time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from examples.concepts import CONCEPTS, write_concepts
from examples.voice import RATE_HZ


@pytest.mark.parametrize("name", CONCEPTS)
def test_a_seed_is_a_recording(name: str):
    make = CONCEPTS[name]
    assert np.array_equal(make(3, 2.0), make(3, 2.0))
    assert np.abs(make(3, 2.0) - make(4, 2.0)).max() > 0.1
    assert np.abs(make(3, 2.0)).max() == pytest.approx(0.5)


def test_square_waves_have_harmonics_that_pads_lack():
    def bright(signal: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(signal)) ** 2
        return float(power[round(2000 * len(signal) / RATE_HZ) :].sum() / power.sum())

    for seed in range(3):
        assert bright(CONCEPTS["8bit"](seed, 3.0)) > 0.02
        assert bright(CONCEPTS["pads"](seed, 3.0)) < 0.001


def test_files_lie_in_a_folder_per_concept(tmp_path: Path):
    write_concepts(tmp_path, 2, seconds=1.0)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.wav"))
    assert files == ["8bit/8bit-0.wav", "8bit/8bit-1.wav", "pads/pads-0.wav", "pads/pads-1.wav"]
    assert soundfile.info(tmp_path / files[0]).frames == RATE_HZ
