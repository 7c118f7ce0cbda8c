"""The cluster of compose.yaml, as far as it can be tested without a Docker engine."""

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
import yaml
from check_jsonschema import builtin_schemas

from blocks.cluster import RESOURCES, THREAD_VARIABLES

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(
    re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (DOCKER / ".env.example").read_text(), re.MULTILINE)
)
SECRETS = {"POSTGRES_PASSWORD", "S3_SECRET_KEY"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
ONE_SHOTS = {
    name
    for service in SERVICES.values()
    for name, needed in service.get("depends_on", {}).items()
    if needed["condition"] == "service_completed_successfully"
}
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("songmill-")]


def filled(value: Any) -> Any:
    """A part of compose.yaml as Compose reads it with .env.example and two secrets."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(
        lambda found: f"secret-{found[1]}" if found[1] in SECRETS else found[3] or "", value
    )


def test_compose_file_keeps_the_compose_specification() -> None:
    schema = json.loads(
        resources.files(builtin_schemas).joinpath("vendor", "compose-spec.json").read_text()
    )
    jsonschema.validate(COMPOSE, schema)
    jsonschema.validate(filled(COMPOSE) | {"services": filled(SERVICES)}, schema)


def test_images_of_the_cluster_are_pinned() -> None:
    for name, service in SERVICES.items():
        repository, _, tag = service["image"].partition(":")
        assert re.match(r"v?\d+\.\d+", tag), name
        if name in OURS:
            assert tag == VERSION
            assert repository == f"songmill-{service['build']['target']}"
            assert (DOCKER / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_ports_are_open_to_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in filled(service.get("ports", []))]
    assert len(published) == 3
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    # Neither of them asks who is there, or only by a password.
    assert not {"postgres", "cpu-worker", "gpu-worker"} & {
        name for name, service in SERVICES.items() if "ports" in service
    }
    assert not any(port.endswith(":8786") for port in published)


def test_services_are_watched_restarted_and_limited() -> None:
    assert {"bucket", "register"} == ONE_SHOTS
    for name, service in SERVICES.items():
        if name in ONE_SHOTS:
            assert service["restart"] == "on-failure:5", name
        else:
            assert service["restart"] == "unless-stopped", name
            check = service["healthcheck"]
            assert {"test", "interval", "timeout", "retries", "start_period"} == check.keys(), name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("cap_drop") == ["ALL"] or name == "postgres"


def test_commands_are_given_as_lists() -> None:
    for service in SERVICES.values():
        assert isinstance(service.get("command", []), list)
        assert service.get("healthcheck", {"test": ["CMD"]})["test"][0] == "CMD"


def test_what_is_needed_is_started_too() -> None:
    for name, service in SERVICES.items():
        for other, needed_as in service.get("depends_on", {}).items():
            assert set(SERVICES[other].get("profiles", [])) <= set(service.get("profiles", []))
            if needed_as["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (name, other)
            assert (
                set(service["networks"]) & set(SERVICES[other]["networks"]) or other == "register"
            )
    assert all(SERVICES[name]["profiles"] == ["gpu"] for name in SERVICES if "gpu" in name)


def test_volumes_and_networks_are_declared_and_used() -> None:
    mounts = [
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if not mount.startswith("$")
    ]
    assert set(mounts) == COMPOSE["volumes"].keys()
    networks = {name for service in SERVICES.values() for name in service["networks"]}
    assert networks == COMPOSE["networks"].keys()
    assert COMPOSE["networks"]["database"]["internal"]
    on_database = {name for name in SERVICES if "database" in SERVICES[name]["networks"]}
    assert on_database == {"postgres", "prefect-server"}
    made = re.search(r"install --directory --owner songmill .*\\\n(.*)\n", DOCKERFILE)
    assert made, "a new volume takes its owner from the image's folder"
    assert made[1].split() == ["/data", "/models", "/home/songmill/.cache"]


def test_every_variable_is_explained_and_secrets_have_no_value() -> None:
    used = {name: (mark, text) for name, mark, text in VARIABLE.findall(COMPOSE_TEXT)}
    assert EXAMPLE.keys() - {"COMPOSE_PROFILES"} == used.keys()
    for name, (mark, text) in used.items():
        if name in SECRETS:
            assert (mark, EXAMPLE[name]) == ("?", "")
        else:
            assert mark == "-"
            assert name == "TORCH_INDEX_URL" or text == EXAMPLE[name], "two defaults differ"
    assert not set(re.findall(r"\$(?!\{)(\w+)", COMPOSE_TEXT))
    assert ".env" in (DOCKER / ".gitignore").read_text().split()


# What runs in it


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in filled(SERVICES[service]["environment"]).items()}


def test_one_thread_per_worker_and_the_same_places_everywhere() -> None:
    running = [name for name in OURS if "worker" in name or name == "dask-scheduler"]
    assert len(running) == 5
    for name in running:
        assert THREAD_VARIABLES.items() <= environment(name).items(), name
        assert environment(name)["SONGMILL_MODELS_DIR"] == "/models"
        assert environment(name)["PREFECT_API_URL"] == "http://prefect-server:4200/api"
        assert f"> {environment(name)['PREFECT_API_SSL_CERT_FILE']}\n" in DOCKERFILE
        assert environment(name)["AWS_ENDPOINT_URL"] == "http://s3:7070"
        assert SERVICES[name]["volumes"] == SERVICES["cpu-worker"]["volumes"]
    assert (
        environment("s3")["ROOT_SECRET_KEY"] == environment("cpu-worker")["AWS_SECRET_ACCESS_KEY"]
    )


def test_pools_are_the_catalogues() -> None:
    from prefect.cli.worker import worker_app

    from deployments.catalogue import DEPLOYMENTS

    started = {}
    for name in ("prefect-worker-cpu", "prefect-worker-gpu"):
        program, app, *words = filled(SERVICES[name]["command"])
        assert (program, app) == ("prefect", "worker")
        _, bound, _ = worker_app.parse_args(words, print_error=False, exit_on_error=False)
        assert bound.arguments["worker_type"] == "process"
        assert bound.arguments["with_healthcheck"]
        started[bound.arguments["work_pool_name"]] = bound.arguments.get("limit")
    assert started == {row.pool.name: row.pool.runs_at_once for row in DEPLOYMENTS}


def test_dask_takes_its_commands_and_stays_within_the_containers_memory() -> None:
    from dask.utils import parse_bytes
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    for name, wanted in (("cpu-worker", set(RESOURCES)), ("gpu-worker", {"GPU"})):
        program, command, *words = filled(SERVICES[name]["command"])
        params = worker.make_context("dask worker", words).params
        assert (program, command, params["preload_argv"]) == ("dask", "worker", ())
        assert params["preload"] == ("blocks.dask_preload",)
        assert params["nthreads"] == 1
        assert params["scheduler"] == "tcp://dask-scheduler:8786"
        assert {item.split("=")[0] for item in params["resources"].split(",")} == wanted
        limit = filled(SERVICES[name]["deploy"]["resources"]["limits"]["memory"])
        # Docker counts in powers of two.
        container_bytes = int(re.fullmatch(r"(\d+)g", limit)[1]) * 2**30  # type: ignore[index]
        assert parse_bytes(params["memory_limit"]) < container_bytes
    program, command, *words = SERVICES["dask-scheduler"]["command"]
    params = scheduler.make_context("dask scheduler", words).params
    assert (program, command, params["port"]) == ("dask", "scheduler", "8786")


def test_dasks_and_prefects_settings_are_real() -> None:
    import dask
    import distributed  # noqa: F401  # its defaults
    from prefect.settings import Settings

    for name in OURS:
        for variable in environment(name):
            if variable.startswith("DASK_"):
                [section] = dask.config.collect_env({variable: "1"}).values()
                *path, leaf = (variable.removeprefix("DASK_").lower().replace("_", "-")).split("--")
                assert leaf in dask.config.get(".".join(path)), section
    known = {name.lower() for name in Settings().to_environment_variables()} | aliases(Settings)
    for name in OURS:
        for variable in environment(name):
            if variable.startswith("PREFECT_"):
                assert variable.lower() in known, variable


def aliases(model: Any) -> set[str]:
    """Names of variables that a model of Prefect's settings reads."""
    found = set()
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            found |= aliases(field.annotation)
        found.add(f"{model.model_config['env_prefix']}{name}".lower())
        choices = getattr(field.validation_alias, "choices", ())
        found |= {choice.lower() for choice in choices if isinstance(choice, str)}
    return found


def test_server_keeps_a_password_with_any_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    values = environment("prefect-server") | {"PREFECT_SERVER_DATABASE_PASSWORD": "a/b@c:d%20"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    address = Settings().server.database.connection_url
    assert address
    parts = urlsplit(address.get_secret_value())
    assert parts.scheme == "postgresql+asyncpg"
    assert (parts.hostname, parts.port, parts.path) == ("postgres", 5432, "/prefect")
    assert (parts.username, unquote(parts.password or "")) == ("prefect", "a/b@c:d%20")
    assert SERVICES["postgres"]["environment"]["POSTGRES_DB"] == "prefect"


def test_deployments_are_registered_with_the_clusters_places() -> None:
    from deployments import deploy

    program, script, *words = filled(SERVICES["register"]["command"])
    assert (program, script) == ("python", "deployments/deploy.py")
    request, dry_run = deploy.parse(words)
    assert not dry_run
    params = {row.full_name: values for row, values in request.chosen()}
    built = params["build-dataset/gpu"]
    assert built["cluster"] == "tcp://dask-scheduler:8786"
    assert built["audio_dir"] == "s3://songmill/songs"
    assert built["output"].startswith("/data/")
    assert built["checkpoint_dir"] == "s3://songmill/checkpoints"
    assert params["fetch-models/default"]["models_dir"] == "/models"


def test_bucket_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    program, script, name = filled(SERVICES["bucket"]["command"])
    assert program == "python"
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for variable, value in environment("bucket").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        for _ in range(2):
            subprocess.run([sys.executable, ROOT / script, name], check=True)
            made = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
            assert "songmill" in made
    finally:
        server.stop()


@contextlib.contextmanager
def answering(status: int) -> Iterator[int]:
    """Port of a server that gives every request the same answer."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_health_checks_tell_a_healthy_server_from_others() -> None:
    checks = {SERVICES[name]["healthcheck"]["test"][-1] for name in OURS if name not in ONE_SHOTS}
    assert len(checks) == 3
    for code in checks:
        for status, healthy in ((200, True), (503, False)):
            with answering(status) as port:
                moved = re.sub(r"(127\.0\.0\.1):\d+", rf"\1:{port}", code)
                # An exception of `python -c` is its exit status 1.
                with contextlib.nullcontext() if healthy else pytest.raises(HTTPError):
                    exec(moved, {})
