"""Low-rank weights of a decoder: learnt, written as PEFT reads them, applied and taken off."""

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import adapters, musicgen, registry, trained
from models.inversion import learners
from models.inversion.lora import LowRank, Rank
from models.inversion.lora_weights import CONFIG, WEIGHTS, applied
from models.inversion.network import Inversion, Learner
from models.musicgen_codes import delayed
from models.tiny.write import write

CONCEPTS = ("8bit", "slow-pads")
PROMPTS = ["in the style of <8bit>", "a song like <slow-pads>"]
WORDS = ["in the style of 8bit", "a song like slow pads"]
NAME = "musicgen-small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models"), NAME)


@pytest.fixture(scope="module")
def generator(folder: Path, one_thread: None) -> musicgen.MusicGenAdapter:
    return musicgen.load(registry.card(NAME), "cpu", folder)


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.randint(2048, (2, 4, 12), generator=torch.Generator().manual_seed(0))


@contextmanager
def learning(generator: Any, **options: Any) -> Iterator[LowRank]:
    module = LowRank(generator, CONCEPTS, **options)
    try:
        yield module
    finally:
        module.release()


def state(network: Any) -> tuple[Any, ...]:
    """Everything of a network that a decoder's low-rank weights could change."""
    return (
        copy.deepcopy(network.state_dict()),
        [(name, id(module), module.training) for name, module in network.named_modules()],
        [(name, each.requires_grad) for name, each in network.named_parameters()],
        sorted(vars(network)),
    )


def assert_same(network: Any, before: tuple[Any, ...]) -> None:
    weights, *rest = state(network)
    assert list(weights) == list(before[0])
    assert all(torch.equal(weights[name], before[0][name]) for name in weights)
    assert rest == [*before[1:]]


def loss(module: Learner, codes: torch.Tensor) -> torch.Tensor:
    ids, mask = module.generator.tokens(PROMPTS, module.counts)
    result: torch.Tensor = module(ids, mask, codes).mean()
    return result


def trained_for(module: LowRank, codes: torch.Tensor, steps: int = 3) -> LowRank:
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(steps):
        loss(module.train(), codes).backward()
        optimizer.step()
        optimizer.zero_grad()
    return module.eval()


def test_concepts_are_the_words_of_their_names(generator, codes: torch.Tensor):
    ids, mask = generator.tokens(WORDS)
    plain = Inversion(generator, {"none": 1})(ids, mask, codes)
    with learning(generator) as module, torch.no_grad():
        assert loss(module.eval(), codes).item() == pytest.approx(plain.mean().item(), rel=1e-6)
        assert list(module.by_concept()) == [*CONCEPTS]


def test_a_step_changes_what_is_low_rank_and_nothing_else(generator, codes: torch.Tensor):
    before = state(generator.network)
    with learning(generator) as module:
        # 2 blocks of 8 projections of 32 x 32 and of a layer of 32 x 64 and back.
        assert sum(each.numel() for each in module.parameters()) == 2 * 16 * (8 * 64 + 2 * 96)
        assert set(module.state_dict()) == {f"weights.{name}" for name in module.weights}
        first = loss(module.eval(), codes).item()
        trained_for(module, codes)
        assert loss(module, codes).item() < first - 0.1
        learnt = {name: value.clone() for name, value in module.state_dict().items()}
        assert all(value.abs().sum() for value in learnt.values())
    assert_same(generator.network, before)


def test_gradients_are_the_same_if_computed_twice(generator, codes: torch.Tensor):
    gradients = []
    for checkpointing in (False, True):
        # What is dropped is drawn anew for the second time as it was for the first.
        with learning(generator, checkpointing=checkpointing) as module:
            torch.manual_seed(1)
            trained_for(module, codes, steps=1)
            loss(module.train(), codes).backward()
            gradients.append([each.grad for each in module.parameters()])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-8)


def test_inputs_are_dropped_in_training_only(generator, codes: torch.Tensor):
    with learning(generator, rank=Rank(dropout=0.5)) as module, torch.no_grad():
        for each in module.parameters():
            each.fill_(0.1)
        assert loss(module.train(), codes) != loss(module, codes)
        assert loss(module.eval(), codes) == loss(module, codes)


@pytest.fixture(scope="module")
def written(generator, codes: torch.Tensor, tmp_path_factory: pytest.TempPathFactory):
    """A folder of a model that has learnt, and the loss of the network that it learnt with."""
    place = tmp_path_factory.mktemp("learnt")
    with learning(generator) as module:
        trained_for(module, codes)
        learners.write(module, place, {"model": NAME})
        with torch.no_grad():
            value = loss(module, codes).item()
    trained.write(
        place,
        name="concepts",
        task="musical-concepts",
        adapter="models.inversion.adapter:load",
        arguments={
            "model": NAME,
            "model_revision": "tiny-1",
            "method": "lora",
            "tokens": module.counts,
        },
        licence="CC0-1.0",
        fit=dict.fromkeys(trained.FIT, ""),
        metrics={},
    )
    return place, value


def test_peft_loads_what_was_written(generator, folder: Path, written, codes: torch.Tensor):
    import peft
    from transformers import MusicgenForConditionalGeneration

    place, value = written
    network = MusicgenForConditionalGeneration.from_pretrained(folder)
    theirs = peft.PeftModel.from_pretrained(network, place / "decoder_lora").eval()
    ids, mask = generator.tokens(WORDS)
    given, told = delayed(codes, 2048)
    found = theirs(
        input_ids=ids,
        attention_mask=mask,
        decoder_input_ids=given.flatten(0, 1),
        labels=told.transpose(1, 2),
    ).loss
    assert found.item() == pytest.approx(value, rel=1e-5)
    about = json.loads((place / "decoder_lora" / CONFIG).read_text())
    assert about["base_model_name_or_path"] == NAME


def test_applied_and_taken_off(generator, written, codes: torch.Tensor):
    place, value = written
    module = Inversion(generator, dict.fromkeys(CONCEPTS, 1))
    ids, mask = generator.tokens(WORDS)
    before, drawn = state(generator.network), torch.get_rng_state()
    with applied(generator.network, place / "decoder_lora"), torch.no_grad():
        assert module(ids, mask, codes).mean().item() == pytest.approx(value, rel=1e-6)
        with (
            pytest.raises(ValueError, match="has low-rank weights already"),
            applied(generator.network, place / "decoder_lora"),
        ):
            pass
    assert torch.equal(drawn, torch.get_rng_state())
    assert_same(generator.network, before)


def test_generation_with_what_was_written(generator, written):
    place, _ = written
    learnt = adapters.load(trained.card(trained.read(place)), place=place)
    before = state(generator.network)

    def piece(prompt: str, concepts: Any) -> Any:
        return next(iter(generator.generate([prompt], [7], seconds=0.1, concepts=concepts)))

    plain = piece(WORDS[0], None)
    taught = piece(PROMPTS[0], learnt)
    assert not np.array_equal(plain, taught)
    np.testing.assert_array_equal(taught, piece(PROMPTS[0], learnt))
    assert_same(generator.network, before)
    np.testing.assert_array_equal(plain, piece(WORDS[0], None))


def test_what_is_no_low_rank_weights_is_refused(generator, written, tmp_path: Path):
    place = tmp_path / "decoder_lora"
    before = state(generator.network)

    def refused(reason: str) -> None:
        with pytest.raises(ValueError, match=reason), applied(generator.network, place):
            pass
        assert_same(generator.network, before)

    shutil.copytree(written[0] / "decoder_lora", place)
    weights = load_file(place / WEIGHTS)
    name = next(iter(weights))
    save_file({**weights, name: weights[name][:, :-1].contiguous()}, place / WEIGHTS)
    refused("decoder_lora does not fit the model: .*")
    save_file({key: value for key, value in weights.items() if key != name}, place / WEIGHTS)
    refused("decoder_lora does not fit the model: .*lora_A")
    (place / CONFIG).write_text('{"peft_type": "PREFIX_TUNING"}')
    refused("something else than plain low-rank weights")
    (place / CONFIG).write_text("{")
    refused("decoder_lora holds no low-rank weights")
    torch.save(weights, place / "adapter_model.bin")
    (place / WEIGHTS).unlink()
    refused("has no adapter_model.safetensors, and adapter_model.bin could run code")
