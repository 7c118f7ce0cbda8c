"""Models of random weights that have as many parameters as the published ones."""

from pathlib import Path

import pytest

from models import registry
from models.tiny import whisper
from models.tiny.write import write
from models.weights import read_manifest
from tasks.weights import Weights, fetch


@pytest.mark.parametrize("name", ["ecapa-voxceleb", "whisper-tiny"])
def test_they_have_the_published_size_and_pass_for_no_published_ones(name: str, tmp_path: Path):
    folder = write(tmp_path, name, published=True)
    card = registry.card(name)
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    assert size_bytes == pytest.approx(card.size_bytes, rel=0.02)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.revision.startswith("random-")
    assert manifest.licence == "CC0-1.0"
    place = Weights(str(tmp_path))
    assert place.problems(name) == []
    assert fetch.state(place, name) == "tiny"
    write(tmp_path, name)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.revision.startswith("tiny-"), "either kind takes the other's place"


def test_large_v3_has_a_billion_and_a_half_of_parameters():
    """1,550 million by its paper; the encoder's and decoder's layers, and the vocabulary."""
    size = whisper.published(registry.card("whisper-large-v3"))
    encoder, decoder = 12 * size.width**2, 16 * size.width**2
    assert size.layers * (encoder + decoder) + size.vocabulary * size.width == (
        pytest.approx(1_550e6, rel=0.02)
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [("swift-f0", "has no published"), ("whisper-large-v3-turbo", "published sizes are those of")],
)
def test_where_no_size_is_known_that_is_said(name: str, said: str, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        write(tmp_path, name, published=True)
