"""The trainings of examples/, each on an export of synthesised songs and with a tiny model."""

import builtins
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from examples import tiny_whisper, train_asr, train_webdataset
from models.musicgen_codes import IGNORED, delayed
from models.tiny.write import write
from tests.tasks.export.conftest import RATE_HZ, Export

EXAMPLES = Path(train_asr.__file__).parent
Train = Callable[..., list[float]]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Train:
    """Run a script as a command does; returns the losses that it prints."""

    def run(script: str, *arguments: Any) -> list[float]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return [float(loss) for loss in re.findall(r"loss (\S+)", capsys.readouterr().out)]

    return run


def fall(losses: list[float]) -> float:
    """By how much the last three are below the first three."""
    return float(np.mean(losses[:3]) - np.mean(losses[-3:]))


@pytest.fixture(scope="module")
def musicgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny MusicGen."""
    return write(tmp_path_factory.mktemp("models"), "musicgen-small")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_musicgen_is_tuned(
    train: Train,
    songs: Path,
    export: Export,
    musicgen: Path,
    tmp_path: Path,
) -> None:
    folder, tuned = export(songs, "musicgen"), tmp_path / "tuned"
    options = ("--model", musicgen, "--output", tuned, "--seconds", 1, "--lora", 0)
    losses = train("train_musicgen.py", folder, *options, "--steps", 12, "--learning_rate", 1e-2)
    assert fall(losses) > 1
    from transformers import MusicgenForConditionalGeneration

    _, loading = MusicgenForConditionalGeneration.from_pretrained(tuned, output_loading_info=True)
    assert not loading["missing_keys"] | loading["unexpected_keys"]


def test_adapters_of_musicgen_become_weights_of_what_they_adapt(
    train: Train,
    songs: Path,
    export: Export,
    musicgen: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import MusicgenForConditionalGeneration

    given: list[dict[str, torch.Tensor]] = []
    forward = MusicgenForConditionalGeneration.forward

    def noted(self: Any, **inputs: torch.Tensor) -> Any:
        given.append(inputs)
        return forward(self, **inputs)

    monkeypatch.setattr(MusicgenForConditionalGeneration, "forward", noted)
    folder, tuned = export(songs, "musicgen"), tmp_path / "tuned"
    options = ("--model", musicgen, "--output", tuned, "--seconds", 1, "--steps", 2)
    train("train_musicgen.py", folder, *options)

    before, after = weights(musicgen), weights(tuned)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"decoder"}
    adapted = {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}
    assert {name.split(".")[-2] for name in changed} == adapted
    # Codes of one second, 50 frames, in the pattern that the network of this house is trained by.
    labels = given[0]["labels"].transpose(1, 2)
    codes = torch.stack([labels[:, book, book : book + 50] for book in range(4)], 1)
    assert int(codes.max()) < 2048
    read, told = delayed(codes, 2048)
    assert torch.equal(given[0]["decoder_input_ids"].unflatten(0, (-1, 4)), read)
    assert torch.equal(labels.masked_fill(labels == 2048, IGNORED), told)


def test_a_killed_training_on_webdataset_goes_on_exactly(
    train: Train,
    songs: Path,
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = export(songs, "webdataset")
    shutil.copy(folder / "train-00000.tar", folder / "train-00001.tar")
    command = ("train_webdataset.py", *sorted(folder.glob("train-*.tar")), "--save_every", 1)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    losses = train(*command, "--output", whole, "--steps", 6)
    assert len(losses) == 6
    assert fall(losses) > 0.2

    def killed(text: str, **options: Any) -> None:
        if text.startswith("step 5 "):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "print", killed)
        with pytest.raises(KeyboardInterrupt):
            train(*command, "--output", parts, "--steps", 6)
    # Step 4 was saved, two batches of either worker: those after it come again.
    assert train(*command, "--output", parts, "--steps", 6) == losses[4:]
    assert whole.read_bytes() == parts.read_bytes()


def test_every_epoch_has_every_shard() -> None:
    shards = [f"{number}.tar" for number in range(5)]
    urls = [each["url"] for each in islice(train_webdataset.endless(shards), 15)]
    epochs = [urls[:5], urls[5:10], urls[10:]]
    assert [sorted(epoch) for epoch in epochs] == [shards] * 3
    assert len(set(map(tuple, epochs))) > 1


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper."""
    folder = tmp_path_factory.mktemp("models") / "whisper"
    tiny_whisper.write(folder)
    return folder


def test_whisper_is_tuned(
    train: Train,
    songs: Path,
    export: Export,
    whisper: Path,
    tmp_path: Path,
) -> None:
    folder, tuned = export(songs, "lhotse", vocals=True), tmp_path / "tuned"
    options = ("--model", whisper, "--output", tuned, "--batch_size", 2)
    losses = train("train_asr.py", folder, *options, "--steps", 8, "--learning_rate", 1e-2)
    assert fall(losses) > 1
    assert weights(tuned).keys() == weights(whisper).keys()


def test_phrases_are_what_is_sung_between_pauses(
    songs: Path,
    export: Export,
    whisper: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import WhisperProcessor

    folder = export(songs, "lhotse", vocals=True)
    monkeypatch.setattr(train_asr, "PAUSE_SECONDS", 0.25)  # "sun" ends 0.375 s before "rise"
    cuts = list(islice(train_asr.phrases(folder, "train"), 8))
    assert [cut.supervisions[0].text for cut in cuts] == ["low sun", "rise"] * 4
    assert [(cut.start, cut.duration) for cut in cuts] == [(0.25, 0.625), (1.25, 0.5)] * 4
    assert cuts[0].load_audio().shape == (1, 0.625 * RATE_HZ)

    processor = WhisperProcessor.from_pretrained(whisper)
    features, tokens = train_asr.batch(cuts[:2], processor)
    assert features.shape == (2, 80, 3000)
    said = [[token for token in row if token >= 0] for row in tokens.tolist()]
    spelt = [processor.tokenizer.decode(row) for row in said]
    told = "<|en|><|transcribe|><|notimestamps|>"
    assert spelt == [f"{told}low sun<|endoftext|>", f"{told}rise<|endoftext|>"]
