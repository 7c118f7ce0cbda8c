"""A dataset that build-dataset made: what was measured of each track, and its sure tags.

``tracks.parquet`` and ``segments.parquet``, or else ``X.json``. docs/dataset.md has the columns.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Measured, Tag
from tasks.corpora.captioned.folder import key_of
from tasks.corpora.captioned.places import find_files, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    distinct_tags,
    finite,
    malformed,
    repeated,
    seconds,
    text,
)
from tasks.corpora.captioned.song_describer import words
from tasks.corpora.captioned.vocabulary import tag_in, tag_of

_COLUMNS = (
    *("track_id", "file_path", "artist", "title", "album", "genre", "mood", "instruments"),
    *("duration", "tempo", "dominant_key", "mode"),
    *("time_signature", "is_instrumental", "content", "tags"),
)
_BATCH_ROWS = 4096


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the tracks of a dataset, or of all datasets in a folder.

    The audio is where the dataset says: a path that is not absolute is looked for from the
    dataset's folder and those above it on, then from the working directory.

    Raises
    ------
    CorpusError
        If there is no dataset of build-dataset in it.
    """
    tables = find_files(folder, "tracks.parquet")
    documents = [] if tables else [path for path in find_files(folder, "*.json") if _is_ours(path)]
    if not tables and not documents:
        raise wrong_folder(folder, "songmill", "tracks.parquet of a dataset")
    seen: set[str] = set()
    for path in tables or documents:
        where = below(folder, path)
        rows = _table_rows(path, where) if tables else _json_rows(path, where)
        base: Path | None = None
        for row in rows:
            if isinstance(row, Dropped):
                yield row
                continue
            number, values = row
            track_id, file = text(values.get("track_id")), values.get("file_path")
            if track_id is None or not isinstance(file, str) or not file:
                yield malformed(f"{where}:{number}", "it has no track_id or no file_path")
            elif track_id in seen:
                yield repeated(f"{where}:{number}", track_id)
            else:
                seen.add(track_id)
                if base is None:
                    base = _base(folder, path.parent, file)
                audio = file if os.path.isabs(file) else os.path.join(base, file)
                yield _entry(track_id, _from(folder, audio), values)


def _entry(track_id: str, audio: str, values: Mapping[str, Any]) -> Entry:
    return Entry(
        track_id,
        audio,
        tags=distinct_tags(_tags(values)),
        measured=_measured(values),
        duration_seconds=seconds(values.get("duration")),
        artist=text(values.get("artist")),
        title=text(values.get("title")),
        album=text(values.get("album")),
    )


def _tags(values: Mapping[str, Any]) -> Iterator[Tag]:
    for key, category in (("genre", "genre"), ("mood", "mood"), ("instruments", "instrument")):
        for word in words(values.get(key)):
            tag = tag_in(category, word)
            # As they read in a sentence: tables have "Bass", "Drums".
            yield tag if category == "genre" else Tag(tag.kind, tag.value.lower())
    found = values.get("tags")
    for each in found if isinstance(found, list) else ():
        told = text(each.get("tag")) if isinstance(each, dict) else None
        if told is not None:
            kind = each.get("kind")
            yield tag_in(kind, told) if kind in ("genre", "instrument", "mood") else tag_of(told)
    if values.get("is_instrumental"):
        yield Tag("voice", "instrumental")
    elif values.get("content") == "singing":
        yield Tag("voice", "vocal")


def _measured(values: Mapping[str, Any]) -> Measured:
    return Measured(
        # A tempo or a key that could be chance is null already.
        tempo_bpm=finite(values.get("tempo")),
        key=key_of(f"{values.get('dominant_key')} {values.get('mode')}"),
        metre=text(values.get("time_signature")),
        sections=tuple(values.get("sections", ())),
    )


def _table_rows(path: Path, where: str) -> Iterator[tuple[int, Mapping[str, Any]] | Dropped]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sections = _sections(path.with_name("segments.parquet"))
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in _COLUMNS if name in file.schema_arrow.names]
            if not {"track_id", "file_path"} <= set(names):
                raise CorpusError(f"{path} has no track_id and file_path: build it again.")
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                for values in batch.to_pylist():
                    number += 1
                    yield number, {**values, "sections": sections.get(values["track_id"], ())}
    except (pa.ArrowException, OSError) as error:
        if not number:
            raise CorpusError(f"{path} is no readable Parquet file ({error}).") from None
        yield malformed(f"{where}:{number + 1}", f"it and all behind it cannot be read ({error})")


def _sections(path: Path) -> dict[str, tuple[str, ...]]:
    """Names of the sections of each track, in their order; none where there is no such table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[str, list[tuple[int, str]]] = {}
    names = ["track_id", "segment_idx", "section_type"]
    if not path.is_file():
        return {}
    try:
        with pq.ParquetFile(path) as file:
            if not set(names) <= set(file.schema_arrow.names):
                return {}
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                columns = (batch.column(name).to_pylist() for name in names)
                for track_id, index, label in zip(*columns, strict=True):
                    if label:
                        found.setdefault(track_id, []).append((index or 0, label))
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path} is no readable Parquet file ({error}).") from None
    return {key: tuple(label for _, label in sorted(rows)) for key, rows in found.items()}


def _json_rows(path: Path, where: str) -> Iterator[tuple[int, Mapping[str, Any]] | Dropped]:
    """Entries of ``X.json``, which has one per line."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            entry = line.strip().removesuffix(",")
            if entry in ("", "[", "]"):
                continue
            try:
                values = json.loads(entry)
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict):
                yield malformed(f"{where}:{number}", "it is no JSON object")
                continue
            segments = values.get("segments")
            names = (
                text(each.get("section_type"))
                for each in (segments if isinstance(segments, list) else ())
                if isinstance(each, dict)
            )
            yield number, {**values, "sections": tuple(filter(None, names))}


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline().strip() == "[" and '"track_id"' in file.readline(65_536)
    except OSError:
        return False


def _base(folder: Path, dataset: Path, file: str) -> Path:
    """Folder that the paths of a dataset are of, by its first file; the corpus if none has it."""
    for base in (dataset, *dataset.absolute().parents, Path.cwd()):
        if (base / file).exists():
            return base.absolute()
    return folder.absolute()


def _from(folder: Path, audio: str) -> str:
    """Return a path below the corpus where it lies there, else the absolute one."""
    path, root = Path(os.path.abspath(audio)), folder.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
