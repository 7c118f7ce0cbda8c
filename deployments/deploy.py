"""Registers deployments with a Prefect server: ``python deployments/deploy.py``."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from blocks import server
from blocks.storage import Storage, StorageError
from deployments import lost_runs
from deployments.catalogue import TAG, Deployment, Folders, Pool
from deployments.request import Request
from flows import cli
from flows.cli import UsageError

POOL_TYPE = "process"

JOB_ENVIRONMENT = {
    # Under a worker nobody reads the flow's standard output: Prefect's logs get what it prints.
    "PREFECT_LOGGING_LOG_PRINTS": "true",
    # The console is a pipe to the worker: if that is killed, writing there would end the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DASK_LOGGING__DISTRIBUTED": "error",
}


def register(request: Request) -> None:
    """Register deployments, with the work pools and queues they need, and say so.

    What an operator may have changed since stays as it is: schedules, and the limits
    of pools and queues. All else becomes what the catalogue and the request say.

    Raises
    ------
    UsageError
        If the request cannot be met, or no server is named.
    ServerError
        If the server does not answer.
    """
    chosen = request.chosen()
    if not PREFECT_API_URL.value():
        raise UsageError(
            "No Prefect server is named: start one with `prefect server start`, and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api (or where else it listens)."
        )
    with server.running() as url, get_client(sync_client=True) as client:
        print(f"Prefect server: {url}")
        watched = "made" if lost_runs.watch(client, TAG) else "left as it is"
        print(f"automation {lost_runs.NAME}: {watched}")
        for pool in _pools(chosen):
            _make_pool(client, pool)
        for row, params in chosen:
            _make_queue(client, row)
            print(f"{row.full_name}: {_register(client, request, row, params)}")
            _say(request, row, params)
            if row.schedule:
                _say_schedules(client, row, params)
    _say_next(chosen)


def describe(request: Request) -> None:
    """Say what would be registered; needs no server.

    Raises
    ------
    UsageError
        If the request cannot be met.
    """
    chosen = request.chosen()
    for pool in _pools(chosen):
        print(f"work pool {pool.name}: {POOL_TYPE}, {_limit(pool.runs_at_once)}")
    for row, params in chosen:
        print(f"{row.full_name}: for {row.pool.name}, {_limit(row.runs_at_once)}")
        _say(request, row, params)
        if row.schedule:
            lacks = _lacks(row, params)
            state = f"paused at first, since {lacks} is not there" if lacks else "active at first"
            print(f"  schedule {row.schedule.cron} {row.schedule.timezone}, {state}")


def _pools(chosen: Sequence[tuple[Deployment, dict[str, Any]]]) -> list[Pool]:
    return list(dict.fromkeys(row.pool for row, _ in chosen))


def _make_pool(client: SyncPrefectClient, pool: Pool) -> None:
    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        found = client.create_work_pool(
            WorkPoolCreate(
                name=pool.name,
                type=POOL_TYPE,
                description=pool.description,
                base_job_template=ProcessWorker.get_default_base_job_template(),
                concurrency_limit=pool.runs_at_once,
            )
        )
        done = "made"
    else:
        done = "left as it is"
    if found.type != POOL_TYPE:
        raise UsageError(
            f"The work pool {pool.name} is of type {found.type}, and has to be {POOL_TYPE}: "
            f"delete it with `prefect work-pool delete {pool.name}`, and register again."
        )
    print(f"work pool {pool.name}: {done} ({found.type}, {_limit(found.concurrency_limit)})")
    if found.is_paused:
        print("  paused: none of its runs starts until")
        print(f"    {_prefect()} work-pool resume {pool.name}")


def _make_queue(client: SyncPrefectClient, row: Deployment) -> None:
    try:
        found = client.read_work_queue_by_name(row.queue, work_pool_name=row.pool.name)
    except ObjectNotFound:
        # A queue's limit counts states, as a pool's does. A deployment's own limit is a
        # lease, which a restart of the server loses, and the run is then ended.
        client.create_work_queue(
            row.queue,
            description=f"Runs of {row.full_name}.",
            concurrency_limit=row.runs_at_once,
            work_pool_name=row.pool.name,
        )
    else:
        if found.is_paused:
            print(f"work queue {row.queue}: paused, none of its runs starts until")
            print(f"    {_prefect()} work-queue resume {row.queue} --pool {row.pool.name}")


def _register(
    client: SyncPrefectClient, request: Request, row: Deployment, params: dict[str, Any]
) -> str:
    settings: dict[str, Any] = {
        "version": metadata.version("songmill"),
        "description": row.description,
        "tags": row.all_tags,
        "parameters": {"params": params},
        "parameter_openapi_schema": parameter_schema(row.flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "entrypoint": row.entrypoint,
        "work_pool_name": row.pool.name,
        "work_queue_name": row.queue,
        # Else a run would start in a folder that is deleted after it.
        "job_variables": {"working_dir": str(request.working_dir), "env": JOB_ENVIRONMENT},
    }
    if found := _found(client, row):
        # Says nothing of schedules, which therefore stay.
        client.update_deployment(found.id, DeploymentUpdate(**settings))
        return f"brought up to date, for {row.pool.name}"
    client.create_deployment(
        client.create_flow_from_name(row.flow.name),
        row.name,
        schedules=_schedules(row, params),
        **settings,
    )
    return f"registered for {row.pool.name}"


def _found(client: SyncPrefectClient, row: Deployment) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(row.full_name)
    except ObjectNotFound:
        return None


def _schedules(row: Deployment, params: dict[str, Any]) -> list[DeploymentScheduleCreate]:
    if row.schedule is None:
        return []
    cron = CronSchedule(cron=row.schedule.cron, timezone=row.schedule.timezone)
    return [DeploymentScheduleCreate(schedule=cron, active=_lacks(row, params) is None)]


def _lacks(row: Deployment, params: dict[str, Any]) -> str | None:
    """Return the folder that scheduled runs would miss; None if it is there."""
    assert row.schedule is not None
    folder: str = params[row.schedule.reads]
    return folder if Storage(folder).is_local and not Path(folder).is_dir() else None


def _say(request: Request, row: Deployment, params: dict[str, Any]) -> None:
    print(f"  {row.entrypoint}, in {request.working_dir}")
    print(f"  --param {shlex.quote('params=' + json.dumps(params))}")


def _say_schedules(client: SyncPrefectClient, row: Deployment, params: dict[str, Any]) -> None:
    found = _found(client, row)
    assert found is not None
    for schedule in found.schedules:
        when = schedule.schedule
        text = f"{when.cron} {when.timezone}" if isinstance(when, CronSchedule) else str(when)
        print(f"  schedule {text}: {'active' if schedule.active else 'paused'}")
        if not schedule.active:
            lacks = _lacks(row, params)
            print(f"  {f'{lacks} is not there; when it is' if lacks else 'to start it'}:")
            print(f"    {_prefect()} deployment schedule resume {row.full_name} {schedule.id}")
    if not found.schedules:
        print("  no schedule: it was deleted, and stays so")


def _say_next(chosen: Sequence[tuple[Deployment, dict[str, Any]]]) -> None:
    print("Workers, one per pool and machine:")
    for pool in _pools(chosen):
        limit = f" --limit {pool.runs_at_once}" if pool.runs_at_once else ""
        print(f"  {_prefect()} worker start --pool {pool.name}{limit}")
    print("To run:")
    for row, _ in chosen:
        print(f"  {_prefect()} deployment run {row.full_name} --watch")


def _prefect() -> str:
    path = Path(sys.executable).with_name("prefect")
    inside = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if inside else path))


def _limit(count: int | None) -> str:
    return "any number of runs at once" if count is None else f"{count} at once"


def parse(argv: Sequence[str] | None = None) -> tuple[Request, bool]:
    """Return the request of a command line, and whether only to describe it.

    Raises
    ------
    UsageError
        If a value is not NAME=VALUE, or the output no folder.
    """
    parser = argparse.ArgumentParser(
        prog="python deployments/deploy.py",
        description="Register deployments with the Prefect server at PREFECT_API_URL, and make "
        "the work pools they need. Run it again after an update, or to change a folder: nothing "
        "is registered twice, and schedules, once registered, are left as they are.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="build-dataset/gpu, or build-dataset for all of a flow (default: everything)",
    )
    for name, meaning, default in (
        ("audio_dir", "folder, or s3://bucket/prefix, with the songs", "data/songs"),
        ("stems_dir", "folder, or s3://bucket/prefix, with archives of stems", "data/stems"),
        ("output_dir", "folder for the datasets", "data/datasets"),
        ("models_dir", "folder, or s3://bucket/prefix, of the models' weights", None),
    ):
        parser.add_argument(
            f"--{name}",
            f"--{name.replace('_', '-')}",
            metavar="DIR",
            default=default,
            help=f"{meaning} (default: {default or 'as the flow'})",
        )
    parser.add_argument(
        "--set",
        dest="changes",
        metavar="NAME=VALUE",
        nargs="+",
        default=[],
        action="extend",
        help="other parameters, of every deployment that has them: workers=4 pitch.method=pyin "
        "(values as in JSON, or text)",
    )
    parser.add_argument(
        "--dry_run", "--dry-run", action="store_true", help="only say what would be registered"
    )
    given = parser.parse_args(argv)
    changes = cli.nested(cli.assigned(given.changes))
    if given.models_dir:
        changes["models_dir"] = _absolute(given.models_dir)
    if not _place(given.output_dir).is_local:
        raise UsageError(
            f"--output_dir {given.output_dir} has to be a folder; finished results can go into a "
            "bucket, with --set checkpoint_dir=s3://bucket/prefix."
        )
    places = (given.audio_dir, given.output_dir, given.stems_dir)
    folders = Folders(*map(_absolute, places))
    return Request(given.names, folders, changes, Path.cwd()), given.dry_run


def _place(address: str) -> Storage:
    try:
        return Storage(address)
    except StorageError as error:
        raise UsageError(str(error)) from error


def _absolute(place: str) -> str:
    # Runs do not start where this command does, nor as a user with a home of the same name.
    found = _place(place)
    return str(Path(found.address).resolve()) if found.is_local else found.address


def main() -> None:
    """Register what the command line asks for, or say what that would be."""

    def command() -> None:
        request, dry_run = parse()
        if dry_run:
            describe(request)
        else:
            register(request)

    cli.run(command)


if __name__ == "__main__":
    main()
