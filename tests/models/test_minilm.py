import numpy as np
import pytest
import torch

from models import minilm, packages
from models.registry import card
from models.tiny.write import write

NAME = "minilm-l6"
TEXTS = (
    "A calm acoustic track featuring guitar and piano",
    "drums",
    "In F# minor at 113 BPM, with a female voice: fast, happy, and rather long for a caption.",
    "",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models"), NAME)


@pytest.fixture(scope="module")
def real_folder():
    place = packages.folder(card(NAME))
    if place is None:
        pytest.skip("the package that brings MiniLM is not installed")
    return place


def by_library(folder, text):
    """As the model's page has it: tokens' mean under the mask, of unit norm."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)(
        [text], padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        hidden = model(**tokens)[0]
    mask = tokens["attention_mask"].unsqueeze(-1).expand(hidden.size()).float()
    pooled = torch.sum(hidden * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)
    return torch.nn.functional.normalize(pooled, p=2, dim=1)[0].numpy()


def test_texts_are_embedded_as_by_the_library(folder):
    adapter = minilm.load(card(NAME), "cpu", folder)
    found = list(adapter.embed_text(TEXTS))
    for text, embedding in zip(TEXTS, found, strict=True):
        assert embedding.shape == (adapter.dimensions,)
        assert np.abs(embedding - by_library(folder, text)).max() < 1e-6
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_padding_is_no_part_of_a_text(folder):
    adapter = minilm.load(card(NAME), "cpu", folder)
    alone = list(adapter.embed_text(TEXTS))
    together = adapter._infer(TEXTS)
    assert np.abs(np.stack(alone) - np.stack(together)).max() < 1e-5


def test_what_is_too_long_is_cut_off(folder):
    adapter = minilm.load(card(NAME), "cpu", folder)
    long = "slow " * 300
    kept, more = adapter.embed_text(["slow " * 254, long])
    assert np.array_equal(kept, more)


def test_missing_weights_are_named(folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    state = load_file(broken / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights: encoder\.layer\.1"):
        minilm.load(card(NAME), "cpu", broken)


def test_the_published_model_knows_what_means_the_same(real_folder):
    adapter = minilm.load(card(NAME), "cpu", real_folder)
    texts = ["A slow piano ballad", "A calm piece for piano", "Aggressive heavy metal guitars"]
    first, near, far = adapter.embed_text(texts)
    assert first.shape == (384,)
    assert np.abs(first - by_library(real_folder, texts[0])).max() < 1e-6
    assert first @ near > first @ far + 0.1
    assert packages.problems(card(NAME), real_folder) == []
