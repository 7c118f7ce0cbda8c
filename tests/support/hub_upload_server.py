"""A real HTTP server on 127.0.0.1 that takes dataset repositories as the Hugging Face hub does.

It speaks what ``huggingface_hub`` 2.4 asks for: who a token is of, repositories and their
settings, trees in pages, which files are large, Git LFS in one piece or several, commits as
lines of JSON, files to read. Its store of large files is on the same port. Clients with
``hf_xet`` are given a folder as their store, which that library knows as ``local://``. It
counts what arrives, and fails as it is told to.
"""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.support.hub_server import TOKEN, QuietServer, git_sha1

OWNER = "somebody"
READ_TOKEN = "hf_reads"
"""Of an account that may write nothing."""

LARGE = (".parquet", ".flac", ".opus", ".tar")
"""What ``.gitattributes`` of a new dataset says of suffixes, as far as tests need it."""


@dataclass
class Dataset:
    """A dataset repository: contents by path (large ones by SHA-256), and its history."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, tuple[str, int]] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    """What each commit did: ``+ path`` and ``- path``, in the order of its lines."""


@dataclass
class Fault:
    """What becomes of a request instead of a good answer.

    Attributes
    ----------
    request
        Regular expression of its method and path.
    status
        Answered, or 0 for a connection that breaks.
    skip
        How many such requests are answered well before.
    times
        How many are not.
    is_done
        Whether it is carried out all the same.
    """

    request: str
    status: int
    skip: int = 0
    times: int = 1
    is_done: bool = False


@dataclass
class HubUploadServer:
    """State of the server.

    Attributes
    ----------
    datasets
        By ``owner/name``.
    store
        Large files by SHA-256.
    requests
        Method and path of every request.
    received
        Bytes of contents that arrived, by SHA-256, from commits as well.
    part_bytes
        Size of the pieces that large files are asked for in; None for one piece.
    page_entries
        Entries of a page of a tree.
    ignored
        What a ``.gitignore`` names.
    faults
        The first that fits a request strikes it.
    xet_store
        Folder that clients with ``hf_xet`` put large files into.
    """

    datasets: dict[str, Dataset] = field(default_factory=dict)
    store: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)
    part_bytes: int | None = None
    page_entries: int = 3
    ignored: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)
    xet_store: Path | None = None
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def contents(self, name: str) -> dict[str, bytes]:
        """Everything that is in a repository but the hub's own file."""
        dataset = self.datasets[name]
        large = {path: self.store[sha256] for path, (sha256, _) in dataset.large.items()}
        return {
            path: content
            for path, content in (dataset.files | large).items()
            if path != ".gitattributes"
        }

    def asked(self, pattern: str) -> int:
        """How many requests there were of a method and path."""
        return sum(bool(re.fullmatch(pattern, request)) for request in self.requests)

    def take(self, request: str) -> Fault | None:
        """Return what strikes a request."""
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and re.fullmatch(fault.request, request):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: HubUploadServer

    def handle_one(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.state.take(f"{self.command} {path}")
        self.is_struck = fault is not None
        if fault is None or fault.is_done:
            self.respond(path)
        if fault is not None:
            self.is_struck = False
            if fault.status:
                self.answer({"error": "as was asked for"}, fault.status, {"Retry-After": "0"})
            else:
                self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = handle_one  # noqa: N815

    def respond(self, path: str) -> None:
        routes = (
            (r"PUT /store/(\w+)", self.put_large),
            (r"PUT /store/(\w+)/(\d+)", self.put_part),
            (r"POST /store/(\w+)", self.join_parts),
            (r"POST /verify", self.verify),
            (r"GET /api/whoami-v2", self.whoami),
            (r"POST /api/validate-yaml", self.validate),
            (r"POST /api/repos/create", self.create),
            (r"GET /api/datasets/([^/]+/[^/]+)(?:/revision/main)?", self.record),
            (r"PUT /api/datasets/([^/]+/[^/]+)/settings", self.settings),
            (r"GET /api/datasets/([^/]+/[^/]+)/tree/main", self.tree),
            (r"GET /api/datasets/([^/]+/[^/]+)/xet-write-token/main", self.xet_token),
            (r"POST /api/datasets/([^/]+/[^/]+)/preupload/main", self.preupload),
            (r"POST /api/datasets/([^/]+/[^/]+)/commit/main", self.commit),
            (r"POST /datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
            (r"(?:GET|HEAD) /datasets/([^/]+/[^/]+)/resolve/\w+/(.+)", self.resolve),
        )
        for pattern, method in routes:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                # The store knows no tokens: its addresses are signed.
                if not path.startswith("/store/") and not self.is_allowed(*found.groups()[:1]):
                    return
                method(*found.groups())
                return
        self.answer({"error": f"no {self.command} {path}"}, 400)

    def is_allowed(self, dataset: str | None = None) -> bool:
        """Whether a request is answered; if not, it was refused."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_TOKEN):
            message = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self.answer({"error": "Invalid username or password."}, 401, message)
            return False
        if dataset is not None and dataset not in self.state.datasets:
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return False
        if token == READ_TOKEN and self.command != "GET":
            self.answer({"error": "You don't have the required permissions"}, 403)
            return False
        return True

    def whoami(self) -> None:
        self.answer({"type": "user", "name": OWNER, "orgs": []})

    def validate(self) -> None:
        content = json.loads(self.content)["content"]
        metadata = yaml.safe_load(content.split("---")[1])
        if isinstance(metadata.get("license"), (str, list)):
            self.answer({"errors": [], "warnings": []})
        else:
            self.answer({"errors": [{"message": '"license" must be a string'}]}, 400)

    def create(self) -> None:
        asked = json.loads(self.content)
        name = f"{asked['organization'] or OWNER}/{asked['name']}"
        url = {"url": f"{self.state.address}/datasets/{name}"}
        if asked["type"] != "dataset" or name.partition("/")[0] != OWNER:
            self.answer({"error": "You don't have the rights to create it"}, 403)
        elif name in self.state.datasets:
            self.answer(url | {"error": "You already created this dataset repo"}, 409)
        else:
            dataset = Dataset(private=asked["visibility"] == "private")
            dataset.files[".gitattributes"] = b"*.parquet filter=lfs\n"
            self.state.datasets[name] = dataset
            self.answer(url)

    def record(self, name: str) -> None:
        private = self.state.datasets[name].private
        self.answer({"id": name, "sha": "0" * 40, "private": private, "tags": [], "downloads": 0})

    def settings(self, name: str) -> None:
        self.state.datasets[name].private = json.loads(self.content)["visibility"] == "private"
        self.answer({})

    def tree(self, name: str) -> None:
        dataset = self.state.datasets[name]
        entries: list[dict[str, Any]] = [
            {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            for path, content in dataset.files.items()
        ]
        for path, (sha256, size) in dataset.large.items():
            lfs = {"oid": sha256, "size": size, "pointerSize": 134}
            oid = git_sha1(f"pointer to {sha256}".encode())
            entries.append({"type": "file", "path": path, "size": size, "oid": oid, "lfs": lfs})
        folders = {path.rpartition("/")[0] for path in (*dataset.files, *dataset.large)} - {""}
        entries += [{"type": "directory", "path": path, "oid": "0" * 40} for path in folders]
        entries.sort(key=lambda entry: entry["path"])
        query = parse_qs(urlsplit(self.path).query)
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.state.page_entries
        url = f"{self.state.address}/api/datasets/{name}/tree/main?recursive=True&cursor={stop}"
        link = {"Link": f'<{url}>; rel="next"'} if stop < len(entries) else {}
        self.answer(entries[start:stop], 200, link)

    def preupload(self, name: str) -> None:
        dataset = self.state.datasets[name]
        files = []
        for file in json.loads(self.content)["files"]:
            path, sample = file["path"], base64.b64decode(file["sample"])
            is_large = path.endswith(LARGE) or b"\0" in sample
            oid = git_sha1(dataset.files[path]) if path in dataset.files else None
            if path in dataset.large:
                oid = dataset.large[path][0]
            mode = "lfs" if is_large else "regular"
            ignored = path in self.state.ignored
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": ignored, "oid": oid})
        self.answer({"files": files})

    def batch(self, name: str) -> None:
        state, objects = self.state, []
        for each in json.loads(self.content)["objects"]:
            actions: dict[str, Any] = {}
            if each["oid"] not in state.store:
                href = f"{state.address}/store/{each['oid']}"
                header: dict[str, str] = {}
                if state.part_bytes and each["size"] > state.part_bytes:
                    count = -(-each["size"] // state.part_bytes)
                    header = {str(part): f"{href}/{part}" for part in range(1, count + 1)}
                    header["chunk_size"] = str(state.part_bytes)
                upload = {"href": href, "header": header}
                verify = {"href": f"{state.address}/verify"}
                actions = {"actions": {"upload": upload, "verify": verify}}
            objects.append(each | actions)
        self.answer({"transfer": "basic", "objects": objects})

    def put_large(self, sha256: str) -> None:
        assert hashlib.sha256(self.content).hexdigest() == sha256
        self.state.received[sha256] += len(self.content)
        self.state.store[sha256] = self.content
        self.answer({})

    def put_part(self, sha256: str, part: str) -> None:
        self.state.received[sha256] += len(self.content)
        self.state.parts.setdefault(sha256, {})[int(part)] = self.content
        self.answer({}, 200, {"ETag": f'"{part}"'})

    def join_parts(self, sha256: str) -> None:
        parts = self.state.parts.pop(sha256)
        named = [part["partNumber"] for part in json.loads(self.content)["parts"]]
        self.state.store[sha256] = b"".join(parts[part] for part in named)
        assert hashlib.sha256(self.state.store[sha256]).hexdigest() == sha256
        self.answer({})

    def verify(self) -> None:
        asked = json.loads(self.content)
        content = self.state.store.get(asked["oid"], b"")
        self.answer({}, 200 if len(content) == asked["size"] else 404)

    def commit(self, name: str) -> None:
        dataset, done = self.state.datasets[name], []
        lines = [json.loads(line) for line in self.content.splitlines()]
        for each in lines:
            path = each["value"].get("path")
            if each["key"] == "deletedFile" and path not in {*dataset.files, *dataset.large}:
                message = {"error": f"A file with this name doesn't exist: {path}"}
                self.answer(message, 404, {"X-Error-Code": "EntryNotFound"})
                return
        for each in lines:
            value = each["value"]
            if each["key"] == "file":
                content = base64.b64decode(value["content"])
                dataset.files[value["path"]] = content
                dataset.large.pop(value["path"], None)
                self.state.received[hashlib.sha256(content).hexdigest()] += len(content)
                done.append(f"+ {value['path']}")
            elif each["key"] == "lfsFile":
                assert value["oid"] in self.state.store or self.state.xet_store
                dataset.large[value["path"]] = (value["oid"], value["size"])
                dataset.files.pop(value["path"], None)
                done.append(f"+ {value['path']}")
            elif each["key"] == "deletedFile":
                dataset.files.pop(value["path"], None)
                dataset.large.pop(value["path"], None)
                done.append(f"- {value['path']}")
        dataset.commits.append(done)
        url = f"{self.state.address}/datasets/{name}/commit/{len(dataset.commits):040}"
        self.answer({"commitUrl": url, "commitOid": f"{len(dataset.commits):040}"})

    def resolve(self, name: str, path: str) -> None:
        content = self.state.datasets[name].files.get(path)
        if content is None:
            self.answer({}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self.answer(content, 200, {"X-Repo-Commit": "0" * 40, "ETag": f'"{git_sha1(content)}"'})

    def xet_token(self, name: str) -> None:
        address = f"local://{self.state.xet_store}"
        self.answer({"casUrl": address, "accessToken": "x", "exp": 4_102_444_800})

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        if self.is_struck:
            return
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def hub_upload_server() -> Iterator[HubUploadServer]:
    """The server, running inside the block."""
    state = HubUploadServer()
    server = QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
