"""One model of random weights into its folder, with its manifest."""

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from models.registry import card
from models.weights import MANIFEST, RANDOM, digest_of, read_manifest, write_manifest

LICENCE = "CC0-1.0"
"""Of models whose parameters are random numbers."""

TINY, PUBLISHED_SIZE = RANDOM

_WRITERS = {
    "models.demucs:load": "models.tiny.demucs",
    "models.spleeter:load": "models.tiny.spleeter",
    "models.swift_f0:load": "models.tiny.swift_f0",
    "models.beatnet:load": "models.tiny.beatnet",
    "models.fire_red_vad:load": "models.tiny.fire_red_vad",
    "models.dnsmos:load": "models.tiny.dnsmos",
    "models.musicnn:load": "models.tiny.musicnn",
    "models.whisper:load": "models.tiny.whisper",
    "models.clap:load": "models.tiny.clap",
    "models.ecapa:load": "models.tiny.ecapa",
    "models.encodec:load": "models.tiny.encodec",
    "models.muq:load": "models.tiny.music_encoders",
    "models.mert:load": "models.tiny.music_encoders",
    "models.minilm:load": "models.tiny.minilm",
    "models.musicgen:load": "models.tiny.musicgen",
}
"""Module that writes the models of an adapter: its ``write(card, folder)`` makes the files. Where
it has ``published(card)``, that is what ``write`` takes for a model of the published size."""


def write(models_dir: Path, name: str, *, published: bool = False) -> Path:
    """Write the model of random weights that stands for a registered one; returns its folder.

    The folder is replaced. The revision in its manifest begins with ``tiny-``, or with
    ``random-`` for one of the published size, and depends on every byte of the files.

    Parameters
    ----------
    models_dir
        Folder of the models' folders.
    name
        Of the registered model.
    published
        Whether it has as many parameters as the published one, instead of few.

    Raises
    ------
    FileExistsError
        If weights that are no random ones lie there.
    ValueError
        If nothing writes models of its adapter, or none of the published size.
    """
    model_card = card(name)
    if model_card.adapter not in _WRITERS:
        raise ValueError(
            f"{name}: nothing writes tiny models of {model_card.adapter}; name a writer in "
            "models/tiny/write.py."
        )
    folder = models_dir / name
    manifest = read_manifest(folder)
    if folder.exists() and (manifest is None or not manifest.revision.startswith(RANDOM)):
        raise FileExistsError(f"{folder} holds something else than random weights; it stays")
    writer = import_module(_WRITERS[model_card.adapter])
    if published and not hasattr(writer, "published"):
        raise ValueError(f"{name}: {writer.__name__} has no published(card), which says how large.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writer.write(model_card, folder, *([writer.published(model_card)] if published else []))
    written = write_manifest(folder, model_card, revision="", licence=LICENCE)
    kind = PUBLISHED_SIZE if published else TINY
    # Not by write_manifest: gigabytes would be read twice.
    named = replace(written, revision=f"{kind}{digest_of(written.files)[:12]}")
    (folder / MANIFEST).write_text(named.to_json())
    return folder
