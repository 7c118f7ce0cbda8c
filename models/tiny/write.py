"""One tiny model into its folder, with its manifest."""

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from models.registry import ModelCard, card
from models.weights import digest_of, read_manifest, write_manifest

LICENCE = "CC0-1.0"
"""Of tiny models, whose parameters are random numbers."""

Writer = Callable[[ModelCard, Path], None]

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
"""Module that writes the models of an adapter: its ``write(card, folder)`` makes the files."""


def write(models_dir: Path, name: str) -> Path:
    """Write the tiny model that stands for a registered one; returns its folder.

    The folder is replaced. The revision in its manifest begins with ``tiny-`` and
    depends on every byte of the files.

    Raises
    ------
    FileExistsError
        If weights that are no tiny ones lie there.
    ValueError
        If nothing writes models of its adapter.
    """
    model_card = card(name)
    if model_card.adapter not in _WRITERS:
        raise ValueError(
            f"{name}: nothing writes tiny models of {model_card.adapter}; name a writer in "
            "models/tiny/write.py."
        )
    folder = models_dir / name
    manifest = read_manifest(folder)
    if folder.exists() and (manifest is None or not manifest.revision.startswith("tiny-")):
        raise FileExistsError(f"{folder} holds something else than a tiny model; it stays")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writer: Writer = import_module(_WRITERS[model_card.adapter]).write
    writer(model_card, folder)
    written = write_manifest(folder, model_card, revision="", licence=LICENCE)
    revision = f"tiny-{digest_of(written.files)[:12]}"
    write_manifest(folder, model_card, revision=revision, licence=LICENCE)
    return folder
