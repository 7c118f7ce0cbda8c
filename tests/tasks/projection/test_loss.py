"""The contrastive loss, against values computed by hand."""

import math
from typing import Any

import pytest
import torch

from tasks.projection.loss import contrastive

# Two items along the axes; the similarity of each to the other's caption is 0, to its own 1.
AUDIO = torch.eye(2)


def loss(text: Any, owner: list[int], group: list[int], text_id: list[int], scale: float) -> float:
    value = contrastive(
        AUDIO,
        text,
        torch.tensor(scale),
        owner=torch.tensor(owner),
        group=torch.tensor(group),
        text_id=torch.tensor(text_id),
    )
    return float(value)


def test_one_caption_each_is_infonce_both_ways():
    # -log(e^s / (e^s + e^0)), in each of the four rows.
    found = loss(torch.eye(2), [0, 1], [0, 1], [0, 1], 3.0)
    assert found == pytest.approx(math.log(1 + math.exp(-3)))


def test_all_captions_of_an_item_are_its_positives():
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    # Similarities of item 0: 1, .6, 0, of which the first two are wanted; of item 1: 0, .8, 1.
    first = math.log(math.exp(1) + math.exp(0.6) + 1)
    second = math.log(1 + math.exp(0.8) + math.exp(1))
    to_text = ((first - 1 + first - 0.6) / 2 + (second - 1)) / 2
    to_audio = [
        math.log(math.exp(1) + 1) - 1,
        math.log(math.exp(0.6) + math.exp(0.8)) - 0.6,
        math.log(1 + math.exp(1)) - 1,
    ]
    found = loss(text, [0, 0, 1], [0, 1], [0, 1, 2], 1.0)
    assert found == pytest.approx((to_text + sum(to_audio) / 3) / 2)


@pytest.mark.parametrize(
    ("group", "text_id"),
    [([7, 7], [0, 1]), ([0, 1], [5, 5])],
    ids=["one group", "equal captions"],
)
def test_what_may_be_the_same_is_no_negative(group: list[int], text_id: list[int]):
    # Nothing is left to tell a positive from.
    assert loss(torch.eye(2).flip(0), [0, 1], group, text_id, 3.0) == 0.0


def test_an_item_ignores_a_caption_that_equals_any_of_its_own():
    # Item 0 has the captions 4 and 5, item 1 the caption 5.
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    first = math.log(math.exp(1) + math.exp(0.6))
    # Item 1 still tells its own from caption 4, with which it has nothing in common.
    second = math.log(1 + math.exp(1))
    to_text = ((first - 1 + first - 0.6) / 2 + (second - 1)) / 2
    # Caption 0 is of item 0 alone: item 1 is its negative. The others have none.
    to_audio = (math.log(math.exp(1) + 1) - 1) / 3
    found = loss(text, [0, 0, 1], [0, 1], [4, 5, 5], 1.0)
    assert found == pytest.approx((to_text + to_audio) / 2)


def test_gradients_stay_finite_where_all_negatives_are_ignored():
    audio = torch.eye(2, requires_grad=True)
    labels = {"owner": torch.tensor([0, 1]), "group": torch.tensor([1, 1])}
    contrastive(
        audio, torch.eye(2), torch.tensor(2.0), text_id=torch.tensor([0, 1]), **labels
    ).backward()
    assert audio.grad is not None
    assert torch.isfinite(audio.grad).all()
