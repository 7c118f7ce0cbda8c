"""One file over HTTP to this disk: it goes on where it stopped, and arrives right or not at all.

What has arrived lies beside the target in ``NAME.partial``, whatever happens, and
the next try asks for the rest. A note beside it says which state of the remote file
it is part of, so that halves of two states are never joined.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn
from urllib.parse import unquote, urlsplit

from blocks.storage_error import StorageError
from tasks.web import DownloadError, TryAgainError, check_answer, connect, retried

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]
"""Called with the bytes of a file that are there, and with its size where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a file before it is fetched.

    Attributes
    ----------
    size_bytes
        Its size; None where it is not published.
    sha256
        SHA-256 in hexadecimal, whole or its first digits; all that are given have to match.
    sha1, md5
        SHA-1 and MD5 in hexadecimal; None where they are not published.
    """

    size_bytes: int | None = None
    sha256: tuple[str, ...] = ()
    sha1: str | None = None
    md5: str | None = None

    @property
    def is_verifiable(self) -> bool:
        """Whether a digest is known."""
        return bool(self.sha256 or self.sha1 or self.md5)

    def wrong(self, path: Path) -> str | None:
        """Return what is wrong with the content of `path`, a phrase; None if nothing is."""
        if phrase := self.wrong_size(path.stat().st_size):
            return phrase
        for title, digests in (
            ("SHA-256", self.sha256),
            ("SHA-1", (self.sha1,) if self.sha1 else ()),
            ("MD5", (self.md5,) if self.md5 else ()),
        ):
            found = file_digest(path, title.replace("-", "").lower()) if digests else ""
            for digest in digests:
                if not found.startswith(digest.lower()):
                    return f"has {title} {found[: len(digest)]} instead of {digest}"
        return None

    def wrong_size(self, size_bytes: int) -> str | None:
        """Return what is wrong with a size, a phrase; None if nothing is."""
        if self.size_bytes is None or size_bytes == self.size_bytes:
            return None
        return f"has {size_bytes:,} bytes instead of {self.size_bytes:,}"


ANYTHING = Expected()
"""A file of which nothing is known."""


def download(
    url: str,
    path: Path,
    *,
    name: str = "",
    expected: Expected = ANYTHING,
    headers: Mapping[str, str] | None = None,
    progress: Progress = lambda done_bytes, size_bytes: None,
) -> int:
    """Fetch a file to `path`, of which an earlier try may have left a part beside it.

    Without a digest, and without an entity tag or a time of change from the server,
    nothing tells whether a part belongs to the file of now: then it is fetched anew.
    One process at a time may fetch to a path.

    Parameters
    ----------
    url
        Where it is.
    path
        Where to; a file that is there is replaced when the new one is whole and right.
    name
        What it is called in messages (default: the last part of its address).
    expected
        What it has to be.
    headers
        Headers of the request; of these, Authorization is kept from hosts it redirects to.
    progress
        Told how far it has come.

    Returns
    -------
    int
        Bytes that came over the network.

    Raises
    ------
    UnreachableError
        If the host does not answer, again and again; what arrived is kept.
    RefusedError
        If the host does not give the file away.
    DownloadError
        If it is not the file that was expected; what arrived of it is removed.
    StorageError
        If there is no space for it.
    OSError
        If it cannot be written.
    """
    name = name or unquote(urlsplit(url).path).rpartition("/")[2] or url
    path.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(url, name, _Part(path, url), expected, headers or {}, progress)
    wrong = transfer.run()
    if wrong and transfer.is_joined:
        # One of the parts may be at fault: a crash of the machine, a mirror.
        wrong = transfer.run()
    if wrong:
        raise _not_published(name, wrong, "was removed")
    return transfer.fetched_bytes


def published_size(url: str) -> int | None:
    """Ask once how large a file is; None if the server does not say, or not at once."""
    import httpx

    try:
        with connect() as client:
            response = client.head(url, headers={"Accept-Encoding": "identity"})
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return _extent(response)[1]


def partial_path(path: Path) -> Path:
    """Return where that part of a file lies that has arrived."""
    return path.with_name(f"{path.name}.partial")


def arrived_bytes(path: Path) -> int:
    """Return how much of a file is there."""
    for each in (path, partial_path(path)):
        if each.is_file():
            return each.stat().st_size
    return 0


def check_space(folder: Path, needed_bytes: int, remedy: str) -> None:
    """Make sure that a disk has room.

    Raises
    ------
    StorageError
        If it has not; `remedy` ends the sentence.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise StorageError(
            f"{needed_bytes / 1e9:.1f} GB more are needed in {folder}, where "
            f"{free_bytes / 1e9:.1f} GB are free: {remedy}."
        )


class _Part:
    """The part of a file that has arrived, and the note of what it is part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.path = partial_path(target)
        self._target = target
        self._note = self.path.with_name(f"{self.path.name}.note")
        # Only its digest is stored, since addresses may be signed.
        self._source = hashlib.sha256(url.encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> tuple[str, str] | None:
        """Header and value that the server gave its state of the file; None if it gave none."""
        try:
            note = json.loads(self._note.read_bytes())
            if note["source"] == self._source:
                return str(note["header"]), str(note["value"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    @contextmanager
    def written(self, validator: tuple[str, str] | None, *, append: bool) -> Iterator[BinaryIO]:
        """Open the part to go on with it, or to begin anew."""
        with open(self.path, "ab" if append else "wb") as sink:
            # Not before what was there is gone: it never lies beside the note of another state.
            if not append:
                self._note.unlink(missing_ok=True)
                if validator:
                    note = {"source": self._source, "header": validator[0], "value": validator[1]}
                    self._note.write_text(json.dumps(note))
            yield sink

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its name."""
        os.replace(self.path, self._target)
        self._note.unlink(missing_ok=True)


class _Transfer:
    """A file on its way: requests until nothing of it is missing."""

    def __init__(
        self,
        url: str,
        name: str,
        part: _Part,
        expected: Expected,
        headers: Mapping[str, str],
        progress: Progress,
    ) -> None:
        self.fetched_bytes = 0
        self.is_joined = False
        self._url = url
        self._name = name
        self._part = part
        self._expected = expected
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._progress = progress

    def run(self) -> str | None:
        """Fetch the file; returns what is wrong with it, after which it is gone."""
        with connect() as client:
            retried(self._url, lambda: self._go_on(client), lambda: self._part.size_bytes)
        wrong = self._expected.wrong(self._part.path)
        if wrong:
            self._drop()
        else:
            self._part.finish()
        return wrong

    def _go_on(self, client: "httpx.Client") -> None:
        """Send one request for what is missing."""
        have_bytes, validator = self._usable()
        self._progress(have_bytes, self._expected.size_bytes)
        if have_bytes and have_bytes == self._expected.size_bytes:
            self.is_joined = True
            return
        headers = dict(self._headers)
        if have_bytes:
            headers["Range"] = f"bytes={have_bytes}-"
            if validator:
                headers["If-Range"] = validator[1]
        with client.stream("GET", self._url, headers=headers) as response:
            start_bytes, total_bytes = _extent(response)
            if response.status_code == 416 and have_bytes:
                # Nothing comes after what is there: it is whole, or more than the whole.
                if total_bytes != have_bytes:
                    self._begin_anew("the file changed while it was fetched")
                self.is_joined = True
                return
            check_answer(response, self._name)
            if start_bytes not in (0, have_bytes):
                self._begin_anew("another part of the file came than was asked for")
            if start_bytes and _differs(response, validator):
                self._begin_anew("the file changed while it was fetched")
            total_bytes = self._checked_total(total_bytes, start_bytes)
            self._receive(response, start_bytes, total_bytes)
        if total_bytes is not None and self._part.size_bytes < total_bytes:
            raise TryAgainError("the connection was closed early")

    def _usable(self) -> tuple[int, tuple[str, str] | None]:
        """Size of the part that can be gone on with, and what tells its state of the file."""
        have_bytes, validator = self._part.size_bytes, self._part.validator
        is_known = validator is not None or self._expected.is_verifiable
        is_too_large = have_bytes > (self._expected.size_bytes or have_bytes)
        if have_bytes and (is_too_large or not is_known):
            self._drop()
            return 0, None
        return have_bytes, validator

    def _checked_total(self, total_bytes: int | None, start_bytes: int) -> int | None:
        """Size of the file, known to be the right one and to find room."""
        if total_bytes is None:
            total_bytes = self._expected.size_bytes
        # Known before gigabytes arrive that would be refused.
        elif wrong := self._expected.wrong_size(total_bytes):
            raise _not_published(self._name, wrong, "was not fetched")
        if total_bytes is not None:
            check_space(
                self._part.path.parent,
                total_bytes - start_bytes,
                f"make space for {self._name} and run the same command again",
            )
        return total_bytes

    def _receive(
        self, response: "httpx.Response", start_bytes: int, total_bytes: int | None
    ) -> None:
        self.is_joined = start_bytes > 0
        done_bytes = start_bytes
        with self._part.written(_validator(response), append=self.is_joined) as sink:
            # As it was sent, even where a server calls an archive an encoding of its content;
            # and written as it arrives, so that a break loses nothing.
            for chunk in response.iter_raw():
                done_bytes += len(chunk)
                self.fetched_bytes += len(chunk)
                if total_bytes is not None and done_bytes > total_bytes:
                    break
                sink.write(chunk)
                self._progress(done_bytes, total_bytes)
        if total_bytes is not None and done_bytes > total_bytes:
            self._drop()
            wrong = f"has more than {total_bytes:,} bytes"
            raise _not_published(self._name, wrong, "was removed")

    def _begin_anew(self, reason: str) -> NoReturn:
        self._drop()
        raise TryAgainError(reason)

    def _drop(self) -> None:
        self._part.remove()
        self._progress(0, self._expected.size_bytes)


def _not_published(name: str, wrong: str, outcome: str) -> DownloadError:
    return DownloadError(
        f"{name} {wrong}: it is not the published one and {outcome}; if the same happens again, "
        "a proxy or mirror on the way changes it."
    )


def _extent(response: "httpx.Response") -> tuple[int, int | None]:
    """Return where an answer's body begins in the file, -1 if it does not, and the file's size."""
    content_range = response.headers.get("Content-Range", "")
    if found := re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range):
        start, total = found.groups()
        return int(start or 0), int(total) if total != "*" else None
    if response.status_code != 200:
        return -1, None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(response: "httpx.Response") -> tuple[str, str] | None:
    """Header and value that tell one state of a file from another, byte by byte."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return "ETag", etag
    modified = response.headers.get("Last-Modified", "")
    return ("Last-Modified", modified) if modified else None


def _differs(response: "httpx.Response", validator: tuple[str, str] | None) -> bool:
    """Return whether an answer is of another state of the file, by a server without If-Range."""
    return validator is not None and response.headers.get(*validator) != validator[1]


def file_digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
