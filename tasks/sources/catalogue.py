"""Public corpora and their files, as ``sources.toml`` has them: one table per corpus."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from tasks.download import Expected

Name = Literal[
    "song_describer", "fma", "jamendo_max_caps", "mtg_jamendo", "clotho", "musicbench", "musdb18"
]
"""Corpora that can be fetched, as options name them."""

NAMES: tuple[Name, ...] = get_args(Name)

ListingKind = Literal["hub", "zenodo", "sha256"]
"""A record of the Hugging Face hub or of Zenodo, or lines of SHA-256 and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an archive is unpacked to.

    Attributes
    ----------
    root
        Folder of the corpus that holds it: what comes before it in the names within the archive
        goes, and where it is missing it is put before. Empty: names stay as they are.
    only
        Patterns of the paths below `root` that are wanted; none: all are.
    unpacked_bytes
        About how much it is; None where that is the size of the archive.
    """

    root: str = ""
    only: tuple[str, ...] = ()
    unpacked_bytes: int | None = None

    def place(self, name: str) -> str | None:
        """Return where a member of the archive goes; None if it is not wanted."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if any(part.startswith((".", "__MACOSX")) for part in parts):
            return None
        if self.root in parts[:-1]:
            last = len(parts) - 2 - parts[-2::-1].index(self.root)
            parts = parts[last + 1 :]
        path = "/".join(parts)
        if self.only and not any(fnmatchcase(path, pattern) for pattern in self.only):
            return None
        return f"{self.root}/{path}" if self.root else path


WHOLE = Content()
"""All of an archive, as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a corpus.

    Attributes
    ----------
    url
        Where it is.
    name
        Its path in the corpus' folder.
    expected
        Its published size and digests.
    about_bytes
        About its size, where that is not published to the byte.
    content
        What it is unpacked to, if it is an archive.
    variant
        Pattern of the variants of the corpus that it belongs to.
    """

    url: str
    name: str
    expected: Expected
    about_bytes: int | None = None
    content: Content = WHOLE
    variant: str = "*"

    @property
    def size_bytes(self) -> int | None:
        """Its size, or about that; None where neither is known."""
        return self.expected.size_bytes or self.about_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Files of a corpus that are listed where they are published.

    Attributes
    ----------
    kind, url
        Where the list is, and how it is written.
    expected
        Digest of the list itself, where it never changes.
    match
        Patterns of the names that are wanted; none: all are.
    base
        Address before the names of the list, where it has no addresses.
    about_bytes, content, variant
        As of a :class:`File`, the same for all of them.
    """

    kind: ListingKind
    url: str
    expected: Expected
    match: tuple[str, ...] = ()
    base: str = ""
    about_bytes: int | None = None
    content: Content = WHOLE
    variant: str = "*"


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus and where it is.

    Attributes
    ----------
    name, title
        As options and as people call it.
    licence
        What its publisher allows, for people.
    is_open
        Whether that is use by anyone for anything.
    page
        Where people read of it, and get by hand what cannot be fetched.
    files, listings
        What it consists of, in all its variants.
    """

    name: Name
    title: str
    licence: str
    is_open: bool
    page: str
    files: tuple[File, ...] = ()
    listings: tuple[Listing, ...] = ()

    def of(self, variant: str | None) -> tuple[list[File], list[Listing]]:
        """Return the files and listings of one of its variants."""
        return (
            [each for each in self.files if fnmatchcase(variant or "", each.variant)],
            [each for each in self.listings if fnmatchcase(variant or "", each.variant)],
        )


@cache
def sources() -> Mapping[Name, Source]:
    """Return all corpora that can be fetched, by name."""
    tables = tomllib.loads(Path(__file__).with_name("sources.toml").read_text("utf-8"))
    return {name: _source(name, tables[name]) for name in NAMES}


def _source(name: Name, table: dict[str, Any]) -> Source:
    return Source(
        name,
        table["title"],
        table["licence"],
        table["is_open"],
        table["page"],
        tuple(_file(each) for each in table.get("files", ())),
        tuple(_listing(each) for each in table.get("listings", ())),
    )


def _file(table: dict[str, Any]) -> File:
    rest = dict(table)
    content, expected = _content(rest), _expected(rest)
    name = rest.pop("name", None) or unquote(urlsplit(rest["url"]).path).rpartition("/")[2]
    return File(name=name, content=content, expected=expected, **rest)


def _listing(table: dict[str, Any]) -> Listing:
    rest = dict(table)
    content, expected = _content(rest), _expected(rest)
    match = tuple(rest.pop("match", ()))
    return Listing(match=match, content=content, expected=expected, **rest)


def _content(table: dict[str, Any]) -> Content:
    """Take out of a table what is of an archive's content."""
    return Content(
        root=table.pop("root", ""),
        only=tuple(table.pop("only", ())),
        unpacked_bytes=table.pop("unpacked_bytes", None),
    )


def _expected(table: dict[str, Any]) -> Expected:
    """Take out of a table what is known of a file."""
    sha256 = table.pop("sha256", None)
    return Expected(
        size_bytes=table.pop("size_bytes", None),
        sha256=(sha256,) if sha256 else (),
        sha1=table.pop("sha1", None),
        md5=table.pop("md5", None),
    )
