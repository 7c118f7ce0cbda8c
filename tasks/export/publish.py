"""Publishing the files of a folder or bucket as a dataset of the Hugging Face hub.

Only what differs is sent, in commits of bounded size: first the card, which has the
licence, last of all what no longer belongs there is removed. ``.songmill.json`` of the
repository records what was published; at no time is there a file of ours that it does
not list, so a later run, of another export too, knows what it may remove. It is hidden,
and so no data to those who load the dataset.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson

from blocks.storage import Storage
from tasks.export.hub import DatasetRepository, HubFile, PublishError, batches
from tasks.text import counted, printable
from tasks.weights.hub import git_sha1

CARD = "README.md"
RECORD = ".songmill.json"

FILES_PER_COMMIT = 256
"""What the hub answers for in one request; of commits it takes only so many in an hour."""

BYTES_PER_COMMIT = 2 * 10**9
"""Of files of a bucket, as many bytes lie on this machine at a time, or one larger file."""

_FORMAT_VERSION = 1
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)

Progress = Callable[[int, int], None]
"""Called with the bytes that were sent, and with those that are to be."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a push.

    Attributes
    ----------
    address
        Address of the dataset's page.
    private
        Whether only its owner sees it.
    sent
        Files that were sent.
    sent_bytes
        Their size.
    unchanged
        Files that were there already.
    removed
        Files of an earlier push that are no longer part of what is published.
    """

    address: str
    private: bool
    sent: int
    sent_bytes: int
    unchanged: int
    removed: int


def publish(
    place: Storage,
    files: Sequence[str],
    name: str,
    *,
    token: str,
    private: bool = True,
    progress: Progress = lambda done_bytes, total_bytes: None,
) -> Published:
    """Publish files as a dataset of the hub, creating it if it is not there.

    A run that was killed is continued by the next, which sends no file twice.

    Parameters
    ----------
    place
        Where the files lie.
    files
        Paths below `place`; those in the repository are the same.
    name
        ``owner/name`` on the hub; a name alone is the account's own.
    token
        Token of an account that may write it: see :func:`tasks.export.hub.hub_token`.
    private
        Whether only its owner is to see it. What is public already is never written then, and
        what is private is made public last.
    progress
        Told after each commit.

    Raises
    ------
    PublishError
        If the card states no licence, the repository holds what others put there, or the hub
        refuses or does not answer.
    """
    check_card(place, files)
    repository = DatasetRepository(name, token)
    was_private = repository.is_private()
    if was_private is None:
        repository.create(private=private)
    elif private and not was_private:
        raise PublishError(
            f"{repository.address} is public, and --public was not given: give it, or choose "
            "another name."
        )
    plan = _plan(repository, place, files)
    _send(repository, place, plan, progress)
    if plan.changed:
        _check_arrived(repository, plan)
    if not private and was_private:
        repository.make_public()
    return Published(
        address=repository.address,
        private=private,
        sent=len(plan.changed),
        sent_bytes=sum(plan.changed.values()),
        unchanged=len(files) - len(plan.changed),
        removed=len(plan.stale),
    )


def check_card(place: Storage, files: Sequence[str]) -> None:
    """Make sure that there is a card that states a licence.

    Raises
    ------
    PublishError
        If there is none.
    """
    import yaml

    stated = None
    if CARD in files:
        found = _FRONT_MATTER.match(place.read_bytes(CARD).decode("utf-8", "replace"))
        try:
            metadata = yaml.safe_load(found[1]) if found else None
        except yaml.YAMLError:
            metadata = None
        stated = metadata.get("license") if isinstance(metadata, dict) else None
    if not stated:
        raise PublishError(
            f"Nothing is published without a licence: {CARD} has to begin with YAML between "
            "lines of ---, with a line such as `license: cc-by-4.0` in it."
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a push has to do.

    Attributes
    ----------
    files
        All that is to be there in the end.
    changed
        Size in bytes of the files to be sent, the card first.
    listed
        What the record lists of earlier pushes.
    stale
        What of it is there and no longer to be.
    record
        The record that is there; None if there is none.
    """

    files: frozenset[str]
    changed: dict[str, int]
    listed: frozenset[str]
    stale: tuple[str, ...]
    record: bytes | None


def _plan(repository: DatasetRepository, place: Storage, files: Sequence[str]) -> _Plan:
    for path in files:
        if not path.isprintable() and printable(path) != path:
            raise PublishError(f"{printable(path)}: names of files on the hub have to be UTF-8.")
    there = repository.files()
    record = repository.read(RECORD) if RECORD in there else None
    listed = _listed(record)
    sizes = place.sizes()
    changed = {
        path: sizes[path]
        for path in sorted(files, key=lambda path: path != CARD)
        if _differs(place, path, sizes[path], there.get(path))
    }
    if others := sorted((changed.keys() & there.keys()) - listed):
        raise PublishError(
            f"{repository.address} holds {printable(others[0])}, which was not put there by a push "
            "like this one: choose another name, or remove the file there first."
        )
    stale = sorted((listed - {*files}) & there.keys())
    return _Plan(frozenset(files), changed, listed, tuple(stale), record)


def _send(repository: DatasetRepository, place: Storage, plan: _Plan, progress: Progress) -> None:
    """Send what changed, commit after commit; the last one removes what is stale."""
    on_hub = plan.record
    commits = batches(plan.changed, plan.changed.__getitem__, BYTES_PER_COMMIT, FILES_PER_COMMIT)
    done_bytes, total_bytes = 0, sum(plan.changed.values())
    for number, paths in enumerate(commits or [[]], 1):
        is_last = number >= len(commits)
        record = _record(plan.files if is_last else plan.files | plan.listed)
        with ExitStack() as spooled:
            additions: dict[str, Path | bytes] = {}
            if record != on_hub:
                additions[RECORD] = record
            for path in paths:
                additions[path] = spooled.enter_context(place.reading(path))
            # Where nothing is stale and the record stays, nothing changed either.
            if additions:
                title = f"Publish {counted(len(paths), 'file')}"
                repository.commit(additions, plan.stale if is_last else (), title)
        on_hub = record
        done_bytes += sum(plan.changed[path] for path in paths)
        progress(done_bytes, total_bytes)


def _check_arrived(repository: DatasetRepository, plan: _Plan) -> None:
    """Make sure that the hub has what it was sent: a .gitignore there leaves files out silently."""
    there = repository.files()
    missing = [
        path
        for path, size_bytes in plan.changed.items()
        if path not in there or there[path].size_bytes != size_bytes
    ]
    if missing:
        raise PublishError(
            f"{repository.address} has not taken {counted(len(missing), 'file')}, among them "
            f"{printable(missing[0])}: see whether a .gitignore there names it, or somebody else "
            "writes there too, and run the same command again."
        )


def _differs(place: Storage, path: str, size_bytes: int, there: HubFile | None) -> bool:
    """Return whether a file is not what the hub records; it is read only if the sizes agree."""
    if there is None or there.size_bytes != size_bytes:
        return True
    pieces = place.pieces(path)
    if there.sha256 is None:
        return git_sha1(size_bytes, pieces) != there.git_sha1
    return _sha256(pieces) != there.sha256


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _record(files: frozenset[str]) -> bytes:
    content = {"format_version": _FORMAT_VERSION, "files": sorted(files)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"


def _listed(record: bytes | None) -> frozenset[str]:
    """Return the files that a record lists; none if it is damaged, which removes nothing."""
    try:
        return frozenset(orjson.loads(record or b"")["files"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return frozenset()
