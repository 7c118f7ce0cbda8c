"""What the vectors of concepts are drawn to besides the codes of their music."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def similarity(vectors: "Tensor") -> "Tensor":
    """Return how much the vectors of a concept repeat each other.

    The mean of the squared cosines of any two different vectors: 0 where all are orthogonal,
    1 where all lie on one line, 0 for a single vector. Less of it lets each of them say
    something else.

    Parameters
    ----------
    vectors
        Shape ``(vectors, dimensions)``.
    """
    import torch

    count = len(vectors)
    if count == 1:
        return vectors.new_zeros(())
    unit = torch.nn.functional.normalize(vectors, dim=1)
    squares = (unit @ unit.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (count * (count - 1))


def closeness(concepts: "Sequence[Tensor]", margin: float) -> "Tensor":
    """Return how much concepts are nearer to each other than they may be.

    The sum, over any two concepts, of what the distance of their mean vectors lacks of the
    margin (a hinge, after R. Hadsell et al., "Dimensionality reduction by learning an invariant
    mapping", CVPR 2006): 0 where all are far enough from each other, and for a single one.

    Parameters
    ----------
    concepts
        Vectors of each, shape ``(vectors, dimensions)``.
    margin
        Least Euclidean distance of the means of two concepts.
    """
    import torch

    means = torch.stack([vectors.mean(0) for vectors in concepts])
    one, other = torch.triu_indices(len(means), len(means), offset=1, device=means.device)
    # Not the square root of a sum, whose gradient is no number where two means are the same.
    distances = torch.linalg.vector_norm(means[one] - means[other], dim=1)
    return (margin - distances).clamp(min=0).sum()
