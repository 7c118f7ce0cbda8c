"""Registering: what ends up in the server, and what is left as it is."""

import os
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import PrefectHTTPStatusError

from deployments import deploy
from deployments.catalogue import DEPLOYMENTS, Folders
from deployments.request import Request
from flows.cli import UsageError
from tests.deployments.conftest import Environment, prefect
from tests.support import commands
from tests.support.commands import ROOT, Finished

NAMES = {row.full_name for row in DEPLOYMENTS}
POOLS = {row.pool.name for row in DEPLOYMENTS}
SCHEDULED = "build-dataset/gpu"
ONE_FOR_EACH_POOL = (SCHEDULED, "build-dataset/cpu")
"""All deployments take seconds to register."""


def request_for(folder: Path, *names: str, **changes: object) -> Request:
    return Request(
        names,
        Folders(*(str(folder / name) for name in ("songs", "datasets", "stems"))),
        changes,
        folder,
    )


def command(*arguments: str, cwd: Path, environment: Environment) -> Finished:
    return commands.run_forked(ROOT / "deployments" / "deploy.py", arguments, cwd, environment)


def found(client: SyncPrefectClient, name: str = SCHEDULED) -> DeploymentResponse:
    return client.read_deployment_by_name(name)


@pytest.fixture(autouse=True)
def _nothing_is_registered(client: SyncPrefectClient) -> None:
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    for pool in client.read_work_pools():
        if pool.name in POOLS:
            client.delete_work_pool(pool.name)


def test_the_command_registers_everything_and_says_how_to_go_on(
    client: SyncPrefectClient, environment: Environment, tmp_path: Path
):
    (tmp_path / "data" / "songs").mkdir(parents=True)
    done = command(cwd=tmp_path, environment=environment)
    assert (done.status, done.stderr) == (0, "")
    assert {f"{each.name}" for each in client.read_deployments()} >= {"cpu", "gpu", "default"}
    for row in DEPLOYMENTS:
        assert f"{row.full_name}: registered for {row.pool.name}" in done.stdout
        assert f"prefect deployment run {row.full_name} --watch" in done.stdout
        deployment = found(client, row.full_name)
        assert deployment.entrypoint == row.entrypoint
        assert deployment.work_pool_name == row.pool.name
        assert deployment.job_variables["working_dir"] == str(tmp_path)
        assert set(row.tags) < set(deployment.tags)
    assert "prefect worker start --pool songmill-gpu --limit 1" in done.stdout
    pools = {pool.name: pool for pool in client.read_work_pools()}
    assert pools["songmill-cpu"].type == pools["songmill-gpu"].type == "process"
    assert pools["songmill-cpu"].concurrency_limit is None
    assert pools["songmill-gpu"].concurrency_limit == 1
    queue = client.read_work_queue_by_name("build-dataset-gpu", work_pool_name="songmill-gpu")
    assert queue.concurrency_limit == 1
    (schedule,) = found(client).schedules
    assert schedule.active
    assert isinstance(schedule.schedule, CronSchedule)
    assert schedule.schedule.cron == "0 2 * * *"
    assert found(client).parameters["params"] == {
        "audio_dir": str(tmp_path / "data" / "songs"),
        "output": str(tmp_path / "data" / "datasets" / "songs-gpu.json"),
        "device": "cuda",
    }


def test_the_form_in_the_ui_has_the_fields_with_their_descriptions_and_defaults(
    client: SyncPrefectClient, tmp_path: Path
):
    deploy.register(request_for(tmp_path, "build-dataset/cpu"))
    schema = found(client, "build-dataset/cpu").parameter_openapi_schema
    assert schema is not None
    assert schema["required"] == ["params"]
    model = schema["definitions"][schema["properties"]["params"]["$ref"].rpartition("/")[2]]
    output = model["properties"]["output"]
    assert output["default"] == "dataset.json"
    assert output["description"].startswith("JSON file to write")
    assert model["properties"]["profile"]["enum"] == ["full", "offline"]
    pitch = schema["definitions"]["PitchConfig"]["properties"]["method"]
    assert (pitch["enum"], pitch["default"]) == (["swiftf0", "crepe", "pyin"], "swiftf0")
    assert "neural" in pitch["description"]


def test_a_run_with_wrong_parameters_is_refused_before_it_is_made(
    client: SyncPrefectClient, tmp_path: Path
):
    deploy.register(request_for(tmp_path, "build-dataset/cpu"))
    deployment = found(client, "build-dataset/cpu")
    for wrong in ({"profile": "both"}, {"audio_folder": "songs"}):
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            client.create_flow_run_from_deployment(deployment.id, parameters={"params": wrong})


def test_registering_again_brings_up_to_date_and_makes_nothing_twice(
    client: SyncPrefectClient, tmp_path: Path
):
    deploy.register(request_for(tmp_path, *ONE_FOR_EACH_POOL))
    before = found(client)
    deploy.register(request_for(tmp_path, *ONE_FOR_EACH_POOL, steps=["probe"]))
    after = found(client)
    assert (after.id, after.work_queue_id) == (before.id, before.work_queue_id)
    assert after.parameters == {"params": before.parameters["params"] | {"steps": ["probe"]}}
    assert after.schedules == before.schedules
    names = [each.name for each in client.read_deployments()]
    assert sorted(names) == sorted(name.partition("/")[2] for name in ONE_FOR_EACH_POOL)
    automations = client.read_automations_by_name("songmill: runs whose machine died")
    assert len(automations) == 1


@pytest.mark.parametrize("songs_are_there", [True, False])
def test_a_schedule_starts_only_where_there_are_songs(
    client: SyncPrefectClient,
    tmp_path: Path,
    songs_are_there: bool,
    capsys: pytest.CaptureFixture[str],
):
    if songs_are_there:
        (tmp_path / "songs").mkdir()
    deploy.register(request_for(tmp_path, SCHEDULED))
    (schedule,) = found(client).schedules
    assert schedule.active is songs_are_there
    resume = f"prefect deployment schedule resume {SCHEDULED} {schedule.id}"
    said = capsys.readouterr().out
    assert (resume in said) is not songs_are_there
    assert (f"{tmp_path / 'songs'} is not there" in said) is not songs_are_there


def test_what_an_operator_changed_stays(
    client: SyncPrefectClient,
    environment: Environment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "songs").mkdir()
    chosen = request_for(tmp_path, *ONE_FOR_EACH_POOL)
    deploy.register(chosen)
    (schedule,) = found(client).schedules
    client.update_deployment_schedule(
        found(client).id,
        schedule.id,
        active=False,
        schedule=CronSchedule(cron="30 4 * * 6", timezone="Europe/Berlin"),
    )
    paused = WorkPoolUpdate(concurrency_limit=2, is_paused=True)
    client.update_work_pool("songmill-gpu", paused)
    queue = client.read_work_queue_by_name("build-dataset-gpu", work_pool_name="songmill-gpu")
    client.update_work_queue(queue.id, is_paused=True)
    capsys.readouterr()
    deploy.register(chosen)
    said = capsys.readouterr().out
    assert "work-pool resume songmill-gpu" in said
    assert "work-queue resume build-dataset-gpu --pool songmill-gpu" in said
    assert "resume songmill-cpu" not in said
    (kept,) = found(client).schedules
    assert (kept.active, kept.schedule.cron) == (False, "30 4 * * 6")
    assert client.read_work_pool("songmill-gpu").concurrency_limit == 2

    # The command that is printed for a paused schedule.
    done = prefect(
        *("deployment", "schedule", "resume", SCHEDULED, str(kept.id)), environment=environment
    )
    assert done.status == 0, done.stderr
    deploy.register(chosen)
    (resumed,) = found(client).schedules
    assert (resumed.active, resumed.schedule.cron) == (True, "30 4 * * 6")

    client.delete_deployment_schedule(found(client).id, resumed.id)
    deploy.register(chosen)
    assert found(client).schedules == []


def test_a_pool_of_another_type_is_not_taken_over(client: SyncPrefectClient, tmp_path: Path):
    client.create_work_pool(WorkPoolCreate(name="songmill-cpu", type="docker"))
    with pytest.raises(UsageError, match="songmill-cpu is of type docker"):
        deploy.register(request_for(tmp_path, "build-dataset/cpu"))


def test_a_dry_run_needs_no_server_and_shows_everything(tmp_path: Path):
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    done = command("--dry-run", "--models-dir", "s3://b/m", cwd=tmp_path, environment=alone)
    assert (done.status, done.stderr) == (0, "")
    assert {line.partition(": ")[0] for line in done.stdout.splitlines()} >= NAMES
    with_models = [row for row in DEPLOYMENTS if "models_dir" in row.params_class.model_fields]
    assert done.stdout.count('"models_dir": "s3://b/m"') == len(with_models) > 5
    assert f"paused at first, since {tmp_path}/data/songs is not there" in done.stdout


def test_without_a_server_one_sentence_says_how_to_get_one(tmp_path: Path):
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    done = command(cwd=tmp_path, environment=alone)
    assert done.status == 2
    assert "start one with `prefect server start`, and set PREFECT_API_URL=" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["build-datasets/gpu"], "did you mean build-dataset/gpu?"),
        (["--set", "audio_folder=x"], "--set audio_folder: no deployment chosen here has"),
        (["fetch-models", "--set", "device=cpu"], "--set device: no deployment chosen here has"),
        (["--output_dir", "s3://b/out"], "--output_dir s3://b/out has to be a folder"),
        (["--set", "device"], "--set device: write NAME=VALUE."),
        (["build-dataset", "--set", "device=tpu"], "build-dataset/cpu: --device: "),
        (["--audio_dir", "gs://bucket/songs"], "gs://bucket/songs is no place"),
        (["--output_dir", "s3:/bucket"], "a bucket is written s3://bucket"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], sentence: str):
    with pytest.raises(UsageError) as raised:
        deploy.describe(deploy.parse(arguments)[0])
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
