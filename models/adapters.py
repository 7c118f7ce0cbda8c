"""Loading models: the adapter of a card, once per process.

What is kept is known by name, revision and device, never by path: a process that lives on
notices weights that were replaced in place, and releases the old ones. Where memory is short,
those that were not used for longest make room for another.
"""

import gc
import logging
import weakref
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from models import packages, room, trained
from models.registry import ModelCard
from models.weights import NAME_DIGITS, TrainedManifest, read_manifest

_LOADED: dict[tuple[str, str], tuple[tuple[str, Any], Any]] = {}
"""Revision with arguments, and adapter, by name and device: one of a name at a time, what was used
last at the end. The revision of a model that was trained here is that of its weights, and does not
tell what they are for."""

_LOADING = RLock()
"""Held while a model is looked up or loaded: of threads that want the same one, one loads it."""

log = logging.getLogger(__name__)


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
    # Packages are pinned, and of a model of one's own the revision is the digest of what is there.
    is_known = not card.sources or place == packages.folder(card)
    if place and place.is_dir() and manifest is None and not is_known:
        # Nothing says which revision lies there.
        return _load(card, device, place)
    revision = manifest.revision if manifest else card.revision
    # The name of a model of one's own holds the first digits of its revision.
    key = (card.name.removesuffix(card.revision[:NAME_DIGITS]), device)
    known = (revision, dict(card.arguments))
    with _LOADING:
        held = _LOADED.pop(key, None)
        if held and held[0] == known:
            _LOADED[key] = held
            return held[1]
        if held:
            # Before the new one takes its place in memory; networks may refer to themselves.
            held = None
            gc.collect()
        if place and isinstance(manifest, TrainedManifest):
            trained.verify(place, manifest)
        _make_room(card, device)
        adapter = _load(card, device, place)
        _LOADED[key] = (known, adapter)
        return adapter


def forget() -> None:
    """Release all models, so that the next call loads anew."""
    _LOADED.clear()


def _make_room(card: ModelCard, device: str) -> None:
    """Release what was not used for longest, until there is memory for a model, or nothing left.

    What a step holds at the moment stays: releasing it would free nothing.
    """
    wanted = room.need(card, device)
    if room.lacking(wanted, room.free(device)) is None:
        return
    room.give_back()
    for key in [*_LOADED]:
        short = room.lacking(wanted, room.free(device))
        if short is None:
            return
        name, where = key
        # Models on a GPU have next to nothing in the memory of the process.
        if where != short:
            continue
        held = _LOADED.pop(key)
        adapter = weakref.ref(held[1])
        known = held[0]
        del held
        room.give_back()
        if (in_use := adapter()) is not None:
            _LOADED[key] = (known, in_use)
            continue
        log.info("Released %s to make room for %s: memory of the %s is short.", name, card.name,
                 "GPU" if short == "cuda" else "process")  # fmt: skip


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
