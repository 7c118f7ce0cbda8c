"""Whisper base as it is published, joined of the packages that hold it."""

import shutil
from pathlib import Path

import pytest

from models import packages, registry, weights
from models.registry import PackageSource
from tasks.weights import Weights
from tests.support.shared import made_once

NAME = "whisper-base"
CARD = registry.card(NAME)


def whisper_base(factory: pytest.TempPathFactory) -> Weights:
    """Return weights with Whisper base among them; without the packages the test is skipped."""
    if not packages.is_in_parts(CARD):
        pytest.skip("the packages of Whisper base are not installed: make says which is lost")
    return Weights(str(made_once(factory, "real-models", _join)))


def _join(folder: Path) -> None:
    (source,) = (each for each in CARD.sources if isinstance(each, PackageSource))
    home = folder / NAME
    home.mkdir()
    for file in CARD.files:
        with open(home / file.name, "wb") as whole:
            for place in packages.places(source, file.name):
                with open(place, "rb") as part:
                    shutil.copyfileobj(part, whole)
    weights.write_manifest(home, CARD, revision=CARD.revision, licence=CARD.licence)
