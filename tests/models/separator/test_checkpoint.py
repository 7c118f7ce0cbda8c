"""What a network takes from another's weights, and what it says of the rest."""

import pytest
import torch

from models.separator.checkpoint import CheckpointError, take
from tests.support.separators import arguments, network


def test_the_same_network_is_taken_whole():
    said = arguments()
    into = network(said, seed=1)
    taken = take(into, network(said, seed=0).state_dict())
    assert str(taken) == f"{taken.count} of {taken.count} tensors are taken"
    for name, tensor in network(said, seed=0).state_dict().items():
        assert torch.equal(into.state_dict()[name], tensor)


def test_of_other_sources_what_fits_is_taken_and_the_rest_is_named():
    into = network(arguments(sources=["vocals", "other"]), seed=1)
    before = {name: tensor.clone() for name, tensor in into.state_dict().items()}
    source = network(arguments(), seed=0).state_dict()
    taken = take(into, source)
    assert set(taken.unfit) == {"mask.weight", "mask.bias"}
    assert taken.missing == taken.unknown == ()
    assert "2 do not fit: mask.weight (4x8x1 there, 2x8x1 here), mask.bias (4 there, 2 here)" in (
        str(taken)
    )
    after = into.state_dict()
    for name in before:
        assert torch.equal(after[name], before[name] if name in taken.unfit else source[name])


def test_of_other_channels_and_depth():
    stereo = take(network(arguments(channels=2)), network(arguments()).state_dict())
    assert set(stereo.unfit) == {"entry.0.weight", "mask.weight", "mask.bias"}
    deeper = take(network(arguments(widths=[8, 16, 16])), network(arguments()).state_dict())
    assert any(name.startswith("down.1.") for name in deeper.missing)
    shallower = take(network(arguments()), network(arguments(widths=[8, 16, 16])).state_dict())
    assert any(name.startswith("down.1.") for name in shallower.unknown)


def test_another_kind_of_network_is_refused():
    with pytest.raises(CheckpointError, match="none of its tensors has the name and shape"):
        take(network(arguments()), {"layers.0.weight": torch.zeros(3)})
