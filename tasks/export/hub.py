"""A dataset repository of the Hugging Face hub, to put files into.

Through ``huggingface_hub``, which sends large files by Xet where ``hf_xet`` is installed and
``HF_HUB_DISABLE_XET`` is not set, else by Git LFS; the hub has no say in it. Both keep
what arrived: content that is there is not sent again, whether it was committed or not.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.web import TRANSIENT, TryAgainError, UnreachableError, check_answer, host, retried
from tasks.weights.hub import endpoint

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

INLINE_BYTES = 32 * 2**20
"""Bytes of small texts per commit: ``huggingface_hub`` holds them in memory, three times over."""

GOES_ON = "run the same command again, which goes on from what is there"

Item = TypeVar("Item")
Result = TypeVar("Result")


class PublishError(Exception):
    """What cannot be published; the message is one sentence for people."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """What the hub records of a file.

    Attributes
    ----------
    size_bytes
        Its size.
    sha256
        SHA-256 in hexadecimal of a large file; None of one that git keeps.
    git_sha1
        Git's name of what git keeps: the file, or the pointer to a large one.
    """

    size_bytes: int
    sha256: str | None
    git_sha1: str


def hub_token() -> str:
    """Return the token of the environment (``HF_TOKEN``), or of a login on this machine.

    Raises
    ------
    PublishError
        If there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise PublishError(
            "Nothing is published without a token: make one that may write at "
            f"{endpoint()}/settings/tokens, and set HF_TOKEN to it, or run `hf auth login`."
        )
    return token


class DatasetRepository:
    """A dataset repository of the hub.

    Parameters
    ----------
    name
        ``owner/name``; a name alone is the account's own.
    token
        Token of an account that may write it.

    Raises
    ------
    PublishError
        If `name` cannot be one, or the hub does not know the token; so does every method whose
        request is refused or not answered.
    """

    def __init__(self, name: str, token: str) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        # What no header can hold would be quoted by the error of it.
        if not token.isascii() or not token.isprintable() or " " in token:
            raise PublishError(
                "The token holds characters that no token has: copy it anew from "
                f"{endpoint()}/settings/tokens."
            )
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise PublishError(
                f"{name!r} names no dataset of the hub: owner/name does, of letters, digits, '-', "
                "'_' and '.'."
            ) from error
        self.name = name
        self._api = HfApi(endpoint=endpoint(), token=token)
        account = self._repeated(self._api.whoami)
        if "/" not in name:
            self.name = f"{account['name']}/{name}"

    @property
    def address(self) -> str:
        """Address of its page."""
        return f"{endpoint()}/datasets/{self.name}"

    def is_private(self) -> bool | None:
        """Return whether it is private; None if there is none of this name."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def ask() -> bool | None:
            try:
                return bool(self._api.dataset_info(self.name).private)
            except RepositoryNotFoundError:
                return None

        return self._repeated(ask)

    def create(self, *, private: bool) -> None:
        """Create it; nothing happens if it is there."""
        self._repeated(
            lambda: self._api.create_repo(
                self.name, repo_type="dataset", private=private, exist_ok=True
            )
        )

    def make_public(self) -> None:
        """Show it to everyone."""
        self._repeated(
            lambda: self._api.update_repo_settings(
                self.name, repo_type="dataset", visibility="public"
            )
        )

    def files(self) -> dict[str, HubFile]:
        """Return what the hub records of every file, by path."""
        from huggingface_hub.hf_api import RepoFile

        with self._explained():
            return {
                entry.path: HubFile(entry.lfs.size, entry.lfs.sha256, entry.blob_id)
                if entry.lfs
                else HubFile(entry.size, None, entry.blob_id)
                for entry in self._api.list_repo_tree(
                    self.name, repo_type="dataset", recursive=True
                )
                if isinstance(entry, RepoFile)
            }

    def read(self, path: str) -> bytes:
        """Return the content of a file, which is held in memory."""
        with TemporaryDirectory(prefix="songmill-") as folder, self._explained(), _without_bars():
            local = self._api.hf_hub_download(
                self.name, path, repo_type="dataset", local_dir=folder
            )
            return Path(local).read_bytes()

    def commit(
        self,
        additions: Mapping[str, Path | bytes],
        deletions: Sequence[str],
        message: str,
    ) -> None:
        """Put files there and remove others, in one commit, or in several if many are texts.

        Parameters
        ----------
        additions
            Content by path, or the local file that has it.
        deletions
            Paths of files that are there; they go with the first of `additions`.
        message
            What the history says of it, in a line.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        added = [CommitOperationAdd(path, content) for path, content in additions.items()]
        with self._explained(), _without_bars():
            # Large files are sent here. What is left of them is their digest.
            self._api.preupload_lfs_files(self.name, added, repo_type="dataset", free_memory=True)
        first, *others = batches(added, _inline_bytes, INLINE_BYTES) or [[]]
        self._commit([*map(CommitOperationDelete, deletions), *first], message)
        for chunk in others:
            self._commit(chunk, message)

    def _commit(self, operations: Sequence[Any], message: str) -> None:
        from huggingface_hub.errors import EntryNotFoundError

        tries = itertools.count()

        def request() -> None:
            is_again = next(tries) > 0
            try:
                self._api.create_commit(
                    self.name, operations, repo_type="dataset", commit_message=message
                )
            except EntryNotFoundError:
                # What is to be removed is gone: the try before was carried out, as a whole, and
                # only its answer was lost.
                if not is_again:
                    raise

        with _without_bars():
            self._repeated(request)

    def _repeated(self, request: Callable[[], Result]) -> Result:
        """Return the result of a request that ``huggingface_hub`` itself does not repeat."""
        from huggingface_hub.errors import HfHubHTTPError, HTTPError

        def once() -> Result:
            try:
                return request()
            except HfHubHTTPError as error:
                response: Any = error.response
                if response.status_code in TRANSIENT:
                    check_answer(response, self.name)
                raise
            except HTTPError as error:
                raise TryAgainError(str(error) or type(error).__name__) from error

        with self._explained():
            return retried(endpoint(), once)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what can be done about a request inside the block that was not answered well."""
        from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

        try:
            yield
        except OfflineModeIsEnabled as error:
            raise PublishError(
                "HF_HUB_OFFLINE is set, so nothing is published: unset it and run the same "
                "command again."
            ) from error
        except UnreachableError as error:
            if found := re.fullmatch(r"status (\d+)", error.reason):
                raise PublishError(self._refusal(int(found[1]), "")) from error
            raise PublishError(self._unreachable(error.reason)) from error
        except (HTTPError, RuntimeError, ValueError, OSError) as error:
            # The error of a large file is the cause of another, which names the file alone.
            chain = (error, error.__cause__)
            for each in chain:
                if isinstance(each, HfHubHTTPError):
                    status, said = each.response.status_code, each.server_message or ""
                    raise PublishError(self._refusal(status, said)) from error
            reason = ": ".join(" ".join(str(each).split()) for each in chain if each)
            raise PublishError(self._unreachable(reason or type(error).__name__)) from error

    def _refusal(self, status: int, message: str) -> str:
        place = f"{host(endpoint())} refuses {self.name} (status {status})"
        if status == 401:
            return (
                f"{host(endpoint())} does not know the token: set HF_TOKEN to a valid one of "
                f"{endpoint()}/settings/tokens, or run `hf auth login`."
            )
        if status == 403:
            return (
                f"{place}: its token may not write there, so set HF_TOKEN to one that may write "
                f"what {self.name.partition('/')[0]} owns, or choose a name of your own."
            )
        if status == 404:
            return (
                f"{host(endpoint())} has no dataset {self.name} (status {status}): it was removed "
                "or renamed meanwhile, or the token may not see it."
            )
        if status == 429 or status >= 500:
            return f"{place}, though asked again and again: wait an hour, and {GOES_ON}."
        said = f": {' '.join(message.split())}" if message else ""
        return f"{place}{said}; when that is put right, {GOES_ON}."

    def _unreachable(self, reason: str) -> str:
        return (
            f"Sending to {host(endpoint())} failed ({reason}): check the network, behind a proxy "
            f"set HTTPS_PROXY, and {GOES_ON}."
        )


def batches(
    items: Iterable[Item],
    size: Callable[[Item], int],
    most_bytes: int,
    most_items: int | None = None,
) -> list[list[Item]]:
    """Share items out, in their order, so that none but a single item is larger than it may be."""
    shared: list[list[Item]] = []
    total = 0
    for item in items:
        total += size(item)
        if not shared or total > most_bytes or len(shared[-1]) == most_items:
            shared.append([])
            total = size(item)
        shared[-1].append(item)
    return shared


def _inline_bytes(addition: "CommitOperationAdd") -> int:
    """Return how large a file is that travels within the commit; what was sent before is empty."""
    content = addition.path_or_fileobj
    return 0 if content == b"" else addition.upload_info.size


@contextmanager
def _without_bars() -> Iterator[None]:
    """Show none of the library's progress bars inside the block: the run has its own."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    was_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not was_disabled:
            enable_progress_bars()
