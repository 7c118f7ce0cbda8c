"""Embeddings of a unified dataset as a Parquet table: a row per item, a column per encoder."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.dataset.embeddings import Embeddings, Encoded
from tasks.step import column

PARQUET = "embeddings.parquet"

ROWS_AT_ONCE = 1024
"""Of a row group: 4 MB of an encoder with 1024 dimensions."""


def write(storage: Storage, content: Embeddings) -> None:
    """Write the table, whole or not at all, one row group after the other."""
    fields = [
        column("id", pa.string(), "Of the unified row"),
        column("split", pa.string(), "train, validation or test"),
        column("captions", pa.list_(pa.string()), "All captions, the main one first"),
    ]
    for name, each in content.audio.items():
        fields.append(column(name, pa.list_(pa.float32()), f"Embedding by {name}; may be null"))
        if each.windows is not None:
            fields += [
                column(f"{name}_windows", pa.list_(pa.list_(pa.float32())), "Each window's"),
                column(
                    f"{name}_window_start_seconds", pa.list_(pa.float32()), "Where each begins", "s"
                ),
            ]
    schema = pa.schema(fields)
    captions: list[list[str]] = [[] for _ in range(len(content))]
    for text, at in zip(content.caption_text, content.caption_item.tolist(), strict=True):
        captions[at].append(text)
    with storage.writing(PARQUET) as path, pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(content), ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, len(content))
            columns: dict[str, Any] = {
                "id": content.items["id"][start:stop],
                "split": content.items["split"][start:stop],
                "captions": captions[start:stop],
            }
            for name, each in content.audio.items():
                columns |= _columns(name, each, start, stop)
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))


def _columns(name: str, encoded: Encoded, start: int, stop: int) -> dict[str, list[Any]]:
    """Columns of an encoder for some items; null where there is no embedding."""
    low, high = np.searchsorted(encoded.item, [start, stop])
    places = encoded.item[low:high] - start
    found: dict[str, list[Any]] = {name: [None] * (stop - start)}
    for place, vector in zip(places, encoded.embedding[low:high], strict=True):
        found[name][place] = vector
    if encoded.windows is None or encoded.window_item is None or encoded.window_start is None:
        return found
    found[f"{name}_windows"] = [None] * (stop - start)
    found[f"{name}_window_start_seconds"] = [None] * (stop - start)
    for place in places:
        first, last = np.searchsorted(encoded.window_item, [start + place, start + place + 1])
        found[f"{name}_windows"][place] = list(encoded.windows[first:last])
        found[f"{name}_window_start_seconds"][place] = encoded.window_start[first:last]
    return found
