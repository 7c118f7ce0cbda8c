"""``--separator`` with a model of the user's own: what is found out before any work."""

from pathlib import Path

import pytest

from flows.build_dataset import check
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from models.weights import sha256
from tasks.engine.stage import fetched_models
from tests.conftest import write_tone
from tests.models.test_trained import write as write_trained


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with one song in ``songs``."""
    write_tone(tmp_path / "songs" / "a.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(separator: str) -> BuildDatasetParams:
    return BuildDatasetParams(
        audio_dir="songs", output="out/X.json", profile="offline", separator=separator
    )


def separate_config(separator: str) -> object:
    stages = {stage.step.name: stage for stage in params(separator).stages()}
    return stages["separate"].config


def test_a_trained_model_and_a_checkpoint_are_named_by_their_content(folder: Path):
    made = write_trained(folder / "unet1d")
    (folder / "mine.th").write_bytes(b"network")
    for address, name in (
        ("unet1d", made.known_as),
        ("mine.th", f"checkpoint-{sha256(folder / 'mine.th')[:8]}"),
    ):
        asked = params(address)
        assert separate_config(address).separator == name  # type: ignore[attr-defined]
        assert asked.tools().weights.trained == {name: address}
        assert name in fetched_models(asked.stages()), "workers are asked whether they have it"
        check(asked)


def test_registered_separators_need_no_address(folder: Path):
    for separator, name in (
        ("demucs", "htdemucs"),
        ("repet", "repet-centre"),
        ("offline", "repet-centre"),  # its name of before
        ("mdx_extra", "mdx_extra"),
    ):
        assert separate_config(separator).separator == name  # type: ignore[attr-defined]
        assert params(separator).weights.trained == {}


@pytest.mark.parametrize(
    ("separator", "message"),
    [
        ("gone.th", "--separator gone.th is neither demucs, htdemucs_ft, htdemucs_6s, mdx_extra, "),
        ("songs", "--separator songs holds no songmill.json."),
        ("codec", "--separator codec is a model of codec, not of separation."),
        (
            "damaged",
            "--separator damaged cannot be used: model.safetensors has 5 bytes instead of 7.",
        ),
    ],
)
def test_what_is_no_separator_is_said_before_any_work(folder: Path, separator: str, message: str):
    write_trained(folder / "codec", task="codec")
    write_trained(folder / "damaged")
    (folder / "damaged" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UsageError) as raised:
        check(params(separator))
    assert str(raised.value).startswith(message)
    assert not (folder / "out").exists()
