"""What tests ask of a reader."""

from collections import Counter
from pathlib import Path

from tasks.corpora.captioned.entry import Dropped, Entry
from tasks.corpora.captioned.known import CORPORA


def read(name: str, folder: Path) -> tuple[list[Entry], list[Dropped]]:
    """Entries of a corpus, and what else it yields."""
    rows = list(CORPORA[name].read(folder))
    entries = [row for row in rows if isinstance(row, Entry)]
    return entries, [row for row in rows if isinstance(row, Dropped)]


def reasons(dropped: list[Dropped]) -> Counter[str]:
    """How often there is which reason."""
    return Counter(each.reason for each in dropped)
