"""Embeddings of a unified dataset in one HDF5 file, ``embeddings.h5``.

========================================  =============  ======================================
path                                      shape          content
========================================  =============  ======================================
``/`` (attributes)                                       ``format`` ("songmill-embeddings-1"),
                                                         ``dataset`` (fingerprint of the rows),
                                                         ``provenance`` (JSON)
``/items/id``, ``split``, ``dataset``,    (items,)       texts of the unified rows; ``group``
``group``, ``audio_path``, ``title``,                    may never be in two splits
``artist``
``/items/duration``                       (items,)       seconds
``/captions/text``                        (captions,)    all captions, those of an item together
``/captions/item``                        (captions,)    number of the item
``/captions/is_main``                     (captions,)    whether it is the item's main caption
``/audio/<encoder>/embedding``            (n, D)         float32, one per item that has one
``/audio/<encoder>/item``                 (n,)           number of the item, rising
``/audio/<encoder>/windows``              (w, D)         with windows only: all windows
``/audio/<encoder>/window_item``          (w,)           number of the item
``/audio/<encoder>/window_start``         (w,)           seconds
``/text/<encoder>/embedding``             (captions, D)  float32, in the order of ``/captions``
========================================  =============  ======================================

Groups of encoders have the attributes ``model``, ``revision``, ``licence`` and ``config`` (JSON).
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = "songmill-embeddings-1"
CHUNK_ROWS = 256
ITEM_TEXTS = ("id", "split", "dataset", "group", "audio_path", "title", "artist")

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


class EmbeddingsError(ValueError):
    """A file that holds no embeddings, or not those that are wanted; one sentence."""


@dataclass(frozen=True)
class Encoded:
    """Embeddings by one encoder.

    Attributes
    ----------
    embedding
        Shape ``(n, D)``.
    item
        Number of each row's item, rising; of texts, number of the caption.
    attributes
        ``model``, ``revision``, ``licence`` and ``config``.
    windows, window_item, window_start
        Of audio, where windows were kept: shapes ``(w, D)``, ``(w,)`` and ``(w,)`` in seconds.
    """

    embedding: Float32
    item: Int32
    attributes: Mapping[str, str] = field(default_factory=dict)
    windows: Float32 | None = None
    window_item: Int32 | None = None
    window_start: Float32 | None = None


@dataclass(frozen=True)
class Embeddings:
    """What ``embeddings.h5`` holds, in memory.

    Attributes
    ----------
    dataset
        Fingerprint of the unified rows.
    items
        Texts by name, one per item, and ``duration`` in seconds.
    caption_text, caption_item, caption_is_main
        All captions, and the items that they are of.
    audio, text
        By encoder.
    provenance
        Of the whole.
    """

    dataset: str
    items: Mapping[str, Sequence[Any]]
    caption_text: Sequence[str]
    caption_item: Int32
    caption_is_main: npt.NDArray[np.bool_]
    audio: Mapping[str, Encoded]
    text: Mapping[str, Encoded]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items["id"])


def write(path: Path, content: Embeddings) -> None:
    """Write embeddings; the file appears whole or not at all."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs["dataset"] = content.dataset
            file.attrs["provenance"] = json.dumps(dict(content.provenance))
            for name in ITEM_TEXTS:
                _texts(file, f"items/{name}", content.items[name])
            file["items/duration"] = np.asarray(content.items["duration"], np.float64)
            _texts(file, "captions/text", content.caption_text)
            file["captions/item"] = content.caption_item
            file["captions/is_main"] = content.caption_is_main
            for kind, encoders in (("audio", content.audio), ("text", content.text)):
                for name, encoded in encoders.items():
                    _encoded(file.create_group(f"{kind}/{name}"), encoded, kind == "audio")
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def read(
    path: Path,
    *,
    audio: Iterable[str] | None = None,
    text: Iterable[str] | None = None,
    windows: bool = False,
) -> Embeddings:
    """Read embeddings.

    Parameters
    ----------
    path
        Of the file.
    audio, text
        Encoders to read; all by default.
    windows
        Whether to read windows as well.

    Raises
    ------
    EmbeddingsError
        If it is no such file, or has no such encoder.
    """
    with _opened(path) as file:
        items: dict[str, Sequence[Any]] = {
            name: file[f"items/{name}"].asstr()[:].tolist() for name in ITEM_TEXTS
        }
        items["duration"] = file["items/duration"][:].tolist()
        return Embeddings(
            dataset=str(file.attrs["dataset"]),
            items=items,
            caption_text=file["captions/text"].asstr()[:].tolist(),
            caption_item=file["captions/item"][:],
            caption_is_main=file["captions/is_main"][:],
            audio={
                name: _read(file, path, "audio", name, windows)
                for name in _names(file, "audio", audio)
            },
            text={
                name: _read(file, path, "text", name, False) for name in _names(file, "text", text)
            },
            provenance=json.loads(file.attrs["provenance"]),
        )


def encoders(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return the encoders of audio and those of text that a file has, with their attributes.

    Raises
    ------
    EmbeddingsError
        If it is no such file.
    """
    with _opened(path) as file:
        audio, text = (
            {name: _attributes(group) for name, group in file.get(kind, {}).items()}
            for kind in ("audio", "text")
        )
    return audio, text


def items_at(path: Path, numbers: Sequence[int]) -> list[dict[str, str]]:
    """Return the texts of some items and, as ``caption``, the main caption of each.

    Raises
    ------
    EmbeddingsError
        If it is no such file.
    """
    with _opened(path) as file:
        owners, is_main = file["captions/item"][:], file["captions/is_main"][:]
        captions, places = file["captions/text"].asstr(), np.flatnonzero(is_main)
        main = dict(zip(owners[places].tolist(), places.tolist(), strict=True))
        return [
            {name: file[f"items/{name}"].asstr()[number] for name in ITEM_TEXTS}
            | {"caption": captions[main[number]] if number in main else ""}
            for number in numbers
        ]


def splits(path: Path) -> list[str]:
    """Return the split of every item.

    Raises
    ------
    EmbeddingsError
        If it is no such file.
    """
    with _opened(path) as file:
        names: list[str] = file["items/split"].asstr()[:].tolist()
    return names


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file of embeddings to read.

    Raises
    ------
    EmbeddingsError
        If it is none.
    """
    import h5py

    if not path.is_file():
        raise EmbeddingsError(
            f"{path} does not exist: make it with `python flows/prepare_embeddings.py`."
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise EmbeddingsError(f"{path} is no HDF5 file, or a damaged one: {error}.") from error
    with file:
        if file.attrs.get("format") != FORMAT:
            raise EmbeddingsError(
                f"{path} was not written by prepare_embeddings.py of this version: its format is "
                f"{file.attrs.get('format')!r}, not {FORMAT!r}."
            )
        yield file


def _names(file: Any, kind: str, wanted: Iterable[str] | None) -> list[str]:
    return list(file.get(kind, ())) if wanted is None else list(wanted)


def _attributes(group: Any) -> dict[str, str]:
    return {key: str(value) for key, value in group.attrs.items()}


def _texts(file: Any, name: str, values: Sequence[str | None]) -> None:
    import h5py

    texts = ["" if value is None else value for value in values]
    file.create_dataset(name, data=texts, dtype=h5py.string_dtype("utf-8"), shape=(len(texts),))


def _encoded(group: Any, encoded: Encoded, has_items: bool) -> None:
    group.attrs.update(encoded.attributes)
    _matrix(group, "embedding", encoded.embedding)
    if has_items:
        group["item"] = encoded.item
    if encoded.windows is not None:
        _matrix(group, "windows", encoded.windows)
        group["window_item"] = encoded.window_item
        group["window_start"] = encoded.window_start


def _matrix(group: Any, name: str, values: Float32) -> None:
    rows, dimensions = values.shape
    group.create_dataset(
        name,
        data=values.astype(np.float32, copy=False),
        chunks=(min(CHUNK_ROWS, rows), dimensions) if rows else None,
        compression="gzip" if rows else None,
        compression_opts=4 if rows else None,
        shuffle=bool(rows),
    )


def _read(file: Any, path: Path, kind: str, name: str, windows: bool) -> Encoded:
    if f"{kind}/{name}" not in file:
        there = ", ".join(sorted(file.get(kind, ()))) or "none"
        raise EmbeddingsError(
            f"{path} has no {kind} embeddings by {name}, but by: {there}. "
            f"`python flows/prepare_embeddings.py --encoders {name}` adds them."
        )
    group = file[f"{kind}/{name}"]
    embedding = group["embedding"][:]
    has_windows = windows and "windows" in group
    return Encoded(
        embedding=embedding,
        item=group["item"][:] if kind == "audio" else np.arange(len(embedding), dtype=np.int32),
        attributes=_attributes(group),
        windows=group["windows"][:] if has_windows else None,
        window_item=group["window_item"][:] if has_windows else None,
        window_start=group["window_start"][:] if has_windows else None,
    )
