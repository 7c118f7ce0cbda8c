"""Tiny networks of Demucs, through which a song still passes.

The first and the last layer of the time branch carry the waveform past the random rest,
so that a voice is heard in the "vocals" and what follows a separation has something to do.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.states import get_state
from torch import nn

from models.registry import ModelCard

Dimensions = Mapping[type[nn.Module], Mapping[str, Any]]

TINY: Dimensions = {
    HTDemucs: {
        "channels": 16,
        "growth": 1,
        "dconv_mode": 3,
        "dconv_comp": 8,
        "t_layers": 2,
        "t_heads": 2,
        "t_hidden_scale": 1.0,
        "segment": Fraction(9, 5),
    },
    HDemucs: {"channels": 16, "growth": 1, "dconv_comp": 4},
    Demucs: {"channels": 16, "growth": 1, "dconv_comp": 4},
}
"""Up to 100,000 parameters each."""

PUBLISHED: Dimensions = {
    HTDemucs: {
        "channels": 48,
        "bottom_channels": 512,
        "dconv_mode": 3,
        "segment": Fraction(39, 5),
    },
    HDemucs: {},
}
"""Their 42 and 84 million parameters of 16 bits have the size of the published files."""

SOURCES = ("drums", "bass", "other", "vocals")
SIX_SOURCES = (*SOURCES, "guitar", "piano")

VOCALS_GAIN = 0.55
"""What of the mix comes out as vocals; the other sources share the rest."""

_PHASES = 4  # the stride of every first layer
_CARRIERS = 16  # two signs, two channels, four phases
_RANDOM_GAIN = 0.1


def published(card: ModelCard) -> Dimensions:
    """Return the dimensions of the published model."""
    return PUBLISHED


def write(card: ModelCard, folder: Path, dimensions: Dimensions = TINY) -> None:
    """Write the networks of a bag as the package demucs publishes them.

    Parameters
    ----------
    card
        The bag; its files are ``<signature>-<digits>.th``.
    folder
        Where to.
    dimensions
        Arguments of the classes: ``TINY`` or ``PUBLISHED``.
    """
    sources = SIX_SOURCES if card.name == "htdemucs_6s" else SOURCES
    kind = HDemucs if card.name == "mdx_extra" else HTDemucs
    for file in card.files:
        seed = int(file.name.partition("-")[0], 16)
        network = make_network(kind, sources, seed, dimensions[kind])
        torch.save(package(network), folder / file.name)


def make_network(
    kind: type[nn.Module], sources: Sequence[str], seed: int, arguments: Mapping[str, Any]
) -> nn.Module:
    """Network with random weights, except for those that carry the waveform through."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(sources=list(sources), **arguments)
    with torch.no_grad():
        _carry_waveform(network, sources)
    return network.eval()


def package(network: Any) -> dict[str, Any]:
    """Return what a published file holds: class, arguments, and weights of 16 bits."""
    args, kwargs = network._init_args_kwargs  # kept by demucs for this purpose
    return {
        "klass": type(network),
        "args": args,
        "kwargs": kwargs,
        "state": get_state(network, quantizer=None, half=True),
        "training_args": {},
    }


def _carry_waveform(network: Any, sources: Sequence[str]) -> None:
    into: Any
    widen: Any
    if isinstance(network, Demucs):
        into, widen = (layer for layer in network.encoder[0] if isinstance(layer, nn.Conv1d))
        narrow = network.decoder[-1][0]
        out = network.decoder[-1][-1]
        tap = 0
    else:
        first, last = network.tencoder[0], network.tdecoder[-1]
        into, widen, narrow, out = first.conv, first.rewrite, last.rewrite, last.conv_tr
        tap = first.pad
        for parameter in network.decoder[-1].conv_tr.parameters():
            parameter *= _RANDOM_GAIN
    # gelu(x) - gelu(-x) = x, and a gate that is given 0 passes on half.
    into.weight[:_CARRIERS] = 0
    into.bias[:_CARRIERS] = 0
    for layer in (widen, narrow):
        gate = layer.weight.shape[0] // 2
        for begin in (0, gate):
            layer.weight[begin : begin + _CARRIERS] = 0
            layer.bias[begin : begin + _CARRIERS] = 0
        for carrier in range(_CARRIERS):
            layer.weight[carrier, carrier, layer.weight.shape[2] // 2] = 1
    out.weight *= _RANDOM_GAIN
    out.bias *= 0
    rest = (1 - VOCALS_GAIN) / (len(sources) - 1)
    for carrier in range(_CARRIERS):
        channel, phase = divmod(carrier % (2 * _PHASES), _PHASES)
        sign = 1 if carrier < 2 * _PHASES else -1
        into.weight[carrier, channel, tap + phase] = sign
        for index, source in enumerate(sources):
            gain = VOCALS_GAIN if source == "vocals" else rest
            out.weight[carrier, 2 * index + channel, tap + phase] += 4 * sign * gain
