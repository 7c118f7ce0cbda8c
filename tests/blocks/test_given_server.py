"""A server that is named, but not there, or named a little wrongly."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings

from blocks import given_server, server
from blocks.server import ServerError
from tests.support.prefect_server import shared_api_url

NOWHERE = "http://127.0.0.1:9/api"


def refused(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ServerError) as raised:
        given_server.usable(url)
    message = str(raised.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.fixture
def page() -> Iterator[str]:
    """Address of something that is no API: a page for whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401 if self.path.startswith("/locked") else 200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Login</html>")

        def log_message(self, format: str, *args: object) -> None: ...

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    thread.join()
    web.server_close()


def test_a_slash_at_the_end_is_taken_and_a_missing_path_proposed():
    url = shared_api_url()
    host = url.removesuffix("/api")
    assert given_server.usable(f"{url}/") == url
    assert given_server.usable(f" {url}\n") == url
    for wrong in (host, f"{host}/", f"{host}/dashboard", f"{host}/api/v1", host[len("http://") :]):
        assert f"there is one at {url}: set PREFECT_API_URL" in refused(wrong)


def test_a_run_uses_the_address_without_its_slash():
    url = shared_api_url()
    with temporary_settings({PREFECT_API_URL: f"{url}/"}), server.running() as used:
        assert used == url == PREFECT_API_URL.value() == os.environ["PREFECT_API_URL"]


def test_a_server_that_does_not_answer_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    message = refused(NOWHERE)
    assert message.startswith(f"No Prefect server answers at {NOWHERE} (")
    assert "unset PREFECT_API_URL to let this command start one for itself" in message


def test_what_answers_and_is_no_server_is_said(page: str):
    assert "answers with a page" in refused(f"{page}/api")
    assert "answers with status 401" in refused(f"{page}/locked")
    assert "begins with http://" in refused("nonsense")
    assert "begins with http://" in refused("postgresql://x/api")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (".env", "PREFECT_API_URL=x", "remove PREFECT_API_URL from {}/.env"),
        ("prefect.toml", '[api]\nurl = "x"', "remove api.url from {}/prefect.toml"),
        (
            "pyproject.toml",
            '[tool.prefect.api]\nurl = "x"',
            "remove tool.prefect.api.url from {}/pyproject.toml",
        ),
    ],
)
def test_where_the_address_comes_from_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str, said: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / file).write_text(content)
    assert said.format(tmp_path) in refused(NOWHERE)


def test_certificates_that_are_not_there_are_said(tmp_path: Path):
    url = shared_api_url()
    with (
        temporary_settings({PREFECT_API_SSL_CERT_FILE: str(tmp_path / "none.pem")}),
        pytest.raises(ServerError, match="correct PREFECT_API_SSL_CERT_FILE"),
    ):
        given_server.usable(url)
