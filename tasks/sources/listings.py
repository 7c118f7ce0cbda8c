"""Which files a corpus has, asked where it is published."""

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from blocks.storage import Storage
from tasks.download import Expected
from tasks.sources.catalogue import File, Listing, ListingKind
from tasks.sources.source_file import HUB, address, reason
from tasks.step import digest
from tasks.track import TrackError
from tasks.web import DownloadError, check_answer, connect, retried
from tasks.weights.hub import GitBlob

KEPT = "listings"
"""Folder of the lists as they were last seen: where a host is down, what is there is known."""


def files_of(listing: Listing, mirror: str | None, place: Storage) -> list[File]:
    """Return the files of a list that are wanted.

    Parameters
    ----------
    listing
        Where the list is.
    mirror
        Address that stands for all hosts.
    place
        Where it is kept for the next time.

    Raises
    ------
    TrackError
        If the list cannot be had, was never seen before, or is none.
    """
    kept = f"{KEPT}/{digest(listing.url.encode())}"
    if listing.expected.is_verifiable and place.exists(kept):
        return _wanted(place.read_bytes(kept), listing)
    try:
        data = _asked(address(listing.url, mirror), listing.url)
        found = _wanted(data, listing)
    except TrackError:
        if place.exists(kept):
            return _wanted(place.read_bytes(kept), listing)
        raise
    place.write_bytes(kept, data)
    return found


def _wanted(data: bytes, listing: Listing) -> list[File]:
    for expected in listing.expected.sha256:
        if sha256(data).hexdigest() != expected:
            raise TrackError(
                "not-the-published-file",
                f"{listing.url} is not the list of files that was published: a proxy or mirror "
                "on the way changes it.",
            )
    try:
        found = list(_PARSED[listing.kind](data, listing))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrackError(
            "not-a-listing",
            f"{listing.url} does not answer with a list of files: look at it in a browser.",
        ) from error
    wanted = [
        each
        for each in found
        if not listing.match or any(fnmatchcase(each.name, one) for one in listing.match)
    ]
    if not wanted:
        raise TrackError(
            "not-a-listing", f"{listing.url} lists none of the files that the corpus had."
        )
    return wanted


def _asked(url: str, name: str) -> bytes:
    def ask() -> bytes:
        response = client.get(url)
        check_answer(response, name)
        return response.content

    try:
        with connect() as client:
            return retried(url, ask)
    except DownloadError as error:
        raise TrackError(reason(error), str(error)) from error


def _hub(data: bytes, listing: Listing) -> Iterator[File]:
    record: Mapping[str, Any] = json.loads(data)
    for entry in record["siblings"]:
        name, lfs = entry["rfilename"], entry.get("lfs") or {}
        if lfs:
            expected = Expected(size_bytes=lfs["size"], sha256=(lfs["sha256"],))
        elif blob := entry.get("blobId"):
            expected = GitBlob(size_bytes=entry.get("size"), git_sha1=blob)
        else:
            expected = Expected(size_bytes=entry.get("size"))
        url = f"{HUB}/datasets/{record['id']}/resolve/main/{quote(name)}"
        yield _file(listing, name, url, expected)


def _zenodo(data: bytes, listing: Listing) -> Iterator[File]:
    record: Mapping[str, Any] = json.loads(data)
    for entry in record["files"]:
        name = entry["key"]
        kind, _, value = entry["checksum"].partition(":")
        expected = Expected(size_bytes=entry["size"], md5=value if kind == "md5" else None)
        host = listing.url.partition("/api/")[0]
        yield _file(listing, name, f"{host}/records/{record['id']}/files/{quote(name)}", expected)


def _sha256(data: bytes, listing: Listing) -> Iterator[File]:
    for line in data.decode().splitlines():
        value, name = line.split()
        bytes.fromhex(value)
        yield _file(listing, name, f"{listing.base}{quote(name)}", Expected(sha256=(value,)))


def _file(listing: Listing, name: str, url: str, expected: Expected) -> File:
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name} lies outside of the corpus")
    return File(
        url=url,
        name=name,
        expected=expected,
        about_bytes=listing.about_bytes,
        content=listing.content,
        variant=listing.variant,
    )


_PARSED: Mapping[ListingKind, Callable[[bytes, Listing], Iterator[File]]] = {
    "hub": _hub,
    "zenodo": _zenodo,
    "sha256": _sha256,
}
