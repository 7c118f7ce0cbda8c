import numpy as np
import pytest

from blocks.storage import Storage
from models.hashed_ngrams import HashedNgrams
from models.tiny.write import write
from tasks.dataset.embeddings import EmbeddingsError
from tasks.embed import captions
from tasks.embed.items import ItemTools
from tasks.embed.queries import embedder_of
from tasks.weights import Weights, WeightsError

QUERY = ["slow piano in a minor key"]


@pytest.fixture
def tools(tmp_path):
    for name in ("minilm-l6", "clap-music-and-speech"):
        write(tmp_path / "models", name)
    place = Storage(str(tmp_path))
    return ItemTools(place, place, weights=Weights(str(tmp_path / "models")))


@pytest.mark.parametrize(
    ("encoder", "model"), [("minilm", "minilm-l6"), ("clap", "clap-music-and-speech")]
)
def test_a_query_is_embedded_as_captions_were(tools, encoder, model):
    said = {"model": model, "revision": tools.weights.revision(model)}
    (found,) = embedder_of(said, tools).embed_text(QUERY)
    assert np.array_equal(found, next(captions.embedder(encoder, tools).embed_text(QUERY)))


def test_hashed_n_grams_need_no_weights(tools):
    said = {"model": "captions_hashed", "revision": "captions_hashed-1"}
    (found,) = embedder_of(said, tools).embed_text(QUERY)
    assert np.array_equal(found, next(HashedNgrams().embed_text(QUERY)))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "by '', which this version does not know"),
        ({"model": "bert", "revision": "1"}, "by 'bert', which this version does not know"),
        ({"model": "minilm-l6", "revision": "r0"}, "at revision r0, and here it is at tiny-"),
        ({"model": "captions_hashed", "revision": "x"}, "at revision x, and here it is at captio"),
    ],
)
def test_what_is_not_the_same_is_named(tools, said, sentence):
    with pytest.raises(EmbeddingsError, match=sentence):
        embedder_of(said, tools)


def test_a_model_that_is_gone_is_named(tools, tmp_path):
    elsewhere = ItemTools(tools.source, tools.outputs, weights=Weights(str(tmp_path / "none")))
    revision = elsewhere.weights.revision("clap-music-and-speech")
    with pytest.raises(WeightsError, match="clap-music-and-speech"):
        embedder_of({"model": "clap-music-and-speech", "revision": revision}, elsewhere)
