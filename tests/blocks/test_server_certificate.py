"""Where Prefect's clients get by with one certificate, and where they must not."""

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
from botocore.httpsession import get_cert_path
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from blocks import given_server, server

ROOT = Path(__file__).parents[2]
NAME = "PREFECT_API_SSL_CERT_FILE"
PLAIN = "http://prefect.example:4200/api"


def certificates(path: str | Path) -> int:
    return Path(path).read_text().count("BEGIN CERTIFICATE")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of certificates that SSL contexts are made of, in turn."""
    files: list[str] = []
    create = ssl.create_default_context

    def noted(*args: Any, **options: Any) -> ssl.SSLContext:
        files.append(options.get("cafile"))
        return create(*args, **options)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    return files


def test_a_plain_http_api_needs_one_certificate(tmp_path: Path):
    (path,) = server.one_certificate(PLAIN, tmp_path).values()
    assert certificates(path) == 1
    assert certificates(certifi.where()) > 100
    ssl.create_default_context(cafile=path)


def test_an_https_api_keeps_all_of_them(tmp_path: Path):
    assert server.one_certificate("https://prefect.example/api", tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_what_the_user_has_chosen_stays(tmp_path: Path):
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: certifi.where()}):
        assert server.one_certificate(PLAIN, tmp_path) == {}
    assert answered(tmp_path, {NAME: certifi.where()}) == "{}"


def test_what_the_machine_trusts_for_everything_is_no_choice(tmp_path: Path):
    # Prefect takes it for the default of its setting.
    assert NAME in answered(tmp_path, {"SSL_CERT_FILE": certifi.where()})


def answered(folder: Path, variables: dict[str, str]) -> str:
    """What a process with some variables of the environment says of a plain-http API."""
    code = (
        "import pathlib; from blocks import server; "
        f"print(server.one_certificate({PLAIN!r}, pathlib.Path({str(folder)!r})))"
    )
    environment = os.environ | {"PREFECT_HOME": str(folder)} | variables
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env=environment, cwd=ROOT, text=True).strip()


def test_a_run_with_a_server_of_its_own_uses_one(read: list[str]):
    with server.running(), get_client(sync_client=True):
        chosen = os.environ[NAME]
        assert PREFECT_API_SSL_CERT_FILE.value() == chosen == read[-1]
        assert certificates(chosen) == 1
    assert NAME not in os.environ
    assert not Path(chosen).exists()


@pytest.mark.parametrize("workers_here", [True, False])
def test_a_run_with_a_given_server_uses_one_if_its_tasks_stay_here(
    workers_here: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(given_server, "usable", lambda url: url)
    with (
        temporary_settings({PREFECT_API_URL: PLAIN}),
        server.running(workers_here=workers_here) as url,
    ):
        assert url == PLAIN == PREFECT_API_URL.value()
        # Children read the one, and tasks on other machines are sent the other.
        assert (NAME in os.environ) == workers_here
        assert (certificates(PREFECT_API_SSL_CERT_FILE.value()) == 1) == workers_here


def test_other_clients_keep_what_they_trust(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
):
    ((name, path),) = server.one_certificate(PLAIN, tmp_path).items()
    monkeypatch.setenv(name, path)
    with temporary_settings({PREFECT_API_URL: PLAIN, PREFECT_API_SSL_CERT_FILE: path}):
        get_client(sync_client=True)
        assert read == [path]
        # OpenAI's client is one of httpx.
        assert len(httpx.create_ssl_context().get_ca_certs()) > 1
        assert certificates(get_cert_path(True)) > 1
    assert path not in read[1:]
