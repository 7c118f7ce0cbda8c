"""What a worker lacks for a run, found out before any work is sent to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from blocks.storage import Storage, StorageError
from tasks.weights import Weights, WeightsError

ROOT = Path(__file__).parents[2]
PACKAGES = ("blocks", "flows", "models", "tasks")


@dataclass(frozen=True)
class Preflight:
    """A question that is sent to each worker and answered there.

    Attributes
    ----------
    code
        Digest of the code that asks; see :func:`code_digest`.
    readable, writable
        Places that the run reads from, and writes to.
    weights, models
        Where weights lie, and the models of the run that are fetched.
    """

    code: str
    readable: Sequence[Storage]
    writable: Sequence[Storage]
    weights: Weights
    models: Sequence[str]

    def __call__(self) -> list[str]:
        """Return what this process lacks, a phrase each; nothing if it can do the work."""
        lacks = []
        if code_digest() != self.code:
            lacks.append("another version of the project's code")
        for place in self.readable:
            if not _is_readable(place):
                lacks.append(f"no access to {place.address}")
        for place in self.writable:
            try:
                place.check_writable()
            except (StorageError, OSError):
                lacks.append(f"no right to write to {place.address}")
        try:
            self.weights.check(self.models)
        except (WeightsError, StorageError) as error:
            lacks.append(f"models in {self.weights.address}: {error}")
        return lacks


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
