"""MusicGen: equal to the library where both do the same, and drawn by seeds where they do not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models import musicgen, registry
from models.inversion.tokens import ConceptError
from models.musicgen_codes import IGNORED, Sampling, decode, delayed
from models.tiny.write import write

PROMPTS = ["a slow song", "loud drums in a track"]
SECONDS = 0.2
NAMES = ("musicgen-small", "musicgen-medium", "musicgen-melody")


@pytest.fixture(scope="module", params=NAMES)
def adapter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = write(tmp_path_factory.mktemp("models"), request.param)
    return musicgen.load(registry.card(request.param), "cpu", folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    folder = write(tmp_path_factory.mktemp("models"), "musicgen-small")
    return musicgen.load(registry.card("musicgen-small"), "cpu", folder)


def learnt(**vectors: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(vectors=vectors, model="", model_revision="", decoder=None)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_most_probable_codes_are_the_librarys(adapter, guidance: float):
    # The length that the library counts has the delays in it.
    frames = 10
    tokens = adapter._prompts._tokenizer(PROMPTS, padding=True, return_tensors="pt")
    expected = adapter.network.generate(
        **tokens, do_sample=False, guidance_scale=guidance, max_length=frames + 4
    )
    conditions = adapter.conditions(PROMPTS, {}, guidance)
    codes = decode(conditions, frames, [0, 1], Sampling(guidance, 1.0, 1))
    made = np.stack([adapter._audio(each) for each in codes])
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-4)


def test_codes_are_drawn_from_the_librarys_distribution():
    # By the processors of transformers, in their order, and by the counts of many draws.
    from transformers.generation.logits_process import (
        ClassifierFreeGuidanceLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
    )

    logits = torch.randn((2, 1, 12), generator=torch.Generator().manual_seed(0))
    before = torch.zeros((1, 1), dtype=torch.long)
    scores = ClassifierFreeGuidanceLogitsProcessor(3.0)(before, logits[:, 0])
    scores = TopKLogitsWarper(5)(before, TemperatureLogitsWarper(0.7)(before, scores))
    expected = scores.softmax(-1)[0].numpy()
    generator = torch.Generator().manual_seed(1)
    sampling = Sampling(3.0, 0.7, 5)
    drawn = [int(sampling.draw(logits, [generator])) for _ in range(4000)]
    counts = np.bincount(drawn, minlength=12) / len(drawn)
    assert set(np.flatnonzero(counts)) <= set(np.flatnonzero(expected))
    np.testing.assert_allclose(counts, expected, atol=0.03)


def test_a_piece_depends_on_its_prompt_and_seed_alone(small):
    together = list(small.generate([PROMPTS[0]] * 2 + PROMPTS[1:], [0, 1, 0], seconds=SECONDS))
    apart = [
        next(small.generate([prompt], [seed], seconds=SECONDS))
        for prompt, seed in [(PROMPTS[0], 1), (PROMPTS[0], 0), (PROMPTS[1], 0)]
    ]
    assert together[0].shape == (1, 6400)
    np.testing.assert_array_equal(together[1], apart[0])
    np.testing.assert_array_equal(together[0], apart[1])
    np.testing.assert_array_equal(together[2], apart[2])
    assert not np.array_equal(together[0], together[1])


def test_a_concept_of_known_words_is_the_prompt_with_these_words(small):
    table = small.network.get_input_embeddings().weight
    ids, _ = small.tokens(["slow song"])
    words = table[ids[0, :2]].numpy()
    expected = next(small.generate(["a slow song"], [3], seconds=SECONDS))
    taught = learnt(other=np.ones((2, 32), np.float32), eight_bit=words)
    made = next(small.generate(["a <eight_bit>"], [3], seconds=SECONDS, concepts=taught))
    np.testing.assert_array_equal(made, expected)
    # A concept in the middle of a text leaves the words around it what they are.
    before = small.tokens(["a slow song"])[0][0]
    after, _ = small.tokens(["a <c> song"], {"c": 1})
    assert after[0, 0] == before[0]
    assert after[0, 2] == before[2]
    assert len(after[0]) == len(before)


def test_what_cannot_be_generated(small):
    with pytest.raises(ConceptError, match="none is known"):
        list(small.generate(["like <8bit>"], [0], seconds=1))
    with pytest.raises(ValueError, match=r"^pieces of 31 s; up to 30 s can be made"):
        list(small.generate(["x"], [0], seconds=31))
    with pytest.raises(ValueError, match="guidance is 1 or more"):
        list(small.generate(["x"], [0], seconds=1, guidance=0.5))


def test_a_generation_can_be_ended(small):
    def stop(done: int, total: int) -> None:
        assert total == 13
        if done == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(small.generate(["x"], [0], seconds=SECONDS, on_frame=stop))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_delay_pattern_is_the_librarys(small, channels: int):
    # From its generation, with all codes as the prompt.
    codebooks = 4 * channels
    codes = torch.arange(2 * codebooks * 5).reshape(2, codebooks, 5)
    decoder = small.network.decoder
    given, told = delayed(codes, padding=2048, channels=channels)
    padded = torch.cat([codes.new_full((2, codebooks, 1), 2048), codes], -1)
    decoder.config.audio_channels, decoder.num_codebooks = channels, codebooks
    try:
        _, pattern = decoder.build_delay_pattern_mask(
            padded.flatten(0, 1), pad_token_id=2048, max_length=9
        )
    finally:
        decoder.config.audio_channels, decoder.num_codebooks = 1, 4
    pattern = pattern.reshape(2, codebooks, 9)
    np.testing.assert_array_equal(given, pattern[..., :8])
    np.testing.assert_array_equal(told.masked_fill(told == IGNORED, 2048), pattern[..., 1:])


def test_weights_that_are_missing_are_said(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = write(tmp_path, "musicgen-small")
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.lm_heads.0.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"^musicgen-small lacks weights: "):
        musicgen.load(registry.card("musicgen-small"), "cpu", folder)
