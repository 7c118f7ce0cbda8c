"""A real S3 server on the loopback interface, behind a proxy that counts and breaks."""

import http.client
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.loaders import JSONFileLoader
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"
POLL_SECONDS = 0.02
BUCKET = "songs"

# Every client that is made reads megabytes of descriptions of Amazon's services, and a test has
# one of its own.
_read = cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda self, path: _read(path)

Kind = Literal["status", "reset", "reset mid-body", "cut mid-body", "late", "lost"]
"""``lost``: done, but the connection breaks before the answer."""


@dataclass
class Fault:
    """What happens to requests of one operation instead of a good answer.

    Attributes
    ----------
    operation
        As :attr:`S3Server.requests` has it.
    kind
        What happens.
    times
        To how many requests.
    after
        How many go well before.
    status, code
        Of the answer, if the kind is ``status``.
    seconds
        How late the answer is, if it is ``late``.
    """

    operation: str
    kind: Kind
    times: int = 1
    after: int = 0
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0


@dataclass
class S3Server:
    """The server's address, what was asked of it, and what is to go wrong.

    Attributes
    ----------
    url
        Its address.
    requests
        Operation of every request, in order: GET, PUT, HEAD, DELETE, LIST, and of
        multipart uploads START, PART, COMPLETE and ABORT.
    hosts
        Host header of every request.
    keys
        Access key that signed every request.
    ranges
        Range header of every GET.
    sent
        Bytes of content that answered each GET, by path.
    faults
        What is to go wrong.
    """

    url: str = ""
    requests: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    current: ClassVar["S3Server | None"] = None

    @property
    def counts(self) -> Counter[str]:
        """How many requests there were of each operation."""
        return Counter(self.requests)

    @property
    def sent_bytes(self) -> int:
        """Bytes of content of all answers to a GET."""
        return sum(n_bytes for _, n_bytes in self.sent)

    def breaks(self, operation: str, kind: Kind, **options: Any) -> None:
        """Let something go wrong."""
        self.faults.append(Fault(operation, kind, **options))

    def forget(self) -> None:
        """Count from nothing again."""
        self.requests.clear()
        self.hosts.clear()
        self.keys.clear()
        self.ranges.clear()
        self.sent.clear()

    def take(self, operation: str, headers: Any) -> Fault | None:
        """Note a request, and what is to happen to it."""
        with self.lock:
            self.requests.append(operation)
            self.hosts.append(headers["Host"])
            signed = headers.get("Authorization", "").partition("Credential=")[2]
            self.keys.append(signed.partition("/")[0])
            if operation == "GET":
                self.ranges.append(headers["Range"])
            for fault in self.faults:
                if fault.operation == operation and fault.times:
                    if fault.after:
                        fault.after -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def running() -> Iterator[S3Server]:
    """A server without any bucket."""
    app = _application()
    # What a server of this process stored outlives it.
    app.get_application({"PATH_INFO": "/moto-api/reset"}).test_client().post("/moto-api/reset")
    server = S3Server()
    moto = make_server(HOST, 0, app, threaded=True, request_handler=_QuietHandler)
    proxy = ThreadingHTTPServer((HOST, 0), _handler(server, moto.server_port))
    server.url = f"http://{HOST}:{proxy.server_port}"
    with _serving(moto), _serving(proxy):
        yield server


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address below an empty bucket; the environment says how to reach its store."""
    with running() as server:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }.items():
            monkeypatch.setenv(name, value)
        urlopen(Request(f"{server.url}/{BUCKET}", method="PUT")).close()
        server.forget()
        monkeypatch.setattr(S3Server, "current", server)
        yield f"s3://{BUCKET}/some/prefix"


@pytest.fixture
def store(bucket: str) -> S3Server:
    """Server of the bucket."""
    assert S3Server.current is not None
    return S3Server.current


@cache
def _application() -> Any:
    return DomainDispatcherApplication(create_backend_app)


@contextmanager
def _serving(server: BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _operation(method: str, path: str) -> str:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "GET" and "list-type" in query:
        return "LIST"
    if "uploads" in query:
        return "START"
    if "uploadId" in query:
        return {"PUT": "PART", "POST": "COMPLETE", "DELETE": "ABORT"}[method]
    return method


def _handler(server: S3Server, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = server.take(_operation(self.command, self.path), self.headers)
            match fault:
                case None:
                    self._answer(*self._upstream(body))
                case Fault(kind="status"):
                    self._refuse(fault)
                case Fault(kind="reset"):
                    self._reset()
                case Fault(kind="late"):
                    time.sleep(fault.seconds)
                    self._answer(*self._upstream(body))
                case Fault(kind="lost"):
                    self._upstream(body)
                    self._reset()
                case _:
                    status, headers, content = self._upstream(body)
                    self._answer(status, headers, content, content[: len(content) // 2])
                    if fault.kind == "reset mid-body":
                        # What has not left yet would be lost.
                        time.sleep(0.1)
                        self._reset()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815

        def _upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            name = self.headers["Host"].partition(".")[0]
            # The virtual style has the bucket in the host's name.
            path = f"/{name}{self.path}" if name == BUCKET else self.path
            headers = {**self.headers, "Host": f"{HOST}:{port}"}
            headers.pop("Expect", None)
            connection = http.client.HTTPConnection(HOST, port)
            connection.request(self.command, path, body, headers)
            with connection.getresponse() as answer:
                content = answer.read()
                kept = [
                    (name, value)
                    for name, value in answer.getheaders()
                    if name.lower() not in ("connection", "content-length", "transfer-encoding")
                ]
                length = answer.getheader("Content-Length", "0")
            connection.close()
            if _operation(self.command, self.path) == "GET":
                server.sent.append((urlsplit(self.path).path, len(content)))
            size = length if self.command == "HEAD" else str(len(content))
            return answer.status, [*kept, ("Content-Length", size)], content

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            sent: bytes | None = None,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content if sent is None else sent)
            # Less than was announced: nothing can follow on this connection.
            self.close_connection = sent is not None

        def _refuse(self, fault: Fault) -> None:
            content = f"<Error><Code>{fault.code}</Code><Message>No.</Message></Error>".encode()
            if self.command == "HEAD":
                content = b""
            self._answer(fault.status, [("Content-Length", str(len(content)))], content)

        def _reset(self) -> None:
            self.wfile.flush()
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Closed under its owner, who would end the connection in good order first.
            os.close(self.connection.detach())
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
