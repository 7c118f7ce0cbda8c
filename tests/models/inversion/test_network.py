"""What a step of a textual inversion changes, and what its loss is."""

import copy

import numpy as np
import pytest
import torch

from models import musicgen, registry
from models.inversion.network import Inversion
from models.musicgen_codes import delayed
from models.tiny.write import write

COUNTS = {"8bit": 3, "pads": 2}
PROMPTS = ["in the style of <8bit>", "a slow <pads> song and <8bit>"]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory):
    folder = write(tmp_path_factory.mktemp("models"), "musicgen-small")
    return musicgen.load(registry.card("musicgen-small"), "cpu", folder)


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.randint(2048, (2, 4, 12), generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_librarys(generator, codes: torch.Tensor):
    module = Inversion(generator, COUNTS)
    ids, mask = generator.tokens(PROMPTS, COUNTS)
    ours = module(ids, mask, codes)
    given, told = delayed(codes, 2048)
    theirs = generator.network(
        inputs_embeds=generator.embedded(ids, module.vectors),
        attention_mask=mask,
        decoder_input_ids=given.flatten(0, 1),
        labels=told.transpose(1, 2),
    ).loss
    assert ours.shape == (2,)
    assert ours.mean().item() == pytest.approx(theirs.item(), rel=1e-6)
    alone = module(*generator.tokens(PROMPTS[:1], COUNTS), codes[:1])
    assert alone.item() == pytest.approx(ours[0].item(), rel=1e-5)


def test_a_step_changes_the_vectors_and_nothing_else(generator, codes: torch.Tensor):
    torch.manual_seed(0)
    module = Inversion(generator, COUNTS)
    before = copy.deepcopy(generator.network.state_dict())
    vectors = module.vectors.detach().clone()
    assert list(module.state_dict()) == ["vectors"]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    loss = module(*generator.tokens(PROMPTS[:1], COUNTS), codes[:1]).mean()
    loss.backward()
    optimizer.step()
    changed = (module.vectors != vectors).all(1)
    # The prompt names one of the two.
    np.testing.assert_array_equal(changed, [True] * 3 + [False] * 2)
    after = generator.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(each.grad is None for each in generator.network.parameters())
    assert module(*generator.tokens(PROMPTS[:1], COUNTS), codes[:1]).item() < loss.item()


def test_gradients_are_amplified_and_the_same_if_computed_twice(generator, codes: torch.Tensor):
    gradients = []
    for options in ({}, {"amplify": 10.0}, {"checkpointing": True}):
        torch.manual_seed(0)
        module = Inversion(generator, COUNTS, **options)
        module(*generator.tokens(PROMPTS, COUNTS), codes).mean().backward()
        gradients.append(module.vectors.grad)
    generator.network.activation_checkpointing_disable()
    generator.network.eval()
    np.testing.assert_allclose(gradients[1], 10 * gradients[0], rtol=1e-5)
    np.testing.assert_allclose(gradients[2], gradients[0], rtol=1e-4, atol=1e-9)


def test_vectors_begin_near_the_mean_word(generator):
    torch.manual_seed(0)
    module = Inversion(generator, {"a": 2000})
    mean = generator.network.get_input_embeddings().weight.mean(0)
    off = module.vectors.detach() - mean
    assert float(off.std()) == pytest.approx(0.1, rel=0.02)
    assert module.by_concept()["a"].shape == (2000, 32)
