"""The fit of a separator: what it learns and leaves behind, and that a kill changes nothing."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from blocks.storage import Storage
from models import trained
from models.protocols import SEPARATION
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, FitError
from tasks.separator.fit import FIT, SeparatorConfig, run
from tasks.separator.segments import SegmentConfig
from tasks.separator.validation import MOST_EXCERPTS, excerpt_count
from tasks.step import Tools
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tasks.weights import Weights
from tests.tasks.separator.small_store import RATE_HZ, SOURCES, small_store
from tests.tasks.training.conftest import MakeSession
from tests.tasks.training.warm import Child, until

PROVENANCE = {
    "key": "k", "name": "separator", "version": 1, "dataset": "d", "seed": 0, "config": {},
}  # fmt: skip


def config(steps: int = 6, *, loop: Mapping[str, Any] | None = None, **values: Any) -> Any:
    usual = SeparatorConfig.model_fields["loop"].default.model_dump()
    few = {"steps": steps, "batch_size": 4, "validate_steps": 3, "ema_decay": 0.9}
    return SeparatorConfig(
        **{
            "size": "small",
            "sources": SOURCES,
            "sample_rate_hz": RATE_HZ,
            "segment": SegmentConfig(seconds=0.4),
            "learning_rate": 3e-3,
            "loop": LoopConfig(**{**usual, **few, **(loop or {})}),
            **values,
        }
    )


def fitted(
    folder: Path,
    session: MakeSession,
    made: SeparatorConfig,
    key: str = "key",
    weights: Weights | None = None,
    **options: Any,
) -> tuple[Mapping[str, float], Any]:
    """Run the fit on a store below the folder; its checkpoints lie there too."""
    address = small_store(folder / "store", channels=made.channels)
    here = Storage(str(folder))
    tools = Tools(here, here.below(key), weights=weights or Weights(str(folder)))
    made_session = session(
        key, provenance=PROVENANCE, options=FitOptions(threads=1, log_steps=1, **options)
    )
    randomness.seed_all(0)
    return run(DatasetReference(address, "d"), made, tools, made_session), made_session


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)
    return content


def test_it_learns_and_leaves_a_model_checkpoints_and_a_report(
    tmp_path: Path, session: MakeSession
):
    metrics, made = fitted(
        tmp_path, session,
        config(
            60, loop={"validate_steps": 20}, segment=SegmentConfig(seconds=0.4, remix="none")
        ),
        checkpoint_steps=10, keep_checkpoints=2,
    )  # fmt: skip
    assert metrics["validation/si_sdr_improvement"] > 4
    for name in ("si_sdr", "sdr", "si_sdr_improvement", "sdr_improvement"):
        each = [metrics[f"validation/{name}/{source}"] for source in SOURCES]
        assert metrics[f"validation/{name}"] == pytest.approx(sum(each) / 2)
    assert made.curves["loss"].values[-1] < made.curves["loss"].values[0] / 2

    folder = made.model_folder
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    manifest = trained.read(folder)
    assert set(manifest.files) == {"model.safetensors"}
    assert manifest.arguments["sources"] == list(SOURCES)
    weights, name = Weights(str(tmp_path)).with_own(str(folder), SEPARATION)
    here = Storage(str(tmp_path))
    separator = Tools(here, here, weights=weights).model(name, SEPARATION)
    assert separator.sources == SOURCES
    page = (folder / "report.html").read_text()
    assert "Song &lt;3&gt;" in page
    assert 'src="audio/vocals-separated.flac"' in page
    assert page.count("<svg") >= 4
    assert (folder / "audio" / "other-true.flac").stat().st_size > 1000
    logged = {path.name for path in (tmp_path / "fits" / "key" / "logs").iterdir()}
    assert any(name.startswith("events") for name in logged)

    # The newest two, that of the best validation, and the last.
    best = f"step_{int(metrics['validation/step']):06d}.pt"
    left = {path.name for path in (tmp_path / "key" / "checkpoints").iterdir()}
    expected = {"step_000040.pt", "step_000050.pt", "final_step_000060.pt"}
    assert left == expected | ({best} - {"step_000060.pt"})
    content = checkpoint(tmp_path / "key", "final_step_000060.pt")
    assert content.keys() == {"model", "optimizer", "step", "epoch", "scaler", "extra"}
    # 12 s of songs to train on, in segments of 0.4 s.
    assert (content["step"], content["epoch"], content["scaler"]) == (60, 60 // -(-30 // 4), None)
    assert content["extra"]["arguments"] == manifest.arguments
    assert content["extra"]["ema"].keys() == content["model"].keys()


def training(folder: Path, place: str, num_workers: int = 0) -> FitJob:
    here = Storage(str(folder))
    return job(
        FIT,
        config(40),
        DatasetReference(small_store(folder / "store"), "d"),
        place=here.below(place),
        tools=Tools(here, here.below(place)),
        options=FitOptions(threads=1, log_steps=1, checkpoint_steps=5, num_workers=num_workers),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Child]:
    """A training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    child = Child(training(folder, "whole"), folder)
    assert child.outcome().status == "finished"
    return folder / "whole", child


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_kill_in_mid_training_changes_no_loss(
    tmp_path: Path, whole: tuple[Path, Child], num_workers: int
):
    killed = training(tmp_path, "killed", num_workers)
    child = Child(killed, tmp_path)
    until(lambda: (tmp_path / "killed" / "checkpoints" / "step_000010.pt").exists())
    child.kill()
    assert killed.files.outcome() is None
    assert (saved := killed.files.read_state()) is not None
    assert 0 < saved["step"] < 40
    again = Child(killed, tmp_path)
    assert again.outcome().status == "finished"
    folder, uninterrupted = whole
    curves = [each.said("progress")["curves"] for each in (again, uninterrupted)]
    assert curves[0]["loss"] == curves[1]["loss"]
    assert len(curves[0]["loss"]) == 40
    assert again.outcome().metrics == uninterrupted.outcome().metrics
    for name in ("step_000035.pt", "final_step_000040.pt"):
        one, other = checkpoint(tmp_path / "killed", name), checkpoint(folder, name)
        for kind in (lambda each: each["model"], lambda each: each["extra"]["ema"]):
            assert kind(one).keys() == kind(other).keys()
            assert all(torch.equal(kind(one)[each], kind(other)[each]) for each in kind(one))


def test_a_training_goes_on_from_a_checkpoint_and_for_longer(tmp_path: Path, session: MakeSession):
    whole, _ = fitted(tmp_path, session, config(9), "whole", checkpoint_steps=4)

    def from_(name: str, made: Any) -> tuple[Mapping[str, float], Any]:
        path = tmp_path / "whole" / "checkpoints" / name
        weights, known = Weights(str(tmp_path)).with_own(str(path), SEPARATION)
        return fitted(tmp_path, session, made.model_copy(update={"start": known}), name, weights)

    same, _ = from_("step_000004.pt", config(9))
    assert same == whole
    ends = [
        checkpoint(tmp_path / place, "final_step_000009.pt")
        for place in ("whole", "step_000004.pt")
    ]
    for kind in ("model", "optimizer"):
        assert repr(ends[0][kind]) == repr(ends[1][kind])
    _, longer = from_("final_step_000009.pt", config(12))
    assert longer.curves["loss"].steps == [10, 11, 12]
    with pytest.raises(FitError, match=r"another network .*channels 1.*--init") as raised:
        from_("step_000008.pt", config(9, channels=2))
    assert raised.value.reason == "start"


def test_a_training_begins_with_what_fits_of_another(tmp_path: Path, session: MakeSession):
    _, first = fitted(tmp_path, session, config(1), "first")
    weights, known = Weights(str(tmp_path)).with_own(str(first.model_folder), SEPARATION)
    made = config(1, channels=2, init=known)
    _, stereo = fitted(tmp_path, session, made, "stereo", weights)
    assert "tensors are taken" in stereo.notes[0]
    assert "mask.weight" in stereo.notes[0]
    assert "tensors are taken" in (stereo.model_folder / "report.html").read_text()


def test_stereo_trains_in_bf16_with_every_loss(tmp_path: Path, session: MakeSession):
    for loss in ("si_sdr", "mrstft", "l1+mrstft"):
        made = config(1, loop={"precision": "bf16"}, channels=2, loss=loss)
        metrics, trained_in = fitted(tmp_path, session, made, loss)
        assert metrics["validation/step"] == 1
        assert math.isfinite(trained_in.curves["loss"].values[0])


def test_validations_listen_to_a_tenth_of_what_is_trained_on():
    counts = {
        (1000, 2000, 8): MOST_EXCERPTS,
        (200, 2000, 1): 20,
        (200, 50, 2): 10,
        (5, 2000, 1): 1,
    }
    for (every, steps, batch), count in counts.items():
        loop = LoopConfig(validate_steps=every, steps=steps, batch_size=batch)
        assert excerpt_count(loop) == count


def test_what_cannot_be_trained_on_is_said_in_a_sentence(tmp_path: Path, session: MakeSession):
    here = Storage(str(tmp_path))

    def reason(address: str, **values: Any) -> str:
        with pytest.raises(FitError) as caught:
            run(DatasetReference(address, "d"), config(**values), Tools(here, here), session())
        return caught.value.reason

    assert reason(str(tmp_path / "none.json")) == "store"
    address = small_store(tmp_path / "store")
    assert reason(address, channels=2) == "store-differs"
    index = json.loads(Path(address).read_bytes())
    splits = {"validation": "no-songs", "train": "no-validation"}
    for split, expected in splits.items():
        songs = [song | {"split": split} for song in index["songs"]]
        Path(address).write_text(json.dumps(index | {"songs": songs}))
        assert reason(address) == expected
