"""The synthesised set in MUSDB18's layouts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from examples.musdb import STEMS, write_set
from examples.songs import make_song
from tasks.audio import load

PRIMING = 1024
"""Samples that an encoder of AAC puts before the first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("musdb"), train=1, test=1, seconds=8.0, seed=3)


def test_a_folder_holds_the_stems_and_the_mixture_that_they_add_up_to(folder: Path):
    (song,) = (folder / "test").iterdir()
    waves = {path.stem: soundfile.read(path)[0] for path in song.iterdir()}
    assert set(waves) == {"mixture", *STEMS}
    total = sum(wave for name, wave in waves.items() if name != "mixture")
    np.testing.assert_allclose(total, waves["mixture"], atol=1e-5)


def test_a_file_holds_the_mixture_and_then_the_stems_in_the_order_of_the_corpus(folder: Path):
    (path,) = (folder / "train").iterdir()
    assert path.name.endswith(".stem.mp4")
    song = make_song(3, seconds=8.0)
    expected = [song.mix, *(song.stems[name] for name in ("drums", "bass", "chords", "vocals"))]
    for stream in range(len(expected)):
        name, place = f"train/{path.name}", Storage(str(folder))
        found = load(place, name, rate_hz=44_100, channels=2, audio_stream=stream)
        # All begin alike later than they were, by the encoder's own frame; noise is another one.
        late = found[:, PRIMING : PRIMING + song.mix.shape[1]].ravel()
        likeness = [np.corrcoef(late, each.ravel())[0, 1] for each in expected]
        assert np.argmax(likeness) == stream
        assert likeness[stream] > 0.9
