"""Exports to Croissant, as mlcroissant reads them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage
from tasks.dataset import unified
from tasks.dataset.manifest import write_manifest
from tasks.export.croissant_fields import field_of
from tests.tasks.export.conftest import Export, song, write_songs
from tests.tasks.export.test_export import digests


def opened(folder: Path) -> Any:
    """Open an export; mlcroissant validates it and says what is wrong with it."""
    import mlcroissant

    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    assert dataset.metadata.ctx.issues.errors == set()
    # A dataset does not say when it was published.
    assert [
        said for said in dataset.metadata.ctx.issues.warnings if "datePublished" not in said
    ] == []
    return dataset


def as_read(value: Any, type_: pa.DataType, name: str) -> Any:
    """Return a value of Parquet as a record of mlcroissant has it."""
    if pa.types.is_struct(type_):
        # What lies in lists below has a place of its own in the record.
        return {
            f"{name}/{part.name}": as_read(
                (value or {}).get(part.name), part.type, f"{name}/{part.name}"
            )
            for part in type_
            if not (pa.types.is_list(part.type) and pa.types.is_struct(part.type.value_type))
        }
    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        # A list that is null is read as one item whose parts are.
        return [
            as_read(each, type_.value_type, name) for each in ([None] if value is None else value)
        ]
    if isinstance(value, list):
        return [as_read(each, type_.value_type, name) for each in value]
    return value.encode() if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """Return a value without the types of NumPy."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def test_records_have_the_values_of_the_table(songs: Path, export: Export) -> None:
    folder = export(songs, "croissant")
    table = pq.read_table(songs.with_suffix("") / "tracks.parquet")
    dataset = opened(folder)
    for split, rows in (("train", table[:4]), ("validation", table[4:5]), ("test", table[5:])):
        found = list(dataset.records(split))
        assert len(found) == rows.num_rows
        for said, row in zip(found, rows.to_pylist(), strict=True):
            for field in table.schema:
                name = f"{split}/{field.name}"
                assert plain(said[name]) == as_read(row[field.name], field.type, name), name
            words = as_read(
                (row["phonemes"] or {}).get("words"),
                table.schema.field("phonemes").type.field("words").type,
                f"{split}/phonemes/words",
            )
            assert plain(said[f"{split}/phonemes/words"]) == words
            assert said[f"{split}/__key__"] == row["track_id"].encode()
            assert said[f"{split}/audio"] == Path(row["file_path"]).read_bytes()


def test_files_and_columns_are_described(songs: Path, export: Export) -> None:
    folder = export(songs, "croissant", audio="none")
    said = orjson.loads((folder / "croissant.json").read_bytes())
    files = {
        each["contentUrl"]: each["sha256"]
        for each in said["distribution"]
        if each["@type"] == "cr:FileObject"
    }
    assert files == {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "data").iterdir()
    }
    assert sorted(said["license"]) == [
        "https://spdx.org/licenses/CC-BY-4.0.html",
        "https://spdx.org/licenses/CC-BY-NC-ND-4.0.html",
    ]
    fields = {each["name"]: each for each in said["recordSet"][0]["field"]}
    assert (fields["tempo"]["dataType"], fields["tempo"]["description"]) == (
        "cr:Float64",
        "Tempo, refined from the beats (bpm)",
    )
    assert (fields["chroma"]["dataType"], fields["chroma"]["arrayShape"]) == ("cr:Float32", "12")
    assert "Names of artists." in said["rai:personalSensitiveInformation"]
    # Nobody said who made it, or when.
    assert not {"creator", "datePublished", "dateCreated"} & set(said)


def test_what_the_dataset_does_not_say_is_not_there(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    record = song(songs.parent, 0) | {"license": None}
    source = write_songs(tmp_path, [record], created_at="2026-01-02T03:04:05+00:00")
    said = orjson.loads((export(source, "croissant", audio="none") / "croissant.json").read_bytes())
    assert "license" not in said
    assert "No licence stated: 1 row." in said["rai:dataLimitations"]
    assert said["dateCreated"] == "2026-01-02T03:04:05+00:00"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A unified dataset of two rows, one of them without most values."""
    rows: list[dict[str, Any]] = [
        {
            "id": "corpus_1",
            "caption": "a song",
            "key": "A minor",
            "caption_sources": [[{"text": "a song", "columns": ["genres"]}]],
            "genres": ["folk"],
            "license": "CC-BY-4.0",
            "split": "train",
        },
        {"id": "corpus.2", "caption": "another", "split": "train"},
    ]
    folder = tmp_path / "unified"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, unified.COLUMNS), folder / "unified.parquet")
    write_manifest(Storage(str(folder)), {"fingerprint": "unified"})
    return folder


def test_columns_of_corpora_that_have_no_type_are_named(corpora: Path, export: Export) -> None:
    folder = export(corpora, "croissant", audio="none")
    first, second = opened(folder).records("train")
    assert (first["train/__key__"], first["train/key"]) == (b"corpus_1", b"A minor")
    assert (first["train/genres"], second["train/genres"]) == ([b"folk"], None)
    said = orjson.loads((folder / "croissant.json").read_bytes())["recordSet"][0]
    assert "train/caption_sources" not in first
    assert "no type for caption_sources" in said["description"]
    assert pq.read_table(folder / "data").column_names.count("key") == 1


@pytest.mark.parametrize(
    ("type_", "shape", "name"),
    [
        (pa.list_(pa.list_(pa.int16(), 4)), "-1,4", "cr:Int16"),
        (pa.list_(pa.float32(), 3), "3", "cr:Float32"),
        (pa.bool_(), None, "sc:Boolean"),
    ],
)
def test_lists_have_shapes(type_: pa.DataType, shape: str | None, name: str) -> None:
    field = field_of(pa.field("x", type_), "train", "files")
    assert field is not None
    assert (field.get("arrayShape"), field["dataType"]) == (shape, name)


def test_the_same_rows_are_the_same_bytes(songs: Path, export: Export, tmp_path: Path) -> None:
    options = {"segments": True, "where": "split <> 'train'"}
    first = export(songs, "croissant", output=tmp_path / "a", **options)
    second = export(songs, "croissant", output=tmp_path / "b", **options)
    assert digests(first) == digests(second)
