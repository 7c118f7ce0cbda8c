"""``--separator`` with a model of the user's own: what is found out before any work."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.hdemucs import HDemucs

from flows.build_dataset import check
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from models.tiny.demucs import TINY, make_network, package
from models.unet1d.model import share
from models.weights import sha256
from tasks.engine.stage import fetched_models
from tasks.song import separate
from tasks.step import Track
from tests.conftest import write_tone
from tests.models.test_trained import write as write_trained
from tests.support.separators import arguments, network, write_checkpoint, write_folder


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


def test_a_checkpoint_of_a_training_goes_to_our_adapter_and_one_of_demucs_to_its_own(folder: Path):
    ours = write_checkpoint(folder / "step_000003.pt")
    theirs = folder / "mine.pt"
    torch.save(package(make_network(HDemucs, ("drums", "vocals"), 1, TINY[HDemucs])), theirs)
    for path, name, adapter in (
        (ours, "separator", "models.separator.adapter:load_checkpoint"),
        (theirs, "checkpoint", "models.demucs:load_checkpoint"),
    ):
        weights = params(str(path)).tools().weights
        [known] = weights.trained
        assert known == f"{name}-{sha256(path)[:8]}"
        assert (weights.card(known).adapter, weights.card(known).task) == (adapter, "separation")
        check(params(str(path)))
    # Another name of the file changes nothing.
    renamed = ours.rename(folder / "best.bin")
    assert separate_config(str(renamed)).separator.startswith("separator-")  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_the_vocals_are_the_networks(folder: Path, suffix: str):
    """The loop of training and building is closed: the step's vocals are the network's own."""
    said = arguments(sources=["other", "vocals"], segment_seconds=1.0)
    path = write_folder(folder / "run", said) if suffix == ".bin" else folder / "x.pt"
    if suffix == ".pt":
        write_checkpoint(path, said)
    mix = np.random.default_rng(0).normal(0, 0.1, (2, 44_100)).astype(np.float32)
    soundfile.write(folder / "songs" / "mix.wav", mix.T, 44_100, subtype="FLOAT")
    asked = params(str(path))
    config = separate_config(str(path))
    rows = separate.STEP.run([Track("id", "mix.wav")], {"probe": [None]}, config, asked.tools())
    found, _ = soundfile.read(Path(asked.vocals.address, rows[0]["vocals_path"]), dtype="float32")
    given = torch.from_numpy(mix)[:, None]
    with torch.inference_mode():
        expected = share(given, network(said)(given))[:, 1, 0].numpy()
    assert np.abs(found.T - expected).max() < 2 / 2**15
    assert config.separator in asked.tools().weights.trained  # type: ignore[attr-defined]


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
        ("junk.pt", "--separator junk.pt holds neither a checkpoint of train_separator.py nor a "),
        ("songs", "--separator songs holds no trained model: "),
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
    (folder / "junk.pt").write_bytes(b"junk")
    with pytest.raises(UsageError) as raised:
        check(params(separator))
    assert str(raised.value).startswith(message)
    assert not (folder / "out").exists()
