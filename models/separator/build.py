"""A network by what a manifest or a checkpoint says of it, which may come from anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.separator.network import Network
from models.separator.networks import MODULES, network

MOST_SOURCES = 64
RATES_HZ = (8_000, 192_000)
MOST_SECONDS = 600


@dataclass(frozen=True)
class Arguments:
    """What a network that separates is made of.

    Attributes
    ----------
    network
        Its name, of :data:`models.separator.networks.MODULES`.
    network_arguments
        Of the network's own `build`.
    sources
        Names of what it tells apart, in order.
    channels
        Of the mixtures that it takes: 1 or 2.
    sample_rate_hz
        Of the audio that it takes and returns.
    segment_seconds
        Length of the mixtures that it was trained on.
    """

    network: str
    network_arguments: Mapping[str, Any]
    sources: tuple[str, ...]
    channels: int
    sample_rate_hz: int
    segment_seconds: float


def read(arguments: Mapping[str, Any]) -> Arguments:
    """Check the arguments of a manifest or checkpoint.

    Raises
    ------
    ValueError
        If something is missing or makes no sense; the message is a phrase that says what.
    """
    try:
        found = Arguments(**{name: arguments[name] for name in Arguments.__annotations__})
    except KeyError as error:
        raise ValueError(f"its arguments lack {error}") from error
    sources = found.sources
    named = isinstance(sources, list | tuple) and all(isinstance(name, str) for name in sources)
    for is_right, what in (
        (found.network in MODULES, "network"),
        (isinstance(found.network_arguments, Mapping), "network_arguments"),
        (named and 0 < len(set(sources)) == len(sources) <= MOST_SOURCES, "sources"),
        (named and all(map(_is_plain, sources)), "sources"),
        (found.channels in (1, 2), "channels"),
        (_is_between(found.sample_rate_hz, *RATES_HZ), "sample_rate_hz"),
        (_is_between(found.segment_seconds, 0.05, MOST_SECONDS), "segment_seconds"),
    ):
        if not is_right:
            raise ValueError(f"its {what} cannot be {getattr(found, what)!r}")
    return Arguments(**{**vars(found), "sources": tuple(sources)})


def build(arguments: Mapping[str, Any]) -> tuple[nn.Module, Network]:
    """Build the network that arguments describe, with random weights.

    Parameters
    ----------
    arguments
        As :class:`Arguments` has them.

    Returns
    -------
    Module, Network
        The network, and its declaration.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    said = read(arguments)
    declared = network(said.network)
    try:
        module = declared.build(
            len(said.sources), said.channels, said.sample_rate_hz, **said.network_arguments
        )
    except Exception as error:  # each network refuses in its own way what it cannot be made of
        raise ValueError(f"no {said.network} can be made of its arguments: {error}") from error
    return module, declared


def _is_plain(name: str) -> bool:
    """Return whether a name of a source may become one of a file."""
    return name.replace("-", "").replace("_", "").isalnum() and len(name) <= 80


def _is_between(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and least <= value <= most
