"""Evaluations of concepts by generated pieces: what they tell, keep, and leave as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from blocks.storage import Storage
from models import clap, musicgen, registry
from models.inversion.lora import LowRank
from models.inversion.network import Inversion
from models.tiny.write import write
from tasks.fit import FitError
from tasks.inversion import concepts
from tasks.inversion.concepts import Concepts, NewSegment
from tasks.inversion.evaluation import Asked, Evaluation, EvaluationConfig, check
from tasks.step import Tools
from tasks.training import randomness
from tasks.training.session import Session
from tasks.weights import Weights
from tests.tasks.training.conftest import MakeSession

NAMES = ("high", "low")
ASKED = Asked(("in the style of %s", "a slow song like %s"), seconds=0.1, guidance=3.0)
CONFIG = EvaluationConfig(epochs=10, pieces=2)
RATE_HZ = 32_000


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("musicgen-small", CONFIG.clap_model):
        write(folder, name)
    return folder


@pytest.fixture(scope="module")
def generator(models_dir: Path) -> musicgen.MusicGenAdapter:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield musicgen.load(registry.card("musicgen-small"), "cpu", models_dir / "musicgen-small")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Concepts:
    place = tmp_path_factory.mktemp("concepts")
    time = np.arange(RATE_HZ // 4) / RATE_HZ
    segments = []
    for name, base_hz in zip(NAMES, (2000.0, 100.0), strict=True):
        for number in range(3):
            tone = 0.3 * np.sin(2 * np.pi * base_hz * (1 + number / 5) * time)
            soundfile.write(place / f"{name}-{number}.wav", tone, RATE_HZ)
            segments.append(
                NewSegment(
                    name,
                    "train",
                    f"{name}{number}",
                    0.0,
                    0.25,
                    str(number),
                    np.zeros((4, 12), np.uint16),
                    (Storage(str(place)), f"{name}-{number}.wav"),
                )
            )
    output = place / "dataset"
    concepts.write(
        Storage(str(output)),
        segments,
        {name: {} for name in NAMES},
        {"fingerprint": "f", "codec": {}},
    )
    return concepts.read(str(output))


class Heard(Session):
    """A session that keeps what it is given to be heard."""

    def audio(self, name: str, signal: Any, rate_hz: int, step: int) -> None:
        assert np.abs(signal).max() <= 1
        self.heard = [*getattr(self, "heard", []), (name, step)]


@pytest.fixture
def evaluating(
    dataset: Concepts, models_dir: Path, tmp_path: Path, session: MakeSession
) -> Callable[..., Evaluation]:
    def make(learner: Any, **values: Any) -> Evaluation:
        made = session(provenance={"key": "k"})
        made.__class__ = Heard
        outputs = Storage(str(tmp_path / "outputs"))
        tools = Tools(outputs, outputs, weights=Weights(str(models_dir)))
        recordings = {
            name: [each for each in dataset.segments("train") if each.concept == name]
            for name in NAMES
        }
        return Evaluation(
            CONFIG, values.get("asked", ASKED), recordings, dataset, tools, made, learner
        )

    return make


def inversion(generator: Any, seed: int = 0, **options: Any) -> Inversion:
    return Inversion(generator, dict.fromkeys(NAMES, 2), seed=seed, **options)


def moved(learner: Any) -> None:
    """Let it have learnt something."""
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(1.5 * torch.sin(torch.arange(parameter.numel())).view_as(parameter))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Prompts of all pieces that are generated from now on."""
    made: list[str] = []
    generate = musicgen.MusicGenAdapter.generate

    def counted(self: Any, prompts: Any, *args: Any, **values: Any) -> Any:
        made.extend(prompts)
        return generate(self, prompts, *args, **values)

    monkeypatch.setattr(musicgen.MusicGenAdapter, "generate", counted)
    return made


def test_what_an_evaluation_tells_keeps_and_lets_people_hear(
    generator, models_dir: Path, dataset: Concepts, evaluating, tmp_path: Path, counting: list[str]
):
    learner = inversion(generator)
    evaluation = evaluating(learner)
    moved(learner)
    assert evaluation(learner, epoch=1, step=5) == {}
    prompts = [
        f"{text} <{name}>" for name in NAMES for text in ("in the style of", "a slow song like")
    ]
    assert counting == prompts
    found = evaluation(learner, epoch=10, step=50)
    assert counting == 2 * prompts
    expected = {f"{what}/{name}" for name in NAMES for what in ("fad", "kad", "n", "n_reference")}
    means = ("fad_avg", "kad_avg", "clap_similarity_avg", "clap_similarity_to_others_avg")
    expected |= {
        f"{what}/{name}"
        for name in NAMES
        for what in ("clap_similarity", "clap_similarity_to_others")
    }
    assert set(found) == {*expected, *means, *(f"{name}_before" for name in means), "fad_best_avg"}
    assert (found["n/high"], found["n_reference/low"]) == (2, 3)
    assert found["fad_avg"] == np.mean([found["fad/high"], found["fad/low"]])
    assert found["fad_avg"] != found["fad_avg_before"]
    # The same of the files alone.
    adapter = clap.load(registry.card(CONFIG.clap_model), "cpu", models_dir / CONFIG.clap_model)

    def embedded(paths: list[Path]) -> np.ndarray:
        signals = [soundfile.read(path, 3200, dtype="float32")[0] for path in paths]
        signals = [soxr.resample(signal, RATE_HZ, 48_000) for signal in signals]
        return np.stack([*adapter.embed_audio(signals)])

    folder = tmp_path / "outputs" / "evaluation"
    pieces = embedded([folder / "epoch-0010" / f"low-0{number}.flac" for number in range(2)])
    own = [each for each in dataset.segments("train") if each.concept == "low"]
    references = embedded([Path(dataset.place.address) / each.audio_path for each in own])
    similarity = (pieces @ references.T).mean()
    assert found["clap_similarity/low"] == pytest.approx(similarity, abs=1e-3)
    assert sorted(path.name for path in folder.iterdir()) == [
        "before", "before.json", "epoch-0010", "epoch-0010.json",
    ]  # fmt: skip
    assert evaluation._session.heard == [
        *((f"{name}/before", 5) for name in NAMES),
        *((f"{name}/after", 50) for name in NAMES),
    ]


def test_nothing_of_the_training_changes(generator, evaluating):
    learner = inversion(generator, checkpointing=True)
    try:
        evaluation = evaluating(learner)
        moved(learner)
        vectors = learner.vectors.detach().clone()
        modes = [module.training for module in generator.network.modules()]
        assert True in modes
        randomness.seed_all(3)
        drawn = str(randomness.state_dict())
        evaluation(learner, epoch=10, step=50)
        assert str(randomness.state_dict()) == drawn
        assert torch.equal(learner.vectors, vectors)
        assert [module.training for module in generator.network.modules()] == modes
        assert generator.network.is_gradient_checkpointing
    finally:
        learner.release()


def test_what_was_found_is_a_matter_of_the_weights_alone(
    generator, evaluating, counting: list[str], tmp_path: Path
):
    learner = inversion(generator)
    evaluation = evaluating(learner)
    moved(learner)
    first = evaluation(learner, epoch=10, step=50)
    folder = tmp_path / "outputs" / "evaluation"
    before = (folder / "before" / "high-00.flac").read_bytes()
    # Killed, and come as far again: what is there is not made again.
    counting.clear()
    again = inversion(generator)
    evaluation = evaluating(again)
    moved(again)
    assert evaluation(again, epoch=10, step=50) == first
    assert counting == []
    # Of other weights it is; and without what was there it is the same once more.
    (folder / "before.json").unlink()
    with torch.no_grad():
        again.vectors.mul_(0.5)
    evaluation = evaluating(inversion(generator))
    torch.manual_seed(99)
    assert evaluation(again, epoch=10, step=50)["fad/high"] != first["fad/high"]
    assert len(counting) == 8
    assert (folder / "before" / "high-00.flac").read_bytes() == before


def test_the_best_so_far_is_that_of_the_curve(generator, evaluating):
    learner = inversion(generator)
    evaluation = evaluating(learner)
    found = evaluation(learner, epoch=3, step=50, is_last=True)
    assert found["fad_best_avg"] == found["fad_avg"] == found["fad_avg_before"]
    evaluation._session.log({"fad_best_avg": 1e-9}, 50)
    assert evaluation(learner, epoch=3, step=50, is_last=True)["fad_best_avg"] == 1e-9
    evaluation._session.log({"fad_best_avg": 1e9}, 60)
    found = evaluation(learner, epoch=3, step=50, is_last=True)
    assert found["fad_best_avg"] == found["fad_avg"]


def test_low_rank_weights_are_evaluated_likewise(generator, evaluating, tmp_path: Path):
    learner = LowRank(generator, NAMES)
    try:
        evaluation = evaluating(learner)
        moved(learner)
        evaluation(learner.eval(), epoch=10, step=50)
    finally:
        learner.release()
    folder = tmp_path / "outputs" / "evaluation"
    (plain,) = generator.generate(["in the style of high"], [0], seconds=0.1)
    before, _ = soundfile.read(folder / "before" / "high-00.flac", dtype="float32")
    np.testing.assert_allclose(before, plain[0].clip(-1, 1), atol=1e-3)
    after, _ = soundfile.read(folder / "epoch-0010" / "high-00.flac", dtype="float32")
    assert not np.allclose(before, after, atol=1e-2)


def test_what_cannot_be_evaluated_is_said_before_the_training(
    generator, dataset: Concepts, evaluating, tmp_path: Path
):
    with pytest.raises(FitError, match=r"Pieces of 12 s are longer than the 10 s that CLAP hears"):
        evaluating(inversion(generator), asked=Asked(ASKED.templates, 12.0, 3.0))
    nowhere = Weights(str(tmp_path))
    with pytest.raises(FitError, match=r"pull --models clap-.*--evaluate_epochs 0 trains without"):
        check(CONFIG, nowhere)
    check(EvaluationConfig(epochs=0), nowhere)
    [path] = Path(dataset.place.address).glob("data/train/low/audio/1.wav")
    content = path.read_bytes()
    path.write_bytes(b"")
    try:
        with pytest.raises(FitError, match=r"audio/1.wav cannot be compared with: .* Run prepare"):
            evaluating(inversion(generator))
    finally:
        path.write_bytes(content)
