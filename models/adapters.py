"""Loading models: the adapter of a card, once per process.

What is kept is known by name, revision and device, never by path: a process that lives on
notices weights that were replaced in place, and releases the old ones.
"""

import gc
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from models import packages, trained
from models.registry import ModelCard
from models.weights import NAME_DIGITS, TrainedManifest, read_manifest

_LOADED: dict[tuple[str, str], tuple[tuple[str, Any], Any]] = {}
"""Revision with arguments, and adapter, by name and device: one of a name at a time. The revision
of a model that was trained here is that of its weights, and does not tell what they are for."""


def load(card: ModelCard, device: str = "cpu", place: Path | None = None) -> Any:
    """Adapter of a model, loaded once per process, device and revision.

    Parameters
    ----------
    card
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    place
        Folder of its files, whose manifest says which revision they are; or the one file
        that it is. Needed by a model that has files.

    Raises
    ------
    ValueError
        If the files are needed and not named, or are not what the model is made of.
    """
    if not card.files:
        place = None
    elif place is None:
        raise ValueError(f"{card.name} has files of its own: their folder is needed to load it")
    manifest = read_manifest(place) if place else None
    is_packaged = place is not None and place == packages.folder(card)
    if place and place.is_dir() and manifest is None and card.sources and not is_packaged:
        # Nothing says which revision lies there; a model of one's own is known by its content.
        return _load(card, device, place)
    revision = manifest.revision if manifest else card.revision
    # The name of a model of one's own holds the first digits of its revision.
    key = (card.name.removesuffix(card.revision[:NAME_DIGITS]), device)
    known = (revision, dict(card.arguments))
    if key in _LOADED and _LOADED[key][0] == known:
        return _LOADED[key][1]
    if _LOADED.pop(key, None):
        # Before the new one takes its place in memory; networks may refer to themselves.
        gc.collect()
    if place and isinstance(manifest, TrainedManifest):
        trained.verify(place, manifest)
    adapter = _load(card, device, place)
    _LOADED[key] = (known, adapter)
    return adapter


def forget() -> None:
    """Release all models, so that the next call loads anew."""
    _LOADED.clear()


def _load(card: ModelCard, device: str, place: Path | None) -> Any:
    module, _, attribute = card.adapter.partition(":")
    loader: Callable[..., Any] | None = getattr(_imported(card, module), attribute, None)
    if loader is None:
        raise ValueError(f"{card.adapter} is no adapter: {module} has no {attribute}")
    if loader.__module__ != module:
        # A manifest of a folder from anywhere must not reach what a module happens to import.
        raise ValueError(f"{card.adapter} is no adapter: it is defined elsewhere")
    return loader(card, device, place) if place else loader(card, device)


def _imported(card: ModelCard, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise ValueError(f"{card.adapter} is no adapter: there is no {error.name}") from error
        raise
