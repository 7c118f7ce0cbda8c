"""The contract of fits: what is in a key, and how other processes find a fit."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.engine.fit_job import FitPlan, job
from tasks.fit import DatasetReference, Fit, FitConfig
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tasks.weights import Weights
from tests.tasks.training import proof
from tests.tasks.training.proof import FIT, ProofConfig, proof_job

CONFIG = ProofConfig()
KEY = FIT.key(CONFIG, "sine")


def starting_from(config: FitConfig) -> tuple[str, ...]:
    return ("clap", "encodec")


@pytest.mark.parametrize(
    "key",
    [
        FIT.key(CONFIG, "sine", seed=1),
        FIT.key(CONFIG, "cosine"),
        FIT.key(CONFIG.model_copy(update={"learning_rate": 0.02}), "sine"),
        FIT.key(ProofConfig(loop=LoopConfig(epochs=5, batch_size=8)), "sine"),
        replace(FIT, version=2).key(CONFIG, "sine"),
        replace(FIT, name="other").key(CONFIG, "sine"),
        replace(FIT, models=starting_from).key(CONFIG, "sine", {"clap": "1", "encodec": "1"}),
    ],
)
def test_what_changes_the_result_is_another_fit(key: str):
    assert key != KEY


def test_another_revision_of_a_model_is_another_fit():
    fit = replace(FIT, models=starting_from)
    revisions = [{"clap": "1", "encodec": "1"}, {"clap": "1", "encodec": "2"}]
    assert len({fit.key(CONFIG, "sine", each) for each in revisions}) == 2
    with pytest.raises(KeyError):
        fit.key(CONFIG, "sine", {"clap": "1"})


def test_the_revision_of_a_model_is_that_of_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Weights, "revision", lambda self, name: f"{name} of {self.address}")
    fit = replace(FIT, models=starting_from)
    here = proof_job(tmp_path)
    keys = []
    for address in ("a", "b"):
        tools = replace(here.tools, weights=Weights(address))
        made = job(fit, CONFIG, here.dataset, place=here.place, tools=tools)
        revisions = {name: f"{name} of {address}" for name in ("clap", "encodec")}
        assert made.key == fit.key(CONFIG, "sine", revisions)
        keys.append(made.key)
    assert keys[0] != keys[1]


def test_where_and_how_a_fit_runs_is_not_in_its_key(tmp_path: Path):
    options = FitOptions(
        num_workers=2, processes=2, threads=4, checkpoint_steps=1, log_steps=5, trackers=("wandb",)
    )
    elsewhere = proof_job(
        tmp_path, options=options, place=tmp_path / "b", run_id="other", label="another name"
    )
    tools = Tools(elsewhere.place, elsewhere.place, device="cuda", batch_size=4)
    made = job(
        FIT,
        CONFIG,
        DatasetReference("s3://bucket/sine", "sine"),
        place=elsewhere.place,
        tools=tools,
        options=options,
    )
    assert {KEY, elsewhere.key, made.key} == {KEY}


def test_a_fit_that_is_asked_for_twice_is_run_once(tmp_path: Path):
    jobs = [proof_job(tmp_path), proof_job(tmp_path, seed=1), proof_job(tmp_path)]
    made = FitPlan()
    pending = list(filter(None, map(made.add, jobs)))
    assert [each.seed for each in pending] == [0, 1]


def test_a_configuration_is_one_of_the_fit_and_has_no_unknown_fields():
    with pytest.raises(ValidationError):
        ProofConfig(lerning_rate=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        CONFIG.width = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="fit proof takes a ProofConfig, not a LoopConfig"):
        FIT.key(LoopConfig(epochs=1), "sine")


def test_a_fit_travels_as_a_reference(tmp_path: Path):
    assert pickle.loads(pickle.dumps(FIT)) is FIT
    sent = proof_job(tmp_path)
    data = pickle.dumps(sent)
    assert pickle.loads(data) == sent
    assert len(data) < 4000


def test_a_fit_that_cannot_be_found_elsewhere_is_one_clear_sentence():
    lost = Fit(name="lost", version=1, config=ProofConfig, run=proof.run)
    with pytest.raises(pickle.PicklingError, match=r"Fit lost cannot .*: assign it to a name"):
        pickle.dumps(lost)


def test_what_carries_fits_stays_light():
    heavy = ["accelerate", "pandas", "scipy", "tensorboard", "torch", "transformers"]
    modules = "flows.fit_runs, tasks.training.loop, tasks.training.session, tasks.engine.fits"
    code = f"import sys, {modules}; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
