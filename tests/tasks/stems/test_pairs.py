import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tasks.stems import dataset_files
from tasks.stems.pairs import CACHED_GROUPS, StemPairs, collate
from tasks.stems.schema import CONTEXTS, to_arrow
from tests.tasks.stems.test_dataset_files import ENCODING, batches

ROWS = 700


def rows(*sizes):
    """Contexts are 1000 and 2000 more than the target; every tenth row is half padding."""
    for batch in batches(*sizes):
        columns = {name: batch.column(name) for name in batch.schema.names}
        numbers = np.array([int(pair_id[1:]) for pair_id in columns["pair_id"].to_pylist()])
        frames = np.where(numbers % 10 == 0, 4, 8).astype(np.int32)
        for signal, more in (("stem", 0), ("all", 1000), ("all_without", 2000)):
            codes = np.broadcast_to((numbers + more)[:, None, None], (len(numbers), 2, 8)).copy()
            codes[frames == 4, :, 4:] = ENCODING.tokens.pad
            columns[f"codes_{signal}"] = to_arrow(codes.astype(np.uint16))
        columns["frames"] = frames
        yield type(batch).from_pydict(columns, schema=batch.schema)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guitar")
    splits = {"train": rows(ROWS), "validation": rows(5), "test": ()}
    dataset_files.write(folder, splits, ENCODING, max_shard_rows=256)
    return folder


def number(item):
    return int(item.metadata["pair_id"][1:])


def of(batches_):
    return [int(each["pair_id"][1:]) for batch in batches_ for each in batch.metadata]


@pytest.mark.parametrize(("context", "more"), [("all", 1000), ("all_without", 2000)])
def test_items_are_the_rows(folder, context, more):
    pairs = StemPairs(folder, "train", context)
    assert len(pairs) == ROWS
    for index in (0, 63, 64, 255, 256, 300, 699, -1, -700):
        item, expected = pairs[index], index % ROWS
        assert number(item) == expected
        assert item.context.dtype == item.target.dtype == torch.int64
        assert item.context.shape == item.target.shape == (2, 8)
        frames = 4 if expected % 10 == 0 else 8
        assert item.frames == frames
        assert (item.target[:, :frames] == expected).all()
        assert (item.context[:, :frames] == expected + more).all()
        assert (item.target[:, frames:] == 2048).all()
        assert item.metadata["artist"] == "Ana"
        assert not {name for name in item.metadata if name.startswith("codes_")}
    for index in (700, -701):
        with pytest.raises(IndexError):
            pairs[index]
    assert pairs.encoding == ENCODING


def test_streaming_gives_the_same(folder):
    pairs = StemPairs(folder, "train", "all")
    for streamed, item in zip(pairs.stream(), map(pairs.__getitem__, range(ROWS)), strict=True):
        assert torch.equal(streamed.context, item.context)
        assert torch.equal(streamed.target, item.target)
        assert streamed.frames == item.frames
        assert streamed.metadata == item.metadata


def test_workers_read_each_item_once(forked):
    batches = torch.load(forked / "batches.pt", weights_only=False)
    assert sorted(of(batches)) == list(range(ROWS))
    for batch in batches:
        whole = batch.mask[:, None].expand_as(batch.target)
        expected = torch.tensor(of([batch]))[:, None, None].expand_as(batch.target)
        assert torch.equal(batch.target[whole], expected[whole])
        assert (batch.target[~whole] == 2048).all()


def test_a_worker_may_be_spawned(folder):
    loader = DataLoader(
        StemPairs(folder, "train").stream(100),
        32,
        num_workers=1,
        multiprocessing_context="spawn",
        collate_fn=collate,
    )
    assert sorted(of(loader)) == list(range(ROWS))


def test_a_stream_is_shuffled_by_its_seed_and_epoch(folder):
    pairs = StemPairs(folder, "train")
    first, again, other, later = (
        [number(item) for item in pairs.stream(200, seed=seed, epoch=epoch)]
        for seed, epoch in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert first == again
    assert len({tuple(order) for order in (first, other, later)}) == 3
    assert sorted(first) == sorted(other) == sorted(later) == list(range(ROWS))
    # Neighbours in the file do not stay neighbours.
    assert np.mean(np.diff(first) == 1) < 0.05
    assert abs(np.corrcoef(first, range(ROWS))[0, 1]) < 0.5
    assert [number(item) for item in pairs.stream()] == list(range(ROWS))
    more_than_all = [number(item) for item in pairs.stream(10_000)]
    assert sorted(more_than_all) == list(range(ROWS)) != more_than_all


LOADERS = """
import json, sys, torch
from pathlib import Path
from torch.utils.data import DataLoader
from tasks.stems.pairs import StemPairs, collate
out = Path(sys.argv[2])
pairs = StemPairs(sys.argv[1], "train")
pairs[3]  # files are open when the workers fork
options = {"num_workers": 2, "multiprocessing_context": "fork", "collate_fn": collate}
seeded = torch.Generator().manual_seed(0)
loader = DataLoader(pairs, 32, shuffle=True, generator=seeded, **options)
torch.save(list(loader), out / "batches.pt")
torch.distributed.is_initialized = lambda: True
torch.distributed.get_world_size = lambda: 3
ranks = []
for rank in range(3):
    torch.distributed.get_rank = lambda: rank
    loader = DataLoader(pairs.stream(50, seed=2), 16, **options)
    ranks.append([each["pair_id"] for batch in loader for each in batch.metadata])
(out / "ranks.json").write_text(json.dumps(ranks))
"""


@pytest.fixture(scope="module")
def forked(folder, tmp_path_factory):
    """What loaders whose workers are forked have read."""
    out = tmp_path_factory.mktemp("forked")
    # Not in this process: what other tests have left in it does not survive a fork.
    command = [sys.executable, "-c", LOADERS, str(folder), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_ranks_and_their_workers_share_the_items(forked):
    found = json.loads((forked / "ranks.json").read_text())
    assert sorted(int(each[1:]) for part in found for each in part) == list(range(ROWS))
    assert all(100 < len(part) < 400 for part in found)


def test_collate_masks_what_is_padding(folder):
    pairs = StemPairs(folder, "train", "all")
    batch = collate([pairs[9], pairs[10]])
    assert batch.context.shape == batch.target.shape == (2, 2, 8)
    assert batch.mask.dtype == torch.bool
    assert batch.mask.tolist() == [[True] * 8, [True] * 4 + [False] * 4]
    assert [each["pair_id"] for each in batch.metadata] == ["p000009", "p000010"]


def test_it_is_pickled_without_its_files(folder):
    pairs = StemPairs(folder, "train")
    assert number(pairs[600]) == 600
    data = pickle.dumps(pairs)
    assert len(data) < 10_000
    assert number(pickle.loads(data)[600]) == 600
    assert pickle.dumps(pairs.stream(10))


def test_few_row_groups_are_kept(folder):
    pairs = StemPairs(folder, "train")
    reads = []
    read = pairs._files.read
    pairs._files.read = lambda *given: reads.append(given[0]) or read(*given)
    for index in (0, 5, 63, 64, 0):
        pairs[index]
    assert reads == [0, 1]
    assert len(pairs._files._cache) == 2 <= CACHED_GROUPS


def test_other_splits_and_what_is_not_there(folder, tmp_path):
    assert len(StemPairs(folder, "validation")) == 5
    empty = StemPairs(folder, "test")
    assert len(empty) == 0
    assert list(empty.stream(10)) == []
    with pytest.raises(FileNotFoundError, match="no shards of a split dev"):
        StemPairs(folder, "dev")
    with pytest.raises(FileNotFoundError):
        StemPairs(tmp_path, "train")
    encoding = type(ENCODING)(**{
        **{name: getattr(ENCODING, name) for name in ENCODING.__slots__}, "contexts": ("all",)
    })  # fmt: skip
    dataset_files.write(tmp_path, {"train": batches(1, encoding=encoding)}, encoding)
    assert number(StemPairs(tmp_path, "train", "all")[0]) == 0
    with pytest.raises(ValueError, match="without the context all_without; it has all"):
        StemPairs(tmp_path, "train")


def test_importing_the_steps_does_not_import_torch():
    modules = "encode, schema, dataset_files, tokens, chunks, webdataset, report, datacard"
    code = f"import sys; from tasks.stems import {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_special_tokens_are_no_codes():
    tokens = ENCODING.tokens
    assert (tokens.pad, tokens.start, tokens.end, tokens.vocabulary_size) == (
        2048,
        2049,
        2050,
        2051,
    )
    assert CONTEXTS == ("all", "all_without")
