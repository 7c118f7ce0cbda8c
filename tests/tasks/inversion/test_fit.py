"""The fit of textual inversion: what it learns, of what, and that a kill changes nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from models.inversion import embeds
from models.protocols import CONCEPTS, GENERATION
from models.tiny.write import write
from tasks.engine.fit_job import job
from tasks.fit import DatasetReference, FitError, StoppedError
from tasks.inversion.evaluation import EvaluationConfig
from tasks.inversion.fit import FIT, InversionConfig, run
from tasks.step import Tools
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tasks.weights import Weights
from tests.support.concepts import dataset
from tests.tasks.training.conftest import MakeSession
from tests.tasks.training.warm import Child, until

SEGMENTS = 8
BATCH = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("concepts")
    write(folder / "models", "musicgen-small")
    dataset(folder, train=SEGMENTS, validation=3)
    return folder


def config(*names: str, epochs: int = 2, **values: Any) -> InversionConfig:
    loop = {"patience": None, "epochs": epochs, "batch_size": BATCH * len(names)}
    loop |= values.pop("loop", {})
    usual: dict[str, Any] = {"tokens_num": 4, "examples_len": 0.4, "cr_margin": 0.0}
    return InversionConfig(
        generator="musicgen-small",
        concepts=names,
        evaluation=EvaluationConfig(epochs=0),
        loop=LoopConfig(monitor="cross_entropy", **loop),
        **(usual | values),
    )


def tools(data: Path, place: Path) -> Tools:
    weights = Weights(str(data / "models"))
    return Tools(Storage(str(data)), Storage(str(place)), weights=weights)


def fitted(
    asked: InversionConfig, data: Path, place: Path, session: MakeSession, key: str = "key",
    **values: Any,
) -> tuple[Mapping[str, float], Path]:  # fmt: skip
    provenance = {"key": key, "name": "inversion", "version": 1, "dataset": "f", "seed": 0}
    made = session(key, provenance={**provenance, "config": {}}, **values)
    randomness.seed_all(0)
    reference = DatasetReference(str(data / "dataset"), "f")
    return run(reference, asked, tools(data, place), made), made.model_folder


def test_it_learns_the_concepts_and_changes_nothing_else(
    data: Path, tmp_path: Path, session: MakeSession
):
    here = tools(data, tmp_path)
    generator: Any = here.model("musicgen-small", GENERATION)
    before = {name: each.clone() for name, each in generator.network.state_dict().items()}
    names = ("8bit", "pads")
    asked = config(*names, epochs=16, learning_rate=0.3, cr_margin=1.5)
    metrics, folder = fitted(asked, data, tmp_path, session)
    for name in names:
        own, others = (
            1 - metrics[f"validation/{kind}/{name}"] / metrics[f"untrained/{kind}/{name}"]
            for kind in ("cross_entropy", "cross_entropy_of_others")
        )
        # Learnt of this concept, and not of all music of the codec.
        assert own > 0.02
        assert own > max(1.1 * others, others + 0.02)
    after = generator.network.state_dict()
    assert all(np.array_equal(after[name], each) for name, each in before.items())
    assert json.loads((folder / "metrics.json").read_text()) == metrics

    # What was written is all that is needed to generate.
    weights, name = here.weights.with_own(str(folder), CONCEPTS)
    learnt = replace(here, weights=weights).model(name, CONCEPTS)
    assert (learnt.model, learnt.model_revision) == (
        "musicgen-small", here.weights.revision("musicgen-small"),
    )  # fmt: skip
    first, second = (
        next(generator.generate(["a <8bit> song"], [1], seconds=0.1, concepts=learnt))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)

    # Each concept is that of its own best epoch; each epoch is a model, too.
    stored = tmp_path / "key" / "embeds"
    told = json.loads((stored / "embeds.json").read_text())
    assert len(told["epochs"]) == 16
    best = embeds.read(stored / "best.safetensors")
    for each in names:
        least = min(told["epochs"], key=lambda epoch: epoch["metrics"][f"cross_entropy/{each}"])
        assert told["best"][each]["epoch"] == least["epoch"] == metrics[f"best_epoch/{each}"]
        of_epoch = embeds.read(stored / least["file"])[each]
        for vectors in (best[each], learnt.vectors[each]):
            np.testing.assert_array_equal(vectors, of_epoch)
    last = embeds.read(stored / "last.safetensors")
    np.testing.assert_array_equal(
        last["pads"], embeds.read(stored / "epoch-0016.safetensors")["pads"]
    )
    weights, name = here.weights.with_own(str(stored / "epoch-0001.safetensors"), CONCEPTS)
    early = replace(here, weights=weights).model(name, CONCEPTS)
    assert early.model == "musicgen-small"
    assert not np.array_equal(early.vectors["pads"], learnt.vectors["pads"])
    page = (folder / "report.html").read_text()
    assert "&lt;8bit&gt;" in page
    assert "Distance of their mean vectors" in page


ROUNDING_NATS = 1e-4
"""How far a cross-entropy, of 8 nats here, is off if sums of other batches are rounded."""

MARGIN_NATS = 0.25
"""How far it is off if the margin drives concepts apart in the first steps, for two epochs."""


@pytest.mark.parametrize(("margin", "tolerance"), [(0.0, ROUNDING_NATS), (1.5, MARGIN_NATS)])
def test_concepts_that_are_trained_together_are_those_that_are_trained_apart(
    data: Path, tmp_path: Path, session: MakeSession, margin: float, tolerance: float
):
    def trained(*names: str) -> Mapping[str, float]:
        asked = config(*names, cr_margin=margin)
        return fitted(asked, data, tmp_path, session, "-".join(names))[0]

    together = trained("8bit", "pads")
    for name in ("8bit", "pads"):
        apart = trained(name)
        for kind in ("cross_entropy", "cross_entropy_of_others"):
            before, after = f"untrained/{kind}/{name}", f"validation/{kind}/{name}"
            assert together[before] == pytest.approx(apart[before], abs=ROUNDING_NATS)
            assert together[after] == pytest.approx(apart[after], abs=tolerance)


def test_examples_taken_in_parts_are_the_same_training(
    data: Path, tmp_path: Path, session: MakeSession
):
    whole, _ = fitted(config("8bit", "pads", epochs=1), data, tmp_path, session, "whole")
    halves = config("8bit", "pads", epochs=1, loop={"accumulation": 2})
    parts, _ = fitted(halves, data, tmp_path, session, "parts")
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, abs=ROUNDING_NATS)


def test_a_training_that_does_not_get_better_ends_early(
    data: Path, tmp_path: Path, session: MakeSession
):
    # Without a loss of codes nothing is learnt of them.
    asked = config("8bit", epochs=9, entropy_alpha=0.0, ortho_alpha=1.0, learning_rate=3.0,
                   loop={"patience": 2})  # fmt: skip
    metrics, _ = fitted(asked, data, tmp_path, session)
    assert metrics["epochs"] == metrics["best_epoch/8bit"] + 2 < 9


def test_what_is_stopped_keeps_its_epochs_and_goes_on(
    data: Path, tmp_path: Path, session: MakeSession
):
    asked, looks = config("8bit", epochs=3), iter([False] * 3)
    with pytest.raises(StoppedError):
        fitted(asked, data, tmp_path, session, stop=lambda: next(looks, True))
    stored = tmp_path / "key" / "embeds"
    names = {path.name for path in stored.iterdir()}
    assert names == {
        "epoch-0001.safetensors", "best.safetensors", "last.safetensors", "embeds.json",
    }  # fmt: skip
    # The last step was one of the second epoch.
    first, last = (
        embeds.read(stored / f"{name}.safetensors")["8bit"] for name in ("epoch-0001", "last")
    )
    assert not np.array_equal(first, last)
    metrics, _ = fitted(asked, data, tmp_path, session)
    whole, _ = fitted(asked, data, tmp_path, session, "whole")
    assert metrics == whole


def test_a_kill_in_mid_training_changes_no_bit(data: Path, tmp_path: Path, session: MakeSession):
    asked = config("8bit", epochs=12, randomize_tokens=True)
    options = FitOptions(threads=1, checkpoint_steps=5)
    place = tmp_path / "killed"
    killed = job(
        FIT,
        asked,
        DatasetReference(str(data / "dataset"), "f"),
        place=Storage(str(place)),
        tools=tools(data, place),
        options=options,
    )
    child = Child(killed, tmp_path)
    until(lambda: (place / killed.key / "state" / "current.json").exists())
    child.kill()
    assert killed.files.outcome() is None
    again = Child(killed, tmp_path).outcome()
    assert again.status == "finished", again.error
    # In this process, which has imported already what each other takes seconds for.
    metrics, folder = fitted(asked, data, tmp_path, session, "whole", options=options)
    assert again.metrics == metrics
    uninterrupted = {"model": folder, "embeds": tmp_path / "whole" / "embeds"}
    for name in ("model/learned_embeds.safetensors", "embeds/epoch-0012.safetensors"):
        of, _, file = name.partition("/")
        one = embeds.read(place / killed.key / name)
        other = embeds.read(uninterrupted[of] / file)
        np.testing.assert_array_equal(one["8bit"], other["8bit"])


def test_what_cannot_be_trained_is_said_in_a_sentence(
    data: Path, tmp_path: Path, session: MakeSession, monkeypatch: pytest.MonkeyPatch
):
    def refusal(asked: InversionConfig) -> str:
        with pytest.raises(FitError) as caught:
            fitted(asked, data, tmp_path, session)
        return f"{caught.value.reason}: {caught.value}"

    assert "unknown-concept" in (said := refusal(config("8bits")))
    assert "has no concept 8bits: there are 8bit, pads." in said
    assert "Segments of 1 s were prepared, and examples of 2 s" in refusal(
        config("8bit", examples_len=2.0)
    )

    import torch

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("models.inversion.network.Learner.forward", full)
    assert "out-of-memory: There is not enough free memory" in refusal(config("8bit"))
