"""What concepts are learnt from: which segments, in which order, under which prompts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.inversion.tokens import concepts_of
from tasks.fit import FitError
from tasks.inversion import concepts
from tasks.inversion.examples import Examples, Segments, chosen, placed, read
from tasks.inversion.templates import PLACEHOLDER, TRAIN, VALIDATION, prompt
from tasks.training import randomness
from tasks.training.data import Batches, loader
from tests.support.concepts import dataset


def segments(name: str, count: int) -> Segments:
    codes = np.arange(count, dtype=np.uint16)[:, None, None] + np.zeros((1, 4, 3), np.uint16)
    return Segments(name, codes, [f"{at} BPM" for at in range(count)])


def examples(*found: Segments, shuffled: bool = False) -> Examples:
    return Examples(found, {each.concept: 3 for each in found}, 100, shuffled)


def seen(data: Examples, batch_size: int, steps: int) -> list[list[tuple[str, int, str]]]:
    """Concept, segment and prompt of each example of each step."""
    batches = Batches(len(data), batch_size, 1, 1, 7, data.order)
    made = iter(
        loader(
            data, batches, first_step=0, rank=0, num_workers=0, pin_memory=False,
            collate=data.collate,
        )
    )  # fmt: skip
    found = []
    for _ in range(steps):
        batch = next(made)
        firsts = batch["codes"][:, 0, 0].tolist()
        each = zip(firsts, batch["prompts"], strict=True)
        found.append([(concepts_of(said)[0], at, said) for at, said in each])
    return found


def test_a_concept_has_the_same_examples_alone_and_beside_others():
    one, other = segments("8bit", 6), segments("pads", 4)
    together = seen(examples(one, other), 4, 6)
    for name, alone in (("8bit", examples(one)), ("pads", examples(other))):
        own = [[each for each in step if each[0] == name] for step in together]
        assert all(len(step) == 2 for step in own)
        # An epoch of the longer one is three steps; of the shorter one alone, two.
        whole = 3 if name == "8bit" else 2
        assert own[:whole] == seen(alone, 2, whole)
    first = [at for step in together[:3] for name, at, _ in step if name == "8bit"]
    assert sorted(first) == list(range(6))
    assert [at for step in together[3:] for name, at, _ in step if name == "8bit"] != first


def test_prompts_are_of_templates_and_say_what_is_known():
    assert len(set(TRAIN)) == len(set(VALIDATION)) == 40
    assert not set(TRAIN) & set(VALIDATION)
    assert all(each.count(PLACEHOLDER) == 1 for each in (*TRAIN, *VALIDATION))
    assert prompt("a %s song", "<8bit>", "120 BPM") == "a <8bit> song, 120 BPM"
    for step in seen(examples(segments("8bit", 6)), 3, 4):
        for _, at, said in step:
            assert said in {prompt(template, "<8bit>", f"{at} BPM") for template in TRAIN}


def test_vectors_take_each_others_places_within_their_concept():
    data = examples(segments("8bit", 4), segments("pads", 4), shuffled=True)
    rng = randomness.generator(0)
    numbers = data.order(0, 0)
    orders = {tuple(data.example(int(at), rng)["places"]) for at in numbers for _ in range(4)}
    assert len(orders) > 4
    for order in orders:
        assert {frozenset(order[:3]), frozenset(order[3:])} == {
            frozenset({100, 101, 102}),
            frozenset({103, 104, 105}),
        }
    ids = torch.tensor([[5, 100, 101, 102, 1], [103, 7, 104, 105, 0]])
    places = torch.tensor([[102, 100, 101, 103, 104, 105], [100, 101, 102, 105, 104, 103]])
    assert placed(ids, places, 100).tolist() == [[5, 102, 100, 101, 1], [105, 7, 104, 103, 0]]
    still = examples(segments("8bit", 4)).example(int(numbers[0]), rng)["places"]
    assert still.tolist() == [100, 101, 102]


def test_segments_are_drawn_and_cut(tmp_path: Path):
    data = concepts.read(str(dataset(tmp_path, train=3, validation=1)))
    drawn = chosen(data, "train", "8bit", 2, seed=0)
    assert [each.concept for each in drawn] == ["8bit", "8bit"]
    assert drawn == chosen(data, "train", "8bit", 2, seed=0)
    assert len({tuple(chosen(data, "train", "8bit", 2, seed)) for seed in range(8)}) > 1
    assert len(chosen(data, "train", "8bit", 9, seed=0)) == 3
    beside = chosen(data, "validation", "8bit", 9, seed=0, beside=True)
    assert [each.concept for each in beside] == ["pads"]
    found = read(data, "8bit", drawn, 0.5)
    assert found.codes.shape == (2, 4, 25)
    np.testing.assert_array_equal(found.codes[1], data.codes(drawn[1])[:, :25])
    Path(data.place.address, drawn[0].codes_path).unlink()
    with pytest.raises(FitError, match=r"\.npy is missing: run prepare_concepts.py again"):
        read(data, "8bit", drawn, 0.5)
