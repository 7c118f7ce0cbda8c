import numpy as np
import pytest

from models.protocols import Separator
from tasks.separator.candidates import WITHOUT_MODEL, Material, parts, separated
from tasks.separator.training_song import SOURCES
from tasks.step import Tools
from tasks.weights import ModelError
from tests.tasks.separator.decoded import RATE_HZ, sources, store

MUSDB = list(SOURCES)


@pytest.mark.parametrize(
    ("names", "known", "taken"),
    [
        (MUSDB, ["drums", "bass", "other", "vocals"], {0: [3], 1: [0], 2: [1], 3: [2]}),
        (MUSDB, ["vocals", "accompaniment"], {0: [0]}),
        (["vocals", "other"], ["drums", "bass", "other", "vocals"], {0: [3], 1: [0, 1, 2]}),
        (["vocals", "accompaniment"], ["vocals", "other"], {0: [0], 1: [1]}),
        (["guitar", "other"], ["vocals", "accompaniment"], {}),
        (["vocals", "other"], ["vocals"], {0: [0]}),
        (["vocals", "piano", "other"], [*MUSDB, "piano"], {0: [0], 1: [4], 2: [1, 2, 3]}),
    ],
)
def test_other_is_what_is_no_other_source_of_the_song(names, known, taken):
    assert parts(names, known) == taken


@pytest.fixture
def material() -> Material:
    planes = sources(4.0).transpose(0, 2, 1)
    mixture = (planes / 32_768).sum(axis=0).astype(np.float32)
    return Material(planes, mixture, SOURCES, RATE_HZ)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_estimates_are_as_long_as_the_song_and_have_its_channels(
    name: str, channels: int, material: Material, tmp_path
):
    material = Material(
        material.references[:, :channels], material.mixture[:channels], SOURCES, RATE_HZ
    )
    _, _, tools = store(tmp_path, sources(0.1))
    found = separated(name, material, tools)
    signals = np.concatenate(list(found.blocks), axis=2)
    assert signals.shape == (len(found.sources), *material.mixture.shape)
    assert list(found.sources) == ([0] if name == "repet-centre" else [0, 1, 2, 3])
    if name == "mixture":
        np.testing.assert_array_equal(signals, np.stack([material.mixture] * 4))


class Halves:
    """A separator of which one source is half of the mixture, and so is the other."""

    sources = ("accompaniment", "vocals")
    sample_rate_hz = RATE_HZ
    needs_level = False

    def separate(self, blocks, stems, *, mean, std, batch_size=None):
        for block in blocks:
            yield np.stack([0.25 * block, 0.75 * block])


class ToolsWith(Tools):
    """Tools that have a certain separator."""

    def model(self, name, task):
        return Halves()


def test_a_separators_sources_come_in_the_order_of_the_songs(material: Material, tmp_path):
    assert isinstance(Halves(), Separator)
    plain = store(tmp_path, sources(0.1))[2]
    tools = ToolsWith(plain.source, plain.outputs)
    two = Material(material.references[:2], material.mixture, ("vocals", "other"), RATE_HZ)
    found = separated("halves", two, tools)
    signals = np.concatenate(list(found.blocks), axis=2)
    np.testing.assert_allclose(signals[0], 0.75 * material.mixture, rtol=1e-6)
    np.testing.assert_allclose(signals[1], 0.25 * material.mixture, rtol=1e-6)
    elsewhere = Material(material.references, material.mixture, SOURCES, 44_100)
    with pytest.raises(ModelError, match=r"halves separates at 8000 Hz.*--sample_rate_hz 8000\."):
        separated("halves", elsewhere, tools)
    strange = Material(material.references[:2], material.mixture, ("piano", "other"), RATE_HZ)
    with pytest.raises(ModelError, match="knows accompaniment, vocals, of which the songs have no"):
        separated("halves", strange, tools)
