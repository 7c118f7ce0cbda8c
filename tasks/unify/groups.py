"""Which rows hang together, and may therefore never be in two splits.

Rows of one artist, of one recording under ids that several corpora share, of one
file, and of recordings that sound the same; and all that hang together by these.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.split import artist_key

Int = npt.NDArray[np.int64]


def groups(table: pa.Table, duplicates: Iterable[tuple[str, str]] = ()) -> pa.Array:
    """Name of each row's group: the smallest id in it, whatever the order of the rows.

    Parameters
    ----------
    table
        With ``id``, ``artist``, ``artist_id``, ``shared_ids``, ``audio_path`` and
        ``audio_digest``.
    duplicates
        Pairs of digests of files that are one recording.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = table.num_rows
    files, pairs = _files(table["audio_digest"], duplicates)
    links = [
        files,  # the first, whose labels the pairs are of
        _artists(table["artist"]),
        _column(table["artist_id"]),
        _column(table["audio_path"]),
        _lists(table["shared_ids"]),
    ]
    # Rows are nodes, and so is every artist, id and file that they are linked to.
    first = count
    edges = [(pairs[0] + first, pairs[1] + first)]
    for rows, labels in links:
        edges.append((rows, labels + first))
        first += int(labels.max(initial=-1)) + 1
    ends = tuple(np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(first, first))
    _, component = connected_components(graph, directed=False)
    component = component[:count]
    # In the order of their ids, the first of each component names it.
    order = pc.sort_indices(table["id"]).to_numpy()
    _, earliest, inverse = np.unique(component[order], return_index=True, return_inverse=True)
    names = np.empty(count, np.int64)
    names[order] = order[earliest][inverse]
    return table["id"].combine_chunks().take(pa.array(names))


def _encoded(column: pa.ChunkedArray) -> tuple[Sequence[str | None], npt.NDArray[np.float64]]:
    """Distinct values of a column, and which each row has; not a number where it has none."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


def _column(column: pa.ChunkedArray) -> tuple[Int, Int]:
    """Rows and labels: each row that has a value is linked to it."""
    _, at = _encoded(column)
    known = ~np.isnan(at.astype(float))
    return np.flatnonzero(known), at[known].astype(np.int64)


def _artists(column: pa.ChunkedArray) -> tuple[Int, Int]:
    """Link rows to artists whose names have the same letters, and name somebody."""
    names, at = _encoded(column)
    keys = [artist_key(name or "") for name in names]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(filter(None, keys)))}
    of_name = np.array([numbers[key] if key else -1 for key in keys] or [-1], np.int64)
    known = np.flatnonzero(~np.isnan(at.astype(float)))
    labels = of_name[at[known].astype(np.int64)]
    return known[labels >= 0], labels[labels >= 0]


def _lists(column: pa.ChunkedArray) -> tuple[Int, Int]:
    """Link rows to every value in their lists."""
    flat = column.combine_chunks()
    parents = pc.list_parent_indices(flat).to_numpy().astype(np.int64)
    encoded = pc.dictionary_encode(pc.list_flatten(flat))
    return parents, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _files(
    digests: pa.ChunkedArray, duplicates: Iterable[tuple[str, str]]
) -> tuple[tuple[Int, Int], tuple[Int, Int]]:
    """Link rows to their files, and files that are one recording to each other."""
    names, at = _encoded(digests)
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[a], place[b]) for a, b in duplicates if a in place and b in place]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    known = np.flatnonzero(~np.isnan(at.astype(float)))
    return (known, at[known].astype(np.int64)), (ends[:, 0], ends[:, 1])
