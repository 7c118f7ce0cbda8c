"""The fit of a projection: what it learns, what it does not, and that a kill changes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from models import trained
from models.protocols import PROJECTION
from tasks.dataset.embeddings import Embeddings
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, FitError
from tasks.projection.fit import FIT, LAST, ProjectionConfig, run
from tasks.step import Tools
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tasks.weights import Weights
from tests.support.embeddings import made, write
from tests.tasks.training.conftest import MakeSession
from tests.tasks.training.warm import Child, until

PROVENANCE = {
    "key": "k", "name": "projection", "version": 1, "dataset": "d", "seed": 0, "config": {},
}  # fmt: skip


def config(epochs: int = 6, **loop: Any) -> ProjectionConfig:
    usual = ProjectionConfig.model_fields["loop"].default
    return ProjectionConfig(
        audio_encoder="mel",
        text_encoder="words",
        dimensions=32,
        blocks=1,
        learning_rate=3e-3,
        loop=LoopConfig(**{**usual.model_dump(), "epochs": epochs, **loop}),
    )


def fitted(
    content: Embeddings, folder: Path, session: MakeSession, key: str = "key", **options: Any
) -> tuple[Mapping[str, float], Path]:
    folder.mkdir(exist_ok=True)
    write(folder, content)
    here = Storage(str(folder))
    made_session = session(
        key, provenance=PROVENANCE, options=FitOptions(threads=1, log_steps=1, **options)
    )
    randomness.seed_all(0)
    metrics = run(DatasetReference(str(folder), "d"), config(), Tools(here, here), made_session)
    return metrics, made_session.model_folder


# 300 items to train on and 100 to be found: chance of R@10 is a tenth and less of one.
LEARNT = made(500, splits=(6, 1, 3), with_clap=True)
# Of what was drawn, chance is exceeded by few standard deviations only where many are asked.
SHUFFLED = made(500, splits=(6, 1, 3), shuffled=True)


def test_it_finds_what_follows_from_the_sound(tmp_path: Path, session: MakeSession):
    metrics, folder = fitted(LEARNT, tmp_path / "data", session)
    for way in ("text_to_audio", "audio_to_text"):
        reached, chance = (metrics[f"test/{way}{at}/recall_at_10"] for at in ("", "/chance"))
        assert reached >= 8 * chance
        assert metrics[f"test/{way}/median_rank"] < metrics[f"test/{way}/chance/median_rank"] / 8
    assert metrics["test/items"] == 150
    # Each corpus by itself, and CLAP on the items that it has: the last three are not among them.
    assert metrics["test/corpus/fma/items"] == metrics["test/corpus/own/items"] == 75
    for who in ("projection", "clap"):
        assert metrics[f"test/beside_clap/{who}/items"] == 147
    ours, clap = (metrics[f"test/beside_clap/{who}/map_at_10"] for who in ("projection", "clap"))
    assert ours > clap > metrics["test/beside_clap/clap/chance/map_at_10"]
    assert json.loads((folder / "metrics.json").read_text()) == metrics

    weights, name = Weights(str(tmp_path)).with_own(str(folder), PROJECTION)
    here = Storage(str(tmp_path))
    projector = Tools(here, here, weights=weights).model(name, PROJECTION)
    assert projector.encoders["audio"]["name"] == "mel"
    sound = projector.project_audio(LEARNT.audio["mel"].embedding[-3:])
    words = projector.project_text(LEARNT.text["words"].embedding[-6:])
    assert sound.shape == (3, 32)
    assert np.linalg.norm(words, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    similarities = sound @ words.T
    assert similarities.argmax(axis=1).tolist() == pytest.approx([0, 2, 4], abs=1)
    last = trained.read(folder / LAST)
    assert set(trained.read(folder).files) == set(last.files) == {"model.safetensors"}
    page = (folder / "report.html").read_text()
    assert "Beside CLAP, on the same items" in page
    assert 'src="file:///music/' in page
    assert "&lt;" in page  # artists are called "Artist <7>"
    assert "Artist <" not in page


def test_of_captions_of_others_it_learns_nothing(tmp_path: Path, session: MakeSession):
    metrics, _ = fitted(SHUFFLED, tmp_path / "data", session)
    for way in ("text_to_audio", "audio_to_text"):
        chance = metrics[f"test/{way}/chance/recall_at_10"]
        assert chance / 2 < metrics[f"test/{way}/recall_at_10"] < 2 * chance


def test_metrics_do_not_depend_on_the_loaders(tmp_path: Path, session: MakeSession):
    content = made(60, splits=(4, 1, 1))
    one, _ = fitted(content, tmp_path / "data", session, "one", num_workers=1)
    two, _ = fitted(content, tmp_path / "data", session, "two", num_workers=2)
    assert one == two


def test_a_kill_in_mid_training_changes_no_metric(tmp_path: Path):
    write(tmp_path, made(200, splits=(3, 1, 1)))

    def training(place: str) -> FitJob:
        here = Storage(str(tmp_path))
        return job(
            FIT,
            config(epochs=25, patience=None),
            DatasetReference(str(tmp_path), "d"),
            place=here.below(place),
            tools=Tools(here, here),
            options=FitOptions(threads=1, checkpoint_steps=10),
        )

    killed = training("killed")
    child = Child(killed, tmp_path)
    until(lambda: (tmp_path / "killed" / killed.key / "state" / "current.json").exists())
    child.kill()
    assert killed.files.outcome() is None
    assert (saved := killed.files.read_state()) is not None
    assert 0 < saved["step"] < 25 * 4
    again = Child(killed, tmp_path).outcome()
    whole = Child(training("whole"), tmp_path).outcome()
    assert again.status == whole.status == "finished"
    assert again.metrics == whole.metrics


def test_what_cannot_be_trained_on_is_said_in_a_sentence(tmp_path: Path, session: MakeSession):
    here = Storage(str(tmp_path))

    def reason() -> str:
        with pytest.raises(FitError) as caught:
            run(DatasetReference(str(tmp_path), "d"), config(), Tools(here, here), session())
        return caught.value.reason

    assert reason() == "embeddings"
    (tmp_path / "embeddings.h5").write_bytes(b"no HDF5")
    assert reason() == "embeddings"
    write(tmp_path, made(30))
    assert reason() == "batch-size"
