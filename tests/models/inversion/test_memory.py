"""Memory of a training: counted without content, against what PyTorch's profiler measures."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import transformers

from models import registry
from models.inversion import learners
from models.inversion.lora import Rank
from models.inversion.memory import Step, needed
from models.musicgen import MusicGenAdapter
from models.tiny import encodec
from models.tiny import musicgen as sizes
from models.tiny.write import write

SMALL = registry.card("musicgen-small")
# Few codes: else these, and not the layers, are what takes memory.
FEW_CODES = {"vocab_size": 64, "pad_token_id": 64, "bos_token_id": 64}
DECODER = {**sizes.DECODER, **FEW_CODES, "num_hidden_layers": 6}
TINY = sizes.configuration(SMALL, encodec.TINY, sizes.TEXT, DECODER)
STEP = Step(batch=4, seconds=1.0, concepts=1, vectors=5, words=16)


@pytest.fixture(scope="module")
def generator(one_thread: None, tmp_path_factory: pytest.TempPathFactory):
    folder = write(tmp_path_factory.mktemp("models"), SMALL.name)
    network = transformers.MusicgenForConditionalGeneration(TINY)
    return MusicGenAdapter(network, transformers.AutoTokenizer.from_pretrained(folder), "cpu")


def peak_bytes(call: Callable[[], None]) -> int:
    """Most bytes that a call has allocated at once, by the events of the profiler."""
    with torch.profiler.profile(profile_memory=True) as profile:
        call()
    events = [event for event in profile.profiler.kineto_results.events()
              if event.name() == "[memory]"]  # fmt: skip
    now = peak = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize(("method", "checkpointing"), [("inversion", False), ("lora", True)])
def test_a_step_takes_what_was_counted(generator, method, checkpointing: bool):
    step = replace(STEP, method=method, checkpointing=checkpointing)
    learner = learners.learner(
        method, generator, ["a"], vectors=step.vectors, amplify=1.0, rank=Rank(), seed=0,
        checkpointing=checkpointing,
    ).train()  # fmt: skip
    ids = torch.randint(100, (step.batch, step.words))
    mask = torch.ones_like(ids)
    mask[0, -1] = 0
    codes = torch.randint(64, (step.batch, 4, 50))

    def call() -> None:
        learner(ids, mask, codes).mean().backward()

    try:
        call()
        learner.zero_grad()
        measured = peak_bytes(call)
    finally:
        learner.release()
    counted = needed(TINY, step, torch.float32)
    assert counted.learnt == 4 * sum(each.nbytes for each in learner.parameters())
    # A CPU's attention keeps less than its definition says.
    assert counted.passing == pytest.approx(measured, rel=0.1)


def test_small_fits_12_gb_by_its_published_configuration():
    # In 32 bits throughout: mixed precision takes less.
    counted = needed(sizes.published(SMALL), Step(), torch.float32)
    # The size of the published file of weights.
    assert counted.weights == pytest.approx(2.36e9, rel=0.005)
    assert counted.total < 4e9
