import numpy as np
import pytest

from blocks.storage import Storage
from models import packages
from models.hashed_ngrams import HashedNgrams
from models.protocols import AUDIO_TEXT_EMBEDDING, TEXT_EMBEDDING
from models.tiny.write import write
from tasks.embed import captions, captions_clap, captions_hashed, captions_minilm
from tasks.embed.items import Item, ItemTools
from tasks.weights import Weights

STEPS = {
    "minilm": (captions_minilm.STEP, captions_minilm.CaptionsMinilmConfig()),
    "hashed": (captions_hashed.STEP, captions_hashed.CaptionsHashedConfig()),
    "clap": (captions_clap.STEP, captions_clap.CaptionsClapConfig()),
}
ITEMS = [
    Item("a", "a.wav", captions=("slow piano", "a calm song")),
    Item("b", "b.wav", captions=("fast drums", "slow piano", "rock guitar")),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("minilm-l6", "clap-music-and-speech"):
        write(folder, name)
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path, weights):
    return ItemTools(Storage(str(tmp_path)), Storage(str(tmp_path)), weights=weights)


def model(tools, encoder):
    if encoder == "hashed":
        return HashedNgrams()
    name, task = {
        "minilm": ("minilm-l6", TEXT_EMBEDDING),
        "clap": ("clap-music-and-speech", AUDIO_TEXT_EMBEDDING),
    }[encoder]
    return tools.model(name, task)


@pytest.mark.parametrize("encoder", STEPS)
def test_each_caption_has_its_embedding(tools, encoder):
    step, config = STEPS[encoder]
    for item, row in zip(ITEMS, step.run(ITEMS, {}, config, tools), strict=True):
        assert len(row["caption_embedding"]) == len(item.captions)
        for text, found in zip(item.captions, row["caption_embedding"], strict=True):
            assert np.array_equal(found, next(model(tools, encoder).embed_text([text])))


def test_equal_texts_go_through_the_network_once(tools, monkeypatch):
    heard = []
    embed = HashedNgrams.embed_text
    monkeypatch.setattr(
        HashedNgrams,
        "embed_text",
        lambda self, texts, batch_size: embed(self, heard.append(texts) or texts, batch_size),
    )
    step, config = STEPS["hashed"]
    first, second = step.run(ITEMS, {}, config, tools)
    assert heard == [["slow piano", "a calm song", "fast drums", "rock guitar"]]
    assert np.array_equal(first["caption_embedding"][0], second["caption_embedding"][1])


def test_hashed_stands_in_only_where_minilm_is_not(weights, tmp_path, monkeypatch):
    assert captions.best_available(weights) == "minilm"
    monkeypatch.setattr(packages, "folder", lambda card: None)
    assert captions.best_available(weights) == "minilm"
    assert captions.best_available(Weights(str(tmp_path))) == "hashed"


@pytest.mark.parametrize("encoder", STEPS)
def test_a_row_depends_on_the_captions_alone(encoder):
    assert STEPS[encoder][0].attributes == ("captions",)
