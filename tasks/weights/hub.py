"""Files of models in repositories of the Hugging Face hub.

``huggingface_hub`` itself begins a file anew after a process that was killed, which
for gigabytes is not good enough; its addresses, tokens and environment variables
(``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``) are those used here.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from models.registry import HubSource, ModelFile
from tasks.download import Expected, Progress, download
from tasks.web import (
    DownloadError,
    RefusedError,
    UnreachableError,
    check_answer,
    connect,
    retried,
)

REMEDY = (
    "behind a proxy set HTTPS_PROXY, for a mirror of the hub HF_ENDPOINT, or pull on another "
    "machine and copy the model's folder from there"
)

_CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class GitBlob(Expected):
    """A file that git keeps, and names by its content.

    Attributes
    ----------
    git_sha1
        Its name.
    """

    git_sha1: str

    @property
    def is_verifiable(self) -> bool:
        """Always: git's name is a digest."""
        return True

    def wrong(self, path: Path) -> str | None:
        """Return what is wrong with the content of `path`, a phrase; None if nothing is."""
        if phrase := Expected.wrong(self, path):
            return phrase
        with open(path, "rb") as file:
            name = git_sha1(path.stat().st_size, iter(partial(file.read, _CHUNK_BYTES), b""))
        return None if name == self.git_sha1 else f"has git hash {name} instead of {self.git_sha1}"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model on the hub, or below an address.

    Attributes
    ----------
    name
        Path within the model's folder.
    url
        Where it is.
    repository
        What it belongs to, for messages.
    expected
        What it has to be.
    """

    name: str
    url: str
    repository: str
    expected: Expected

    def fetch(self, path: Path, progress: Progress) -> int:
        """Fetch it, or the rest of it; returns the bytes that came over the network.

        Raises
        ------
        DownloadError
            If the source cannot be reached, does not give the file away, or has another one.
        StorageError
            If there is no space for it.
        OSError
            If `path` cannot be written.
        """
        with _explained(self.repository, self.name):
            return download(
                self.url,
                path,
                name=f"{self.name} of {self.repository}",
                expected=self.expected,
                headers=_credentials() if self.url.startswith(f"{endpoint()}/") else None,
                progress=progress,
            )


def endpoint() -> str:
    """Return the address of the hub: ``HF_ENDPOINT``, or Hugging Face's own."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def git_sha1(size_bytes: int, pieces: Iterable[bytes]) -> str:
    """Return git's name of a content: a digest of its size, then of itself, in hexadecimal."""
    digest = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def published(source: HubSource, files: Sequence[ModelFile]) -> tuple[str, tuple[RemoteFile, ...]]:
    """Ask the hub for a repository's files; returns the commit that they are of as well.

    Raises
    ------
    DownloadError
        If the hub cannot be reached, or has no such repository, revision or file.
    """
    answer = _repository(source)
    commit = str(answer["sha"])
    entries = {entry["rfilename"]: entry for entry in answer.get("siblings", [])}
    remote = tuple(_remote_file(source.repository, commit, entries, file) for file in files)
    return commit, remote


def _repository(source: HubSource) -> Mapping[str, Any]:
    """Ask the hub for its record of a repository at a revision."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DownloadError(
            "HF_HUB_OFFLINE is set, so nothing is fetched from the hub: unset it, or copy the "
            "model's folder from a machine that has it."
        )
    revision = quote(source.revision, safe="")
    url = f"{endpoint()}/api/models/{source.repository}/revision/{revision}?blobs=true"

    def ask() -> Mapping[str, Any]:
        response = client.get(url, headers=_credentials())
        check_answer(response, source.repository)
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

    with connect() as client, _explained(source.repository, f"revision {source.revision}"):
        return retried(url, ask)


def _remote_file(
    repository: str, revision: str, entries: Mapping[str, Any], file: ModelFile
) -> RemoteFile:
    entry = entries.get(file.name)
    if entry is None:
        raise DownloadError(
            f"{repository} has no {file.name} at revision {revision[:8]}: what it holds was "
            "changed since this version of Songmill was made, so a newer one is needed."
        )
    lfs = entry.get("lfs") or {}
    digests = tuple(digest for digest in (file.sha256, lfs.get("sha256")) if digest)
    sizes = [size for size in (file.size_bytes, lfs.get("size"), entry.get("size")) if size]
    # Known before gigabytes arrive that would be refused.
    if len(set(sizes)) > 1 or not all(digests[-1].startswith(digest) for digest in digests):
        raise DownloadError(
            f"{file.name} of {repository} has another size or SHA-256 at revision "
            f"{revision[:8]} than was published: {endpoint()} does not serve the real one."
        )
    size_bytes = sizes[0] if sizes else None
    # Of a large file, git holds only a pointer.
    if not lfs and (name := entry.get("blobId")):
        expected: Expected = GitBlob(size_bytes=size_bytes, sha256=digests, git_sha1=name)
    else:
        expected = Expected(size_bytes=size_bytes, sha256=digests)
    url = f"{endpoint()}/{repository}/resolve/{revision}/{quote(file.name)}"
    return RemoteFile(file.name, url, repository, expected)


@contextmanager
def _explained(repository: str, what: str) -> Iterator[None]:
    """Say what can be done about an answer inside the block that is none."""
    try:
        yield
    except UnreachableError as error:
        raise UnreachableError(error.host, error.reason, REMEDY) from error
    except RefusedError as error:
        raise DownloadError(_refusal(error, repository, what)) from error


def _refusal(error: RefusedError, repository: str, what: str) -> str:
    code = error.headers.get("x-error-code")
    if code == "GatedRepo":
        return (
            f"{repository} is given only to those who accepted its terms: do so on "
            f"{endpoint()}/{repository}, and set HF_TOKEN to a token of that account."
        )
    if code == "RepoNotFound":
        return (
            f"{endpoint()} has no repository {repository}, or keeps it private: if it does, "
            "set HF_TOKEN to a token of an account that may read it."
        )
    if error.status in (401, 403):
        return (
            f"{repository} refuses {what} (status {error.status}): set HF_TOKEN to a token that is "
            "valid and may read it."
        )
    return (
        f"{repository} has no {what} (status {error.status}): it was removed or renamed there, so "
        "a newer version of Songmill, or a copy from another machine, is needed."
    )


def _credentials() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
