"""Networks by name; a new one is a file with a ``NETWORK`` and a line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Literal

from models.separator.network import Network

Name = Literal["unet1d", "tfunet", "bs-roformer", "moises-light"]

MODULES: Mapping[str, str] = {
    "unet1d": "models.unet1d.model",
    "tfunet": "models.tfunet.network",
    "bs-roformer": "models.separator.bs_roformer",
    "moises-light": "models.separator.moises_light",
}


def network(name: str) -> Network:
    """Return the network of a name, and import what it is made of.

    Raises
    ------
    KeyError
        If there is none.
    """
    declared: Network = import_module(MODULES[name]).NETWORK
    return declared
