"""Real HTTP servers on 127.0.0.1: a hub of models, the store of its large files, plain files.

They speak what the Hugging Face hub speaks to ``huggingface_hub``: the record of a
repository, files by revision behind redirects, digests in headers, ranges. They count
what they send, and fail as they are told to.
"""

import hashlib
import json
import re
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """A repository of one commit.

    Attributes
    ----------
    files
        Contents by name.
    large
        Names of files that lie in the store of large files.
    gated, private
        Whether the token is needed for files, or even to know of it.
    """

    files: dict[str, bytes]
    large: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False

    @property
    def commit(self) -> str:
        """Digest of the contents, as long as git's."""
        digest = hashlib.sha1()
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + git_sha1(content).encode())
        return digest.hexdigest()


@dataclass
class HubServer:
    """State of the servers.

    Attributes
    ----------
    repositories
        By ``owner/name``.
    plain
        Files below :attr:`plain_address`, by path.
    counted
        What :attr:`sent` has counted so far.
    answering
        Paths of the requests that are being answered.
    requests
        Method and path of every request.
    authorized
        Hosts and paths that were given a token.
    cuts
        Name -> after how many bytes to break off, answer by answer.
    statuses
        Errors to answer file requests with, first.
    answers
        What is sent instead of a file's content.
    headers
        Name -> headers that a file is sent with; an ETag or a Last-Modified is its state.
    asked
        Headers of every request for a file.
    ignores_ranges, ignores_if_range
        Whether ranges are not known, or not the condition that they may be under.
    skips_bytes
        By how much a range begins later than was asked for.
    lengths
        Name -> length of the whole file that is claimed, true or not.
    has_no_lengths
        Whether the end of a file is told by that of the connection.
    retry_after
        What is said with an error.
    stalls
        Name -> after how many bytes to wait for :attr:`go_on`, and then to break off.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    answering: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    authorized: list[str] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    statuses: list[int] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    ignores_ranges: bool = False
    ignores_if_range: bool = False
    skips_bytes: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    has_no_lengths: bool = False
    retry_after: str | None = None
    stalls: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    address: str = ""
    store_address: str = ""

    @property
    def sent(self) -> Counter[str]:
        """Bytes of bodies that were sent, by the last part of the path.

        Who has all of an answer, or has hung up, may ask before it is counted: answers that
        do not wait for :attr:`go_on` are waited for.
        """
        deadline = time.monotonic() + 5
        while self.answering and not self.stalled.is_set() and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.counted

    @property
    def plain_address(self) -> str:
        return f"{self.address}/plain"

    def large_files(self) -> dict[str, tuple[str, bytes]]:
        """Name and content of the store's files, by SHA-256."""
        return {
            hashlib.sha256(repository.files[name]).hexdigest(): (name, repository.files[name])
            for repository in self.repositories.values()
            for name in repository.large
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: HubServer
    is_store = False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.state.answering.append(self.path)
        try:
            self.respond()
        finally:
            self.state.answering.remove(self.path)

    def respond(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.requests.append(f"{self.command} {path}")
        if "Authorization" in self.headers:
            self.state.authorized.append(f"{self.headers['Host']}{path}")
        if self.is_store:
            name, content = self.state.large_files()[path.removeprefix("/store/")]
            self.file(name, content, {})
        elif path.startswith("/plain/"):
            self.plain(path.removeprefix("/plain/"))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path):
            self.record(*found.groups())
        elif found := re.fullmatch(r"/(?:api/resolve-cache/models/)?(\w[^/]*/[^/]+)/(.+)", path):
            repository, rest = found.groups()
            rest = rest.removeprefix("resolve/")
            revision, _, name = rest.partition("/")
            self.resolve(repository, revision, name, direct=path.startswith("/api/"))
        else:
            self.error(404, "EntryNotFound")

    def plain(self, name: str) -> None:
        if name in self.state.plain:
            self.file(name, self.state.plain[name], {})
        else:
            self.error(404, None)

    def record(self, name: str, revision: str) -> None:
        repository = self.repository(name, revision)
        if repository is None:
            return
        siblings = []
        for path, content in repository.files.items():
            entry = {"rfilename": path, "size": len(content), "blobId": git_sha1(content)}
            if path in repository.large:
                digest = hashlib.sha256(content).hexdigest()
                entry |= {
                    "blobId": git_sha1(f"pointer to {digest}".encode()),
                    "lfs": {"sha256": digest, "size": len(content), "pointerSize": 134},
                }
            siblings.append(entry)
        record = {"id": name, "modelId": name, "sha": repository.commit, "siblings": siblings}
        body = json.dumps(record | {"private": False, "tags": [], "downloads": 0}).encode()
        self.answer(200, body, {"Content-Type": "application/json"})

    def resolve(self, name: str, revision: str, path: str, direct: bool) -> None:
        repository = self.repository(name, revision)
        if repository is None:
            return
        if repository.gated and not self.has_token():
            self.error(401, "GatedRepo")
            return
        if path not in repository.files:
            self.error(404, "EntryNotFound")
            return
        content = repository.files[path]
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{git_sha1(content)}"'}
        if path in repository.large:
            digest = hashlib.sha256(content).hexdigest()
            headers |= {
                "X-Linked-ETag": f'"{digest}"',
                "X-Linked-Size": str(len(content)),
                "Location": f"{self.state.store_address}/store/{digest}?signature=secret",
            }
            self.answer(302, b"", headers)
        elif not direct:
            place = f"/api/resolve-cache/models/{name}/{repository.commit}/{path}"
            self.answer(307, b"", headers | {"Location": place})
        else:
            self.file(path, content, headers)

    def repository(self, name: str, revision: str) -> Repository | None:
        """A repository that may be read; None after an answer that it may not."""
        repository = self.state.repositories.get(name)
        if repository is None or (repository.private and not self.has_token()):
            # Who is nobody is not told what there is.
            self.error(404 if self.has_token() else 401, "RepoNotFound")
            return None
        if revision not in ("main", repository.commit):
            self.error(404, "RevisionNotFound")
            return None
        return repository

    def has_token(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}"

    def file(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        """Send a file, or the range that was asked for."""
        state = self.state
        content = state.answers.get(name, content)
        headers = headers | state.headers.get(name, {})
        state.asked.append(dict(self.headers.items()))
        if self.command == "GET" and state.statuses:
            self.error(state.statuses.pop(0), None)
            return
        status, start = 200, 0
        if (range_ := self.headers["Range"]) and not self.ignores_range(headers):
            start = int(range_.removeprefix("bytes=").partition("-")[0]) + state.skips_bytes
            if start >= len(content):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            status = 206
            headers = headers | {
                "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"
            }
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if state.has_no_lengths:
            self.send_header("Connection", "close")
        else:
            claimed = state.lengths.get(name, len(content))
            self.send_header("Content-Length", str(claimed - start))
            if claimed != len(content):
                self.close_connection = True
        self.end_headers()
        if self.command == "GET":
            self.body(name, content[start:])

    def ignores_range(self, headers: dict[str, str]) -> bool:
        """Whether the whole file is sent, as for a range of another state than that of now."""
        states = (None, headers.get("ETag"), headers.get("Last-Modified"))
        is_of_now = self.headers["If-Range"] in states or self.state.ignores_if_range
        return self.state.ignores_ranges or not is_of_now

    def body(self, name: str, rest: bytes) -> None:
        state = self.state
        cut = state.cuts[name].pop(0) if state.cuts[name] else len(rest)
        stall = state.stalls.get(name, len(rest))
        for at in range(0, cut, 1000):
            if at >= stall:
                state.stalled.set()
                state.go_on.wait()
                self.close_connection = True
                return
            part = rest[at : min(at + 1000, cut)]
            try:
                self.wfile.write(part)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
                return
            state.counted[name] += len(part)
        if cut < len(rest):
            self.close_connection = True

    def error(self, status: int, code: str | None) -> None:
        body = b"{}"
        headers = {"X-Error-Code": code} if code else {}
        if self.state.retry_after:
            headers["Retry-After"] = self.state.retry_after
        self.answer(status, body, headers | {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """A server that says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # Clients are killed, and leave in the middle.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """The servers, running inside the block."""
    state = HubServer()
    hub_handler = type("Handler", (_Handler,), {"state": state})
    store_handler = type("StoreHandler", (_Handler,), {"state": state, "is_store": True})
    servers = [QuietServer(("127.0.0.1", 0), each) for each in (hub_handler, store_handler)]
    state.address, state.store_address = (
        f"http://127.0.0.1:{server.server_address[1]}" for server in servers
    )
    threads = []
    for server in servers:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        threads.append(thread)
    try:
        yield state
    finally:
        state.go_on.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
