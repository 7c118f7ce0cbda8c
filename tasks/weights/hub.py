"""Files of models as their sources publish them, and downloads that go on where they stopped.

A source is a repository of the Hugging Face hub, or an address with files below it.
``huggingface_hub`` itself begins a file anew after a process that was killed, which
for gigabytes is not good enough; its addresses, tokens and environment variables
(``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``) are those used here.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from models.registry import ModelCard, ModelFile
from models.weights import sha256

if TYPE_CHECKING:
    import httpx

UNPINNED = "main"
"""Revision of a card that names no commit: whichever is the newest when it is fetched."""

TRIES = 5
"""How often in a row a transfer may bring nothing before it is given up."""

WAIT_SECONDS = 1.0
"""Before the second try; each further wait is twice as long."""

LONGEST_WAIT_SECONDS = 60.0
"""However long a server asks to be left alone."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

CHUNK_BYTES = 2**18

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)

Advance = Callable[[int], None]
"""Called with bytes that arrived, or, negative, bytes that have to be fetched anew."""

Result = TypeVar("Result")


class DownloadError(Exception):
    """A file that could not be had; the message is one sentence for people."""


class UnreachableError(DownloadError):
    """A host that does not answer.

    Attributes
    ----------
    host
        Its name.
    """

    def __init__(self, message: str, host: str) -> None:
        super().__init__(message, host)
        self.host = host

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model at its source.

    Attributes
    ----------
    name
        Path within the model's folder.
    url
        Where it is.
    repository
        What it belongs to, for messages.
    size_bytes
        Its size; None where it is not published.
    sha256
        SHA-256 prefixes in hexadecimal that it has to match, all of them.
    git_sha1
        Name that git gives the content; None where it is not published.
    """

    name: str
    url: str
    repository: str
    size_bytes: int | None = None
    sha256: tuple[str, ...] = ()
    git_sha1: str | None = None

    @property
    def is_verifiable(self) -> bool:
        """Whether a digest of it is published."""
        return bool(self.sha256 or self.git_sha1)

    def wrong(self, path: Path) -> str | None:
        """What is wrong with the content of `path`, a phrase; None if nothing is."""
        size = path.stat().st_size
        if self.size_bytes is not None and size != self.size_bytes:
            return f"has {size:,} bytes instead of {self.size_bytes:,}"
        if self.sha256:
            found = sha256(path)
            for digest in self.sha256:
                if not found.startswith(digest):
                    return f"has SHA-256 {found[: len(digest)]} instead of {digest}"
        if self.git_sha1 and (name := _git_sha1(path)) != self.git_sha1:
            return f"has git hash {name} instead of {self.git_sha1}"
        return None


@dataclass(frozen=True, slots=True)
class Published:
    """What a source has of a model: the exact revision, and its files."""

    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int | None:
        """Size of the files together; None if that of one is not published."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def endpoint() -> str:
    """Address of the hub: ``HF_ENDPOINT``, or Hugging Face's own."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_on_hub(card: ModelCard) -> bool:
    """Whether the files of a model are in a repository of the hub."""
    return "://" not in card.source


def host(card: ModelCard) -> str:
    """Name of the host that has a model's files."""
    address = endpoint() if is_on_hub(card) else card.source
    return urlsplit(address).hostname or address


def published(card: ModelCard) -> Published:
    """What the source of a model has; the hub is asked, other sources are taken at their word.

    Raises
    ------
    DownloadError
        If the hub cannot be reached, or has no such repository, revision or file.
    """
    if not is_on_hub(card):
        return Published(
            card.revision,
            tuple(
                RemoteFile(
                    file.name,
                    f"{card.source}/{quote(file.name)}",
                    card.source,
                    file.size_bytes,
                    (file.sha256,) if file.sha256 else (),
                )
                for file in card.files
            ),
        )
    answer = _repository(card)
    revision = str(answer["sha"])
    entries = {entry["rfilename"]: entry for entry in answer.get("siblings", [])}
    return Published(
        revision, tuple(_remote_file(card, revision, entries, file) for file in card.files)
    )


def download(file: RemoteFile, partial: Path, advance: Advance) -> None:
    """Fetch the rest of a file into `partial`, which keeps what arrived whatever happens.

    The content is not verified.

    Raises
    ------
    DownloadError
        If the source cannot be reached or does not give the file away.
    OSError
        If `partial` cannot be written.
    """
    with _client() as client:
        _retried(
            file.url,
            lambda: _continue(client, file, partial, advance),
            lambda: _size(partial),
        )


def _repository(card: ModelCard) -> Mapping[str, Any]:
    """The hub's record of a repository at the card's revision."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DownloadError(
            "HF_HUB_OFFLINE is set, so nothing is fetched from the hub: unset it, or copy the "
            "model's folder from a machine that has it."
        )
    revision = quote(card.revision, safe="")
    url = f"{endpoint()}/api/models/{card.source}/revision/{revision}?blobs=true"

    def ask() -> Mapping[str, Any]:
        response = client.get(url, headers=_credentials())
        _check(response, card.source, f"revision {card.revision}")
        try:
            answer: dict[str, Any] = response.json()
            if isinstance(answer["sha"], str):
                return answer
        except (ValueError, KeyError, TypeError):
            pass
        raise DownloadError(
            f"{endpoint()} does not answer as a hub does: HF_ENDPOINT has to name one, and no "
            "proxy may answer in its place."
        )

    with _client() as client:
        return _retried(url, ask, lambda: 0)


def _remote_file(
    card: ModelCard, revision: str, entries: Mapping[str, Any], file: ModelFile
) -> RemoteFile:
    entry = entries.get(file.name)
    if entry is None:
        raise DownloadError(
            f"{card.source} has no {file.name} at revision {revision[:8]}: what it holds was "
            "changed since this version of Songmill was made, so a newer one is needed."
        )
    lfs = entry.get("lfs") or {}
    digests = tuple(digest for digest in (file.sha256, lfs.get("sha256")) if digest)
    sizes = [size for size in (file.size_bytes, lfs.get("size"), entry.get("size")) if size]
    # Known before gigabytes arrive that would be refused.
    if len(set(sizes)) > 1 or not all(digests[-1].startswith(digest) for digest in digests):
        raise DownloadError(
            f"{file.name} of {card.source} has another size or SHA-256 at revision "
            f"{revision[:8]} than was published: {endpoint()} does not serve the real one."
        )
    return RemoteFile(
        file.name,
        f"{endpoint()}/{card.source}/resolve/{revision}/{quote(file.name)}",
        card.source,
        sizes[0] if sizes else None,
        digests,
        # Of a large file, git holds only a pointer.
        None if lfs else entry.get("blobId"),
    )


def _continue(client: "httpx.Client", file: RemoteFile, partial: Path, advance: Advance) -> None:
    """One request for what `partial` lacks of a file."""
    have = _size(partial)
    if have and have == file.size_bytes:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    if file.url.startswith(f"{endpoint()}/"):
        headers |= _credentials()
    with client.stream("GET", file.url, headers=headers) as response:
        if response.status_code == 416:
            # Nothing comes after what is there: it is whole, or more than the whole.
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return
            partial.unlink()
            advance(-have)
            raise _TryAgainError("the file changed while it was fetched")
        _check(response, file.repository, file.name)
        start = response.headers.get("Content-Range", "bytes 0-").partition("-")[0]
        goes_on = response.status_code == 206 and start == f"bytes {have}"
        if have and not goes_on:
            advance(-have)
        with open(partial, "ab" if goes_on else "wb") as sink:
            # Without a size of its own, each is written as it arrives: a break loses nothing.
            for chunk in response.iter_raw():
                sink.write(chunk)
                advance(len(chunk))
    if file.size_bytes is not None and _size(partial) < file.size_bytes:
        raise _TryAgainError("the connection was closed early")


class _TryAgainError(Exception):
    """What may go better at another time."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def _retried(url: str, request: Callable[[], Result], progress: Callable[[], int]) -> Result:
    """Result of a request, which is repeated while the network or the server fails.

    Parameters
    ----------
    url
        What is asked for.
    request
        The request.
    progress
        How far it has come: whenever that grew, the count of tries begins anew.

    Raises
    ------
    UnreachableError
        When the tries are used up.
    """
    import httpx

    failures = 0
    while True:
        before, wait_seconds = progress(), 0.0
        try:
            return request()
        except _TryAgainError as error:
            reason, wait_seconds = str(error), error.wait_seconds
        except (httpx.RequestError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
        failures = 1 if progress() > before else failures + 1
        if failures == TRIES:
            break
        backoff = WAIT_SECONDS * 2 ** (failures - 1)
        time.sleep(min(max(backoff, wait_seconds), LONGEST_WAIT_SECONDS))
    name = urlsplit(url).hostname or url
    raise UnreachableError(
        f"{name} cannot be reached ({reason}): behind a proxy set HTTPS_PROXY, for a mirror of "
        "the hub HF_ENDPOINT, or pull on another machine and copy the model's folder from there; "
        "what was fetched is kept, and the same command goes on from it.",
        name,
    )


def _check(response: "httpx.Response", repository: str, what: str) -> None:
    """Make sure that a request was answered with what it asked for."""
    status, code = response.status_code, response.headers.get("X-Error-Code")
    if response.is_success:
        return
    if status in _TRANSIENT:
        try:
            wait = float(response.headers.get("Retry-After", 0))
        except ValueError:
            wait = 0.0
        raise _TryAgainError(f"status {status}", wait)
    if code == "GatedRepo":
        raise DownloadError(
            f"{repository} is given only to those who accepted its terms: do so on "
            f"{endpoint()}/{repository}, and set HF_TOKEN to a token of that account."
        )
    if code == "RepoNotFound":
        raise DownloadError(
            f"{endpoint()} has no repository {repository}, or keeps it private: if it does, "
            "set HF_TOKEN to a token of an account that may read it."
        )
    if status in (401, 403):
        raise DownloadError(
            f"{repository} refuses {what} (status {status}): set HF_TOKEN to a token that is "
            "valid and may read it."
        )
    raise DownloadError(
        f"{repository} has no {what} (status {status}): it was removed or renamed there, so a "
        "newer version of Songmill, or a copy from another machine, is needed."
    )


def _client() -> "httpx.Client":
    import httpx

    # On a redirect to another host, the store of large files, httpx leaves the token out.
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        headers={"User-Agent": "songmill"},
    )


def _credentials() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _git_sha1(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
