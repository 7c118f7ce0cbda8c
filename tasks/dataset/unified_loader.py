"""A unified dataset for training code: rows by number, under the names that it expects."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tasks.dataset.split import Split
from tasks.dataset.unified import COLUMNS
from tasks.dataset.unified_choice import assign_splits, sample, within
from tasks.dataset.unified_reader import Row, UnifiedError, read
from tasks.text import counted

if TYPE_CHECKING:
    from datasets import Dataset

MAPPED = ("location", "main_caption", "alt_caption")
"""What ``audio_path``, ``caption`` and the first of ``alt_captions`` are called as well."""


class UnifiedDatasetSubset:
    """Some rows of a unified dataset, or of a subset of it.

    Parameters
    ----------
    loader
        What they are of.
    indices
        Numbers of the rows there.

    Raises
    ------
    IndexError
        If there is no such row.
    """

    def __init__(
        self, loader: "UnifiedDatasetLoader | UnifiedDatasetSubset", indices: Sequence[int]
    ) -> None:
        places = range(len(loader))
        self._loader = loader
        self._indices = [places[at] for at in indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, at: int) -> Row:
        return self._loader[self._indices[at]]

    def __iter__(self) -> Iterator[Row]:
        return (self[at] for at in range(len(self)))

    def split(self, name: Split) -> "UnifiedDatasetSubset":
        """Return the rows of a split: ``train``, ``validation`` or ``test``."""
        return UnifiedDatasetSubset(
            self, [at for at, row in enumerate(self) if row["split"] == name]
        )

    def to_datasets(self) -> "Dataset":
        """Return the rows as a ``datasets.Dataset``.

        Raises
        ------
        UnifiedError
            If the package datasets is not installed.
        """
        try:
            from datasets import Dataset
            from datasets.table import InMemoryTable
        except ImportError as error:
            raise UnifiedError(
                "The package datasets is not installed: `uv pip install datasets` installs it."
            ) from error
        schema = pa.schema([*COLUMNS, *(pa.field(name, pa.string()) for name in MAPPED)])
        # Descriptions of columns would be taken for features of the library's own.
        table = pa.Table.from_pylist(list(self), schema=schema.remove_metadata())
        return Dataset(InMemoryTable(table))


class UnifiedDatasetLoader(UnifiedDatasetSubset):
    """A unified dataset, JSON or Parquet.

    A row is a dict of the unified columns, and of ``location`` (its ``audio_path``),
    ``main_caption`` (its ``caption``) and ``alt_caption`` (the first of its ``alt_captions``;
    empty if there is none). Rows without a split get one by group, 80/10/10, as
    ``prepare_embeddings.py`` gives it to rows whose audio files all differ.

    Parameters
    ----------
    dataset_file
        What ``unify_datasets.py`` wrote.
    sample_size
        Rows to draw, as many of each split as it has of the whole; None for all.
    min_duration, max_duration
        In seconds: shorter and longer rows are left out.
    seed
        Of the draw and of splits.

    Attributes
    ----------
    failures
        Rows of the file that cannot be used, and why.

    Raises
    ------
    UnifiedError
        If the file is none, or no row is left.
    """

    def __init__(
        self,
        dataset_file: str | os.PathLike[str],
        sample_size: int | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        seed: int = 42,
    ) -> None:
        found = read(Path(dataset_file))
        rows = sample(within(found.rows, min_duration, max_duration), sample_size, seed)
        if not rows:
            raise UnifiedError(
                f"None of the {counted(len(found.rows), 'row')} of {dataset_file} is of the length "
                "that is asked for."
            )
        splits = assign_splits(rows, {row["id"]: row["audio_path"] for row in rows}, seed)
        self._rows = [
            _mapped(row) | {"split": name, "group": group}
            for row, name, group in zip(rows, splits.splits, splits.groups, strict=True)
        ]
        self.failures = found.failures

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: int) -> Row:
        return dict(self._rows[at])


def _mapped(row: Row) -> dict[str, Any]:
    alternatives = row["alt_captions"]
    names = (row["audio_path"], row["caption"], alternatives[0] if alternatives else "")
    return row | dict(zip(MAPPED, names, strict=True))
