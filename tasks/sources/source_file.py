"""A file of a corpus as the steps know it, and what they may reach for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from tasks.download import ANYTHING, Expected
from tasks.sources.catalogue import WHOLE, Content, File, Source
from tasks.step import Tools, digest
from tasks.track import Track, TrackError
from tasks.web import DownloadError, RefusedError, UnreachableError
from tasks.weights.hub import GitBlob, endpoint

HUB = "https://huggingface.co"

LOCKS = ".locks"
"""Folder of the files that are locked while a file of a corpus is written."""


@dataclass(frozen=True, slots=True)
class SourceFile(Track):
    """A file of a corpus; its path is where it is fetched to, below the folder of all corpora.

    Attributes
    ----------
    corpus, page
        Name of the corpus, and where people get the file by hand.
    url, expected, content
        As in the table of corpora.
    size_bytes
        Its size, or about that; None where neither is known.
    state
        Random name of what the disk held when the run began: a file that was deleted since it
        was fetched has another one, under which no row says that it is there.
    """

    corpus: str = ""
    page: str = ""
    url: str = ""
    expected: Expected = ANYTHING
    content: Content = WHOLE
    size_bytes: int | None = None
    state: str = ""

    @property
    def name(self) -> str:
        """Its path in the folder of the corpus."""
        return self.path.partition("/")[2]


@dataclass(frozen=True)
class SourceTools(Tools):
    """What the steps may reach for: `source` holds the corpora, `outputs` the receipts.

    Attributes
    ----------
    mirror
        Address that stands for all hosts.
    """

    mirror: str | None = None

    def place(self, file: SourceFile) -> Path:
        """Return where a file is fetched to."""
        return Path(self.source.address, file.path)

    @contextmanager
    def alone(self, file: SourceFile) -> Iterator[None]:
        """Make sure that no other run of this machine writes the same file inside the block.

        Raises
        ------
        TrackError
            If one does.
        """
        locks = Path(self.source.address, LOCKS)
        locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(locks / file.track_id, blocking=False):
                yield
        except Timeout as error:
            raise TrackError(
                "in-use", f"Another run is at {file.path}: wait for its end, then run this again."
            ) from error

    def folder(self, file: SourceFile) -> Path:
        """Return the folder of a file's corpus."""
        return Path(self.source.address, file.corpus)


def source_file(source: Source, file: File) -> SourceFile:
    """Return a file of a corpus as the steps know it, in no state yet."""
    known = [source.name, file.name, file.url, checksum(file.expected), repr(file.content)]
    return SourceFile(
        digest("\n".join(map(str, known)).encode()),
        f"{source.name}/{file.name}",
        corpus=source.name,
        page=source.page,
        url=file.url,
        expected=file.expected,
        content=file.content,
        size_bytes=file.size_bytes,
    )


def checksum(expected: Expected) -> str | None:
    """Return what a file is verified by, as ``sha1:f0df...``; None if nothing is published."""
    if isinstance(expected, GitBlob):
        return f"git:{expected.git_sha1}"
    if expected.sha256:
        return f"sha256:{expected.sha256[-1]}"
    for name, value in (("sha1", expected.sha1), ("md5", expected.md5)):
        if value:
            return f"{name}:{value}"
    return None


def address(url: str, mirror: str | None) -> str:
    """Return where a file is asked for: at its host, or under the same path of a mirror.

    Files of the Hugging Face hub are asked for at ``HF_ENDPOINT``, where that is set.
    """
    if mirror:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{mirror.rstrip('/')}{parts.path}{query}"
    return url.replace(HUB, endpoint(), 1) if url.startswith(f"{HUB}/") else url


def reason(error: DownloadError) -> str:
    """Return the reason of a file that could not be had."""
    if isinstance(error, UnreachableError):
        return "unreachable"
    return "refused" if isinstance(error, RefusedError) else "not-the-published-file"
