"""Workers that live on while weights are replaced, with a step of its own: this module is one."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from distributed import Client

from blocks.cluster import local_cluster
from blocks.storage import Storage
from models.protocols import SEPARATION
from models.tiny.write import write
from tasks.engine import batch
from tasks.engine.batch import Job
from tasks.engine.plan import Plan, plan
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track
from tasks.weights import ModelError, Weights
from tests.models.test_adapters import NAME, first_weights, replace_in_place


def _weigh(
    track: Track, upstream: Mapping[str, Row | None], config: StepConfig, tools: Tools
) -> Row:
    return {"sum": float(first_weights(tools.model(NAME, SEPARATION)).double().sum())}


STEP = Step(
    name="weigh",
    version=1,
    config=StepConfig,
    columns=pa.schema([column("sum", pa.float64(), "Sum of some weights of the model")]),
    run=per_track(_weigh),
    models=lambda config: (NAME,),
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Client]:
    with local_cluster(1, 0) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def test_a_standing_worker_notices_weights_that_were_replaced_in_place(
    worker: Client, tmp_path: Path
):
    folder = write(tmp_path / "models", NAME)
    place = Storage(str(tmp_path))
    tools = Tools(place, place, weights=Weights(str(tmp_path / "models")))

    def planned() -> Plan:
        stages = [Stage(STEP, StepConfig())]
        return plan(stages, [Track("a", "a.wav")], place, tools, run_id="run", workers=1)

    def on_worker(made: Plan) -> tuple[Job, float]:
        [[job]] = made.batches
        # Not pure: each is a task of its own, as those of Prefect are.
        worker.submit(batch.run, job, pure=False).result()
        made.results.record([job])
        [(_, row)] = made.results.rows("weigh")
        return job, row["sum"]

    old_job, old = on_worker(planned())
    assert planned().batches == [], "its row is there"

    replace_in_place(folder, seed=7)
    new_job, new = on_worker(planned())
    assert new_job.keys != old_job.keys
    assert new != old
    adapter = tools.model(NAME, SEPARATION)
    assert new == float(first_weights(adapter).double().sum()), "as a fresh process has it"

    # A job that was planned with the old weights makes no row of the new ones.
    with pytest.raises(ModelError, match="were replaced while the run was under way"):
        worker.submit(batch.run, old_job, pure=False).result()
