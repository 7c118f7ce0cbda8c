"""What vectors are drawn to, against what follows from their geometry."""

import pytest
import torch

from tasks.inversion.losses import closeness, similarity


def test_vectors_are_alike_by_their_directions_alone():
    orthogonal = torch.diag(torch.tensor([1.0, 20.0, 0.1]))
    assert similarity(orthogonal).item() == 0
    line = torch.tensor([[1.0, 2.0]]) * torch.tensor([[1.0], [-3.0], [0.5]])
    assert similarity(line).item() == pytest.approx(1)
    # At 60 degrees the cosine is a half, wherever the third, orthogonal one points.
    three = torch.tensor([[1.0, 0, 0], [0.5, 3**0.5 / 2, 0], [0, 0, 7.0]])
    assert similarity(three).item() == pytest.approx(0.25 / 3, rel=1e-5)
    assert similarity(torch.ones(1, 4)).item() == 0


def test_concepts_are_near_by_the_distance_of_their_means():
    one = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # mean (1, 0)
    near = torch.tensor([[1.0, 1.0]])
    far = torch.tensor([[1.0, 9.0]])
    assert closeness([one, near], 1.5).item() == pytest.approx(0.5)
    assert closeness([one, far], 1.5).item() == 0
    assert closeness([one, near, far], 8.5).item() == pytest.approx(7.5 + 0.5)
    assert closeness([one], 1.5).item() == 0


def test_concepts_that_are_the_same_have_a_gradient():
    one, other = (torch.ones(2, 3, requires_grad=True) for _ in range(2))
    closeness([one, other], 1.5).backward()
    assert one.grad is not None
    assert one.grad.isfinite().all()
