"""What a worker lacks for a run, found out before any work is sent to it."""

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

from blocks.needs import Reply
from blocks.storage import Storage, StorageError
from tasks.text import printable
from tasks.track import Track
from tasks.weights import Weights, WeightsError

ROOT = Path(__file__).parents[2]
PACKAGES = ("blocks", "flows", "models", "tasks")

SEEN_SECONDS = 3.0
"""How long what was written may take to be seen elsewhere: a network share keeps names for a
moment."""

SAMPLES = 4
SAMPLE_BYTES = 2**16

NOT_SHARED = (
    "on another storage there than here (what is written on one side is not seen on the other): "
    "give a place on shared storage, or s3://bucket/prefix"
)


@dataclass(frozen=True)
class Preflight:
    """A question that is sent to each worker and answered there.

    Places are tried in both directions: what this process writes is read there, and what
    a worker writes is read here. One path may be two folders, and an endpoint two stores.

    Attributes
    ----------
    code
        Digest of the code that asks; see :func:`code_digest`.
    readable, writable
        Places that the run reads from, and writes to.
    weights, models
        Where weights lie, and the models of the run that are fetched.
    samples
        Files of readable places; see :func:`samples`.
    nonce
        Part of the names of what is written for this check.
    """

    code: str
    readable: Sequence[Storage]
    writable: Sequence[Storage]
    weights: Weights
    models: Sequence[str]
    samples: Sequence["Sample"] = ()
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)

    @contextmanager
    def marking(self) -> Iterator[None]:
        """Leave something in the writable places, for workers to find within the block.

        Raises
        ------
        StorageError
            If a place cannot be written.
        """
        mark = self._mark("flow")
        try:
            for place in self.writable:
                place.write_bytes(mark, self.nonce.encode())
            yield
        finally:
            self._remove(mark)

    def __call__(self) -> Reply:
        """Return what this process lacks, a phrase each; nothing if it can do the work."""
        lacks = []
        if code_digest() != self.code:
            lacks.append("another version of the project's code")
        unreadable = [place for place in self.readable if not _is_readable(place)]
        lacks += [f"no access to {place.address}" for place in unreadable]
        for sample in self.samples:
            if sample.place not in unreadable and not sample.is_there():
                lacks.append(
                    f"{sample.place.address} holds other files there than here, such as "
                    f"{printable(sample.path)}: give a place on shared storage"
                )
                break
        mark = self._mark(_process_name())
        foreign = []
        for place in self.writable:
            try:
                place.check_writable()
                if self._reads(place, self._mark("flow")):
                    place.write_bytes(mark, self.nonce.encode())
                else:
                    foreign.append(place)
            except (StorageError, OSError):
                lacks.append(f"no right to write to {place.address}")
        lacks += _not_shared(foreign)
        try:
            self.weights.check(self.models)
        except (WeightsError, StorageError) as error:
            lacks.append(f"models in {self.weights.address}: {error}")
        return Reply(lacks, mark)

    def unseen(self, reply: Reply) -> list[str]:
        """Return what this process does not find of what a worker that lacks nothing wrote."""
        return _not_shared([each for each in self.writable if not self._reads(each, reply.mark)])

    def clean(self) -> None:
        """Remove what a worker wrote, wherever it came to lie."""
        self._remove(self._mark(_process_name()))

    def _mark(self, who: str) -> str:
        return f".songmill-{self.nonce}-{who}"

    def _reads(self, place: Storage, mark: str) -> bool:
        deadline = time.monotonic() + SEEN_SECONDS
        while True:
            try:
                return place.read_bytes(mark) == self.nonce.encode()
            except (FileNotFoundError, PermissionError):
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.2)

    def _remove(self, mark: str) -> None:
        for place in self.writable:
            with suppress(StorageError, OSError):
                place.delete(mark)


@dataclass(frozen=True)
class Sample:
    """A file as the flow sees it, to be compared with what a worker sees."""

    place: Storage
    path: str
    digest: str

    def is_there(self) -> bool:
        """Return whether this process reads the same."""
        try:
            return _beginning(self.place, self.path) == self.digest
        except (StorageError, OSError):
            return False


def samples(source: Storage, tracks: Sequence[Track]) -> list[Sample]:
    """Return some of the files that tracks are read from, spread evenly over them."""
    found = []
    for track in tracks[:: max(1, len(tracks) // SAMPLES)][:SAMPLES]:
        # Of a song of stems, its archive or the first of its files.
        paths = [track.path, *(stem.path for stem in getattr(track, "stems", ()))]
        for path in paths[:2]:
            with suppress(StorageError, OSError):
                found.append(Sample(source, path, _beginning(source, path)))
                break
    return found


def _not_shared(places: Sequence[Storage]) -> list[str]:
    """Return what is to be said of places that are others on the other side."""
    named = " and ".join(place.address for place in places)
    return [f"{named} {NOT_SHARED}"] if places else []


def _beginning(place: Storage, path: str) -> str:
    pieces = place.pieces(path)
    return sha256(next(pieces, b"")[:SAMPLE_BYTES]).hexdigest()


def _process_name() -> str:
    return f"{os.uname().nodename}-{os.getpid()}"


@cache
def code_digest() -> str:
    """Return the digest of the project's own code, which must be the same on every machine."""
    digest = sha256()
    for package in PACKAGES:
        for path in sorted([*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("*.toml")]):
            digest.update(f"{path.relative_to(ROOT)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_readable(place: Storage) -> bool:
    if place.is_local:
        return Path(place.address).is_dir()
    try:
        place.check_listable()
    except (StorageError, OSError):
        return False
    return True
