"""The hybrid transformer as a GPU runs it, on a CPU: against the package's network."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.htdemucs import HTDemucs
from demucs.transformer import MyGroupNorm
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.batching import Batcher
from models.demucs import DemucsAdapter, level
from models.demucs_network import HalfPrecision, RowNorm, hasten, is_hastened
from models.replay import Replayed
from models.tiny.demucs import SOURCES, TINY, make_network
from tests.models.test_replay import Rerun

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = {**TINY[HTDemucs], "segment": Fraction(1, 4)}
SAMPLES = 11_025


@pytest.fixture(scope="module")
def network():
    """A network whose residual branches, near zero before a training, are heard."""
    made = make_network(HTDemucs, SOURCES, 1, SHORT)
    for name, parameter in made.named_parameters():
        if name.endswith("scale") and ("dconv" in name or "gamma" in name):
            parameter.data.fill_(0.5)
    return made


@pytest.fixture(scope="module")
def mixes():
    generator = torch.Generator().manual_seed(0)
    return 0.3 * torch.randn(2, 2, SAMPLES, generator=generator)


def norms(shape, groups, channels, dtype):
    reference = nn.GroupNorm(groups, channels)
    nn.init.normal_(reference.weight)
    nn.init.normal_(reference.bias)
    values = 3 * torch.randn(shape) + 2
    return reference, values.to(dtype)


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6, 85_995), 1), ((3, 8, 5, 41), 4), ((300, 4, 12), 1), ((70, 8, 3), 4), ((2, 4, 1), 2)],
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 8e-3)]
)
def test_group_norm_equals_pytorchs(shape, groups, dtype, tolerance):
    torch.manual_seed(0)
    reference, values = norms(shape, groups, shape[1], dtype)
    with torch.inference_mode():
        found = RowNorm(reference.to(dtype))(values)
        expected = reference.double()(values.double())
    assert found.dtype == dtype
    error = (found - expected).abs() / expected.abs().clamp(min=1)
    assert error.max() < tolerance


def test_group_norm_over_the_last_axis_equals_the_packages():
    torch.manual_seed(0)
    reference, values = MyGroupNorm(1, 16), torch.randn(2, 1234, 16)
    nn.init.normal_(reference.weight)
    with torch.inference_mode():
        found = RowNorm(reference, channels_last=True)(values)
        torch.testing.assert_close(found, reference(values), rtol=1e-5, atol=1e-5)


def test_group_norm_keeps_what_a_large_mean_hides():
    torch.manual_seed(0)
    values = torch.randn(2, 4, 50_000) + 3000
    reference = nn.GroupNorm(1, 4)
    with torch.inference_mode():
        expected = reference.double()(values.double())
        error = (RowNorm(reference.float())(values) - expected).abs().max()
    # Values near 3000 are themselves 1.2e-4 off; squares in single precision would be 1 off.
    assert error < 5e-4


def test_the_network_is_the_same_within_rounding(network, mixes):
    with torch.inference_mode():
        expected = network(mixes)
        found = hasten(copy.deepcopy(network))(mixes)
        short = mixes[:1, :, :1000]
        torch.testing.assert_close(hasten(copy.deepcopy(network))(short), network(short))
    assert (found - expected).abs().max() < 3e-6 * expected.abs().max()
    assert not any(isinstance(each, RowNorm) for each in network.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_as_near_as_autocast_alone(network, mixes, dtype):
    def decibels(sources):
        return 10 * torch.log10(expected.square().mean() / (sources - expected).square().mean())

    with torch.inference_mode():
        expected = network(mixes)
        with torch.autocast("cpu", dtype):
            alone = network(mixes).float()
        ours = HalfPrecision(network, dtype, record=None)(mixes, 2)
    assert ours.dtype == torch.float32
    assert decibels(ours) > decibels(alone) - 0.5
    assert decibels(ours) > {torch.float16: 55, torch.bfloat16: 38}[dtype]


class Copies(TorchDispatchMode):
    """Counts copies from one device to another."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {each.device for each in tree_leaves(args) if isinstance(each, torch.Tensor)}
        self.count += isinstance(result, torch.Tensor) and bool(given - {result.device})
        return result


def copies_of_two_calls(network):
    """Copies that each of two calls asks for, of a GPU that is not there: nothing is computed."""
    counts = []
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        for module in network.modules():
            for values in (module._parameters, module._buffers):
                for name, value in [*values.items()]:
                    if value is not None:
                        moved = value.detach().to("cuda:0")
                        values[name] = nn.Parameter(moved, requires_grad=False)
        mixes = torch.empty(2, 2, SAMPLES, device="cuda:0")
        for _ in range(2):
            with Copies() as copies:
                network(mixes)
            counts.append(copies.count)
    return counts


def test_a_call_neither_waits_for_a_gpu_nor_copies_anything_to_it(network):
    """As a CUDA graph demands."""
    with pytest.raises(DataDependentOutputException):  # a value is asked for
        copies_of_two_calls(copy.deepcopy(network))
    first, second = copies_of_two_calls(hasten(copy.deepcopy(network)))
    assert first > 0  # positions
    assert second == 0


def test_tracks_by_recordings_equal_the_same_without(network):
    rng = np.random.default_rng(0)
    mix = (0.1 * rng.standard_normal((2, 6 * int(0.75 * SAMPLES)))).astype(np.float32)
    mean, std = level([mix])

    def separated(adapter):
        adapter._batchers[1] = Batcher(2)
        return np.concatenate(
            list(adapter.separate([mix], ["vocals", "no_bass"], mean=mean, std=std)), axis=2
        )

    plain = DemucsAdapter(BagOfModels([network]), "cpu", torch.bfloat16)
    recorded = DemucsAdapter(BagOfModels([network]), "cpu", torch.bfloat16)
    half = recorded._halves[network]
    half._replayed = Replayed(half._forward, Rerun)
    expected = separated(plain)
    assert np.array_equal(separated(recorded), expected)
    assert half._replayed._recording.replays == 2
    half.give_memory_back()
    assert np.array_equal(separated(recorded), expected)
    assert half._replayed._recording is None


def test_other_networks_are_left_as_they_are(network):
    older = make_network(Demucs, SOURCES, 5, {**TINY[Demucs], "segment": 1})
    shifted = make_network(HTDemucs, SOURCES, 1, {**SHORT, "t_sin_random_shift": 3})
    assert is_hastened(network)
    assert not is_hastened(older)
    assert not is_hastened(shifted)
    mixes = torch.zeros(1, 2, 44_100)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = older(mixes).float()
    with torch.inference_mode():
        assert torch.equal(HalfPrecision(older, torch.bfloat16)(mixes, 1), expected)
