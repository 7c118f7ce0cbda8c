"""A whole cluster on one machine: ``python -m deployments.local [DIR]``, or ``make cluster``.

Prefect's server and workers, a Dask scheduler with two CPU workers and two that are labelled
as those of a GPU which they share, and an S3-compatible store: the layout of docker/compose.yaml
as processes on the loopback interface, over a few example songs and tiny models.
"""

import argparse
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from blocks import server
from blocks.cluster import HOST, THREAD_VARIABLES
from blocks.storage import Storage
from deployments import deploy
from deployments.catalogue import CPU, DEPLOYMENTS, GPU, Deployment, Folders
from deployments.processes import Service, guarded, stop
from deployments.request import Request
from flows import cli
from flows.cli import UsageError
from flows.fetch_models import needed
from models import packages, registry

BUCKET = "songmill"
SONGS = 3
SONG_SECONDS = 8.0
WORKERS = {"cpu-0": "CPU", "cpu-1": "CPU", "gpu-0": "GPU", "gpu-1": "GPU"}
"""Resource of each Dask worker, by its name."""

BIN = Path(sys.executable).parent
STORE = (BIN / "moto_server",)


@dataclass
class LocalCluster:
    """A cluster that runs.

    Attributes
    ----------
    folder
        Where everything lies that is not in the bucket.
    environment
        Variables for commands that are to use it.
    scheduler
        Address of the Dask scheduler.
    services
        Its processes by name, in the order of their start.
    """

    folder: Path
    environment: Mapping[str, str]
    scheduler: str
    services: dict[str, Service] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """What of the environment only this cluster has."""
        names = ("PREFECT_API_URL", "PREFECT_HOME", "AWS_")
        return {key: value for key, value in self.environment.items() if key.startswith(names)}

    def restart(self, name: str) -> None:
        """Start a service anew, after ending what is left of it, and wait until it is ready."""
        service = self.services[name]
        if service.is_running:
            service.kill()
        service.start()
        service.wait()

    def prefect(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a `prefect` command that uses this cluster."""
        return subprocess.Popen(
            [str(BIN / "prefect"), *arguments],
            env=dict(self.environment),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run_deployment(self, name: str) -> tuple[int, str]:
        """Return the status and output of ``prefect deployment run NAME --watch``."""
        process = self.prefect("deployment", "run", name, "--watch")
        output, _ = process.communicate()
        return process.returncode, output


@contextmanager
def running(folder: Path, store: Sequence[str | Path] = STORE) -> Iterator[LocalCluster]:
    """Run a cluster with songs, models and registered deployments, until the block ends.

    Within the block this process uses it as well: its ``AWS_*`` variables and Prefect's
    settings name it. If this process is killed, the cluster ends too.

    Parameters
    ----------
    folder
        Where everything goes that is not in the bucket; the bucket is lost at the end.
    store
        Command of the S3-compatible store; ``-H HOST -p PORT`` is added.

    Raises
    ------
    UsageError
        If something does not start.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with guarded() as mark:
        cluster = _layout(folder.resolve(), mark, store)
        try:
            with (
                _exported(cluster.variables),
                temporary_settings({PREFECT_API_URL: cluster.environment["PREFECT_API_URL"]}),
            ):
                _start(cluster, ("prefect-server", "s3", "dask-scheduler", *WORKERS))
                _fill(cluster)
                register(cluster)
                _start(cluster, (CPU.name, GPU.name))
                yield cluster
        finally:
            stop(list(cluster.services.values()))


def register(cluster: LocalCluster, catalogue: Sequence[Deployment] = DEPLOYMENTS) -> None:
    """Register deployments that run on a cluster, over its songs and into its bucket."""
    changes = {
        "cluster": cluster.scheduler,
        "checkpoint_dir": f"s3://{BUCKET}/checkpoints",
        "vocals_output_dir": f"s3://{BUCKET}/vocals",
        "models_dir": str(cluster.folder / "models"),
        # The GPU workers are such by their label only, and songs are to take seconds.
        "device": "auto",
        "pitch": {"method": "pyin"},
        "llm": False,
    }
    folders = Folders(
        f"s3://{BUCKET}/songs", str(cluster.folder / "datasets"), f"s3://{BUCKET}/stems"
    )
    deploy.register(Request((), folders, changes, cluster.folder, catalogue))


def _layout(folder: Path, mark: Mapping[str, str], store: Sequence[str | Path]) -> LocalCluster:
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    prefect_port, s3_port, dask_port = _free_ports(3)
    api, scheduler = f"http://{HOST}:{prefect_port}/api", f"tcp://{HOST}:{dask_port}"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "DASK_", "AWS_", "OPENAI_"))
    }
    environment = {
        **kept,
        **THREAD_VARIABLES,
        **mark,
        "PREFECT_API_URL": api,
        **server.one_certificate(api, folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "AWS_ENDPOINT_URL": f"http://{HOST}:{s3_port}",
        "AWS_ACCESS_KEY_ID": "songmill",
        "AWS_SECRET_ACCESS_KEY": "songmill-local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # As in blocks/cluster.py.
        "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING_INTERVAL": "100ms",
    }
    cluster = LocalCluster(folder, environment, scheduler)

    def add(
        name: str, *command: str | Path, is_ready: Callable[[], bool], **variables: str
    ) -> None:
        log = logs / f"{name}.log"
        cluster.services[name] = Service(name, command, environment | variables, is_ready, log)

    serve = ("server", "start", "--host", HOST, "--port", str(prefect_port))
    add("prefect-server", BIN / "prefect", *serve, is_ready=lambda: _answers(f"{api}/health"))
    listen = ("-H", HOST, "-p", str(s3_port))
    add("s3", *store, *listen, is_ready=lambda: _listens(s3_port))
    dask, here = BIN / "dask", ("--host", HOST, "--dashboard-address", f"{HOST}:0")
    add(
        "dask-scheduler",
        *(dask, "scheduler", "--port", str(dask_port), *here),
        is_ready=lambda: _listens(dask_port),
    )
    for name, resource in WORKERS.items():
        add(
            name,
            *(dask, "worker", scheduler, "--name", name, "--resources", f"{resource}=1"),
            *("--nthreads", "1", *here, "--preload", "blocks.dask_preload"),
            *("--local-directory", folder / "scratch"),
            is_ready=lambda name=name: name in _workers(scheduler),  # type: ignore[misc]
            CUDA_VISIBLE_DEVICES="0" if resource == "GPU" else "",
        )
    for pool in (CPU, GPU):
        add(
            pool.name,
            *(BIN / "prefect", "worker", "start", "--pool", pool.name, "--type", "process"),
            is_ready=lambda name=pool.name: " started!" in cluster.services[name].output,  # type: ignore[misc]
        )
    return cluster


def _workers(scheduler: str) -> set[str]:
    """Return the names of the workers that a Dask scheduler knows; none if it does not answer."""
    from distributed import Client

    try:
        with Client(scheduler, timeout=2, set_as_default=False) as client:
            found = client.scheduler_info(n_workers=-1)["workers"].values()
            return {worker["name"] for worker in found}
    except OSError:
        return set()


def _start(cluster: LocalCluster, names: Sequence[str]) -> None:
    for name in names:
        cluster.services[name].start()
    for name in names:
        cluster.services[name].wait()


def _fill(cluster: LocalCluster) -> None:
    """Put songs and their stems into the bucket, and tiny models into the folder."""
    import boto3

    from examples.songs import make_song, write_song
    from examples.stem_archives import write_archive
    from models.tiny.write import write

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    for seed in range(1, SONGS + 1):
        song = make_song(seed, seconds=SONG_SECONDS, structure=("verse",))
        write_song(song, cluster.folder / "songs", f"song-{seed}", format="flac")
        write_archive(song, cluster.folder / "stems" / f"artist-{seed}" / f"song-{seed}.zip")
    for kind in ("songs", "stems"):
        there = Storage(f"s3://{BUCKET}/{kind}")
        for name in (here := Storage(str(cluster.folder / kind))).files():
            there.write_bytes(name, here.read_bytes(name))
    models = cluster.folder / "models"
    for name in dict.fromkeys((*needed("full"), *needed("stems"))):
        card = registry.card(name)
        if card.files and not packages.folder(card) and not (models / name).exists():
            write(models, name)


@contextmanager
def _exported(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _serve(folder: Path) -> None:
    parent = os.getppid()
    with running(folder) as cluster:
        print(f"\nThe cluster runs; logs are in {folder / 'logs'}. In another terminal:")
        for name, value in cluster.variables.items():
            print(f"  export {name}={shlex.quote(value)}")
        print(f"  {shlex.quote(str(BIN / 'prefect'))} deployment run build-dataset/gpu --watch")
        print(f"Dask: {cluster.scheduler}. Ctrl-C ends everything, and the bucket with it.")
        with suppress(KeyboardInterrupt):
            # Whoever runs this may die without a word.
            while os.getppid() == parent:
                if ended := [each for each in cluster.services.values() if not each.is_running]:
                    raise UsageError(f"The {ended[0].name} ended by itself: see {ended[0].log}.")
                time.sleep(1)


def main() -> None:
    """Run a cluster until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.local", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("demo/cluster"), metavar="DIR",
        help="where everything goes that is not in the bucket (default: %(default)s)",
    )  # fmt: skip
    given = parser.parse_args()
    cli.run(lambda: _serve(given.folder))


if __name__ == "__main__":
    main()
