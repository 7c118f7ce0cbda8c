"""Corpora whose entries are given: what unification does of them is known."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.corpora.captioned.entry import Corpus, Dropped, Entry, Tag
from tasks.unify.staged import Removals, stage

ROCK = (Tag("genre", "Rock"), Tag("mood", "calm"), Tag("instrument", "guitar"))


def entry(native_id: str, **values: Any) -> Entry:
    return Entry(native_id, **{"audio": f"{native_id}.wav", "tags": ROCK, **values})


def corpus(name: str, found: Sequence[Entry | Dropped]) -> Corpus:
    def read(folder: Path) -> Iterator[Entry | Dropped]:
        return iter(found)

    return Corpus(name, name.title(), read, "CC0-1.0", "https://example.org")


def staged(**corpora: Sequence[Entry | Dropped]) -> pa.Table:
    return pa.concat_tables(
        stage(corpus(name, found), Path("/corpora", name), Removals())
        for name, found in corpora.items()
    )
