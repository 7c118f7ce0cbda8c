"""A dataset of pairs as PyTorch reads it: by index, or as a stream.

::

    pairs = StemPairs("stems/guitar", "train", context="all_without")
    loader = DataLoader(pairs, batch_size=16, shuffle=True, num_workers=4, collate_fn=collate)
    # or, for many shards, neighbours together and shuffled as far as a buffer reaches:
    loader = DataLoader(pairs.stream(1000, seed=0, epoch=3), 16, num_workers=4, collate_fn=collate)
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from tasks.stems.dataset_files import files_of
from tasks.stems.schema import Context, encoding_of, to_numpy

CACHED_GROUPS = 16
"""Row groups that a process keeps decoded: 0.5 MB each with chunks of 4 x 512 codes."""


class Pair(NamedTuple):
    """One chunk of a pair.

    Attributes
    ----------
    context, target
        Codes as int64, shape ``(codebooks, frames)``; padded behind the last real frame.
    frames
        Real frames.
    metadata
        All other columns of the row.
    """

    context: torch.Tensor
    target: torch.Tensor
    frames: int
    metadata: dict[str, Any]


class Batch(NamedTuple):
    """Several chunks.

    Attributes
    ----------
    context, target
        Codes as int64, shape ``(items, codebooks, frames)``.
    mask
        Whether a frame is real, shape ``(items, frames)``.
    metadata
        Of each item.
    """

    context: torch.Tensor
    target: torch.Tensor
    mask: torch.Tensor
    metadata: list[dict[str, Any]]


class StemPairs(Dataset[Pair]):
    """Chunks of one split, by index.

    Parameters
    ----------
    folder
        The dataset's.
    split
        ``"train"``, ``"validation"`` or ``"test"``.
    context
        What a model is given: the mix with the target (``"all"``) or without it.

    Attributes
    ----------
    encoding
        How the codes were made; ``encoding.tokens`` are the special tokens.

    Raises
    ------
    FileNotFoundError
        If the folder holds no such split.
    ValueError
        If its files are others than a dataset's, or the context was not encoded.
    """

    def __init__(
        self, folder: str | os.PathLike[str], split: str, context: Context = "all_without"
    ) -> None:
        paths = files_of(Path(folder), split)
        if not paths:
            raise FileNotFoundError(f"{os.fspath(folder)} holds no shards of a split {split}.")
        self._files = _Files(paths)
        self.encoding = encoding_of(self._files.schema)
        if context not in self.encoding.contexts:
            there = ", ".join(self.encoding.contexts)
            raise ValueError(f"the dataset was made without the context {context}; it has {there}")
        self._codes = [f"codes_{context}", "codes_stem"]
        others = {name for name in ("all", "all_without") if name != context}
        self._columns = [
            name
            for name in self._files.schema.names
            if name not in {f"{what}_{other}" for what in ("codes", "scales") for other in others}
        ]

    def __len__(self) -> int:
        return self._files.rows

    def __getitem__(self, index: int) -> Pair:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        number, row = self._files.place(index % len(self))
        group = self._files.group(number, self._columns)
        [metadata] = group.slice(row, 1).drop_columns(self._codes).to_pylist()
        return self._pair([group[name].chunk(0)[row : row + 1] for name in self._codes], metadata)

    def stream(
        self, shuffle_buffer: int = 0, *, seed: int = 0, epoch: int = 0
    ) -> IterableDataset[Pair]:
        """Return the same chunks one after the other, each once among all workers and ranks.

        Row groups are dealt out to the workers of the ``DataLoader`` and, if
        ``torch.distributed`` is initialised when this is called, to its ranks; these may get
        some chunks more or fewer than each other.

        Parameters
        ----------
        shuffle_buffer
            Chunks that a worker draws from, row groups coming in random order; 0 for the order
            of the files.
        seed, epoch
            What the order depends on, besides the number of workers.
        """
        return _Stream(self, shuffle_buffer, seed, epoch)

    def groups(self) -> int:
        """Return the number of row groups."""
        return self._files.groups

    def read_group(self, number: int) -> Iterator[Pair]:
        """Yield the chunks of a row group, in order."""
        group = self._files.read(number, self._columns)
        codes = [group[name].chunk(0) for name in self._codes]
        for row, metadata in enumerate(group.drop_columns(self._codes).to_pylist()):
            yield self._pair([column[row : row + 1] for column in codes], metadata)

    @staticmethod
    def _pair(codes: Sequence[pa.FixedSizeListArray], metadata: dict[str, Any]) -> Pair:
        context, target = (torch.from_numpy(to_numpy(c)[0].astype(np.int64)) for c in codes)
        return Pair(context, target, metadata["frames"], metadata)


def collate(items: Sequence[Pair]) -> Batch:
    """Return items as a batch, with a mask of the real frames."""
    context = torch.stack([item.context for item in items])
    frames = torch.tensor([item.frames for item in items])
    return Batch(
        context=context,
        target=torch.stack([item.target for item in items]),
        mask=torch.arange(context.shape[2]) < frames[:, None],
        metadata=[item.metadata for item in items],
    )


class _Stream(IterableDataset[Pair]):
    def __init__(self, pairs: StemPairs, shuffle_buffer: int, seed: int, epoch: int) -> None:
        self._pairs = pairs
        self._shuffle_buffer = shuffle_buffer
        self._seed = (seed, epoch)
        # Here, since a worker that is spawned knows nothing of its process's rank.
        self._rank, self._ranks = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self._rank = torch.distributed.get_rank()
            self._ranks = torch.distributed.get_world_size()

    def __iter__(self) -> Iterator[Pair]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        order = np.arange(self._pairs.groups())
        if self._shuffle_buffer:
            np.random.default_rng(self._seed).shuffle(order)
        place = self._rank * workers + number
        items = (
            pair
            for group in order[place :: self._ranks * workers]
            for pair in self._pairs.read_group(int(group))
        )
        if not self._shuffle_buffer:
            return items
        return _shuffled(items, self._shuffle_buffer, np.random.default_rng((*self._seed, place)))


def _shuffled(items: Iterator[Pair], buffer: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield the items in an order that is random as far as a buffer reaches."""
    held: list[Pair] = []
    for item in items:
        if len(held) < buffer:
            held.append(item)
            continue
        at = int(rng.integers(buffer))
        yield held[at]
        held[at] = item
    for index in rng.permutation(len(held)):
        yield held[index]


class _Files:
    """Row groups of several Parquet files, mapped into memory by each process on its own.

    Parameters
    ----------
    paths
        Files of one schema.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        # Of a relative path with a colon in it pyarrow would make a URI.
        self._paths = [path.absolute() for path in paths]
        self.schema = pq.read_schema(self._paths[0])
        self._places: list[tuple[int, int]] = []  # file and row group in it
        starts = [0]
        for at, path in enumerate(self._paths):
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                self._places.append((at, group))
                starts.append(starts[-1] + metadata.row_group(group).num_rows)
        self._starts = np.array(starts)
        self._forget()

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return int(self._starts[-1])

    @property
    def groups(self) -> int:
        """Row groups of all files."""
        return len(self._places)

    def place(self, row: int) -> tuple[int, int]:
        """Return the row group of a row, and the row's place in it."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, row - int(self._starts[number])

    def group(self, number: int, columns: Sequence[str]) -> pa.Table:
        """Return a row group, and keep it for the next that ask."""
        if number in self._cache and self._process == os.getpid():
            self._cache.move_to_end(number)
            return self._cache[number]
        group = self.read(number, columns)
        self._cache[number] = group
        if len(self._cache) > CACHED_GROUPS:
            self._cache.popitem(last=False)
        return group

    def read(self, number: int, columns: Sequence[str]) -> pa.Table:
        """Read a row group."""
        if self._process != os.getpid():
            self._forget()  # after a fork, the other process's files are not ours
        at, group = self._places[number]
        if at not in self._open:
            self._open[at] = pq.ParquetFile(self._paths[at], memory_map=True)
        # Threads of Arrow do not survive a fork.
        table = self._open[at].read_row_group(group, columns=list(columns), use_threads=False)
        return table.combine_chunks()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._open: dict[int, pq.ParquetFile] = {}
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_cache": OrderedDict()}
