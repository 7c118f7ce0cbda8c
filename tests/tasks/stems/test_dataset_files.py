import io
import json
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage, StorageError
from models.tiny.write import write
from tasks.dataset.manifest import read_manifest, write_manifest
from tasks.stems import dataset_files, schema
from tasks.stems.row_groups import ROW_GROUP_ROWS, grouped
from tasks.stems.schema import Encoding, to_arrow, to_numpy
from tasks.track import TrackError
from tasks.weights import Weights
from tests.tasks.stems.coded import small_dataset

ENCODING = Encoding("encodec-32khz", "r1", 2.2, 2, 2048, 8, 5120, 50.0, 32_000, 1)


def batches(*sizes, start=0, encoding=ENCODING):
    """Rows whose codes are their own number, in batches of these sizes."""
    target = schema.dataset(encoding)
    for size in sizes:
        numbers = np.arange(start, start + size)
        start += size
        codes = np.broadcast_to(
            numbers[:, None, None], (size, encoding.codebooks, encoding.chunk_frames)
        ).astype(np.uint16)
        columns = {field.name: pa.nulls(size, field.type) for field in target}
        columns |= {f"codes_{signal}": to_arrow(codes) for signal in encoding.signals}
        columns |= {
            "pair_id": pa.array([f"p{number:06}" for number in numbers]),
            "chunk": pa.array(np.zeros(size, np.int32)),
            "frames": pa.array(np.full(size, encoding.chunk_frames, np.int32)),
            "artist": pa.array(["Ana"] * size),
        }
        yield pa.RecordBatch.from_pydict(columns, schema=target)


def numbers_of(path):
    return [int(pair_id[1:]) for pair_id in pq.read_table(path)["pair_id"].to_pylist()]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_rows_fill_shards_in_order(tmp_path):
    splits = {"train": batches(100, 1, 150), "validation": batches(10, start=500), "test": ()}
    written = dataset_files.write(tmp_path, splits, ENCODING, max_shard_rows=130)
    assert [(shard.path, shard.rows) for shard in written] == [
        ("train-00000.parquet", 128),
        ("train-00001.parquet", 123),
        ("validation-00000.parquet", 10),
        ("test-00000.parquet", 0),
    ]
    assert set(contents(tmp_path)) == {shard.path for shard in written}
    first, second = dataset_files.files_of(tmp_path, "train")
    assert numbers_of(first) + numbers_of(second) == list(range(251))
    groups = pq.ParquetFile(first).metadata
    assert [groups.row_group(at).num_rows for at in range(2)] == [ROW_GROUP_ROWS] * 2
    table = pq.read_table(second)
    assert table.schema.equals(schema.dataset(ENCODING))
    assert schema.encoding_of(table.schema) == ENCODING
    assert (to_numpy(table["codes_all"].combine_chunks())[:, 1, 7] == np.arange(128, 251)).all()
    assert pq.read_table(tmp_path / "test-00000.parquet").num_rows == 0


@pytest.mark.parametrize("tars", [False, True])
def test_the_same_bytes_however_the_rows_come(tmp_path, tars):
    for folder, sizes in (("a", (251,)), ("b", (1, 63, 100, 87)), ("c", (64, 64, 64, 59))):
        dataset_files.write(
            tmp_path / folder, {"train": batches(*sizes)}, ENCODING, max_shard_rows=128, tars=tars
        )
    assert len(contents(tmp_path / "a")) == 2 + 2 * tars
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_codes_take_less_space_than_they_have_bits(tmp_path):
    """11 bits each: a dictionary per row group, not 16 or, as Parquet stores numbers, 32."""
    encoding = Encoding("encodec-32khz", "r", 2.2, 4, 2048, 512, 327_680, 50.0, 32_000, 1)
    [batch] = batches(128, encoding=encoding)
    codes = np.random.default_rng(0).integers(0, 2048, (128, 4, 512)).astype(np.uint16)
    for signal in encoding.signals:
        at = batch.schema.get_field_index(f"codes_{signal}")
        batch = batch.set_column(at, batch.schema.field(at), to_arrow(codes))
    dataset_files.write(tmp_path, {"train": [batch]}, encoding)
    size = (tmp_path / "train-00000.parquet").stat().st_size
    assert size < 128 * encoding.row_bytes * 11 / 16 * 1.12


def test_what_more_codebooks_leave_room_for():
    wide = Encoding("encodec-24khz", "r", 24.0, 32, 1024, 512, 163_840, 75.0, 24_000, 1)
    assert wide.row_bytes == 3 * 32 * 512 * 2
    assert (
        dataset_files._rows_per_shard(wide, dataset_files.MAX_SHARD_ROWS) == 5440
    )  # 85 groups, 510 MiB
    assert (
        dataset_files._rows_per_shard(ENCODING, dataset_files.MAX_SHARD_ROWS)
        == dataset_files.MAX_SHARD_ROWS
    )


def test_all_or_nothing(tmp_path):
    dataset_files.write(
        tmp_path, {"train": batches(300), "test": batches(5)}, ENCODING, max_shard_rows=64
    )
    write_manifest(Storage(str(tmp_path)), {"fingerprint": "f", "a": 1})
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "train-notes.parquet").write_text("mine too")
    before = contents(tmp_path)

    def broken():
        yield from batches(100)
        raise TrackError("artifact-missing", "codes")

    with pytest.raises(TrackError):
        dataset_files.write(
            tmp_path, {"train": batches(300), "test": broken()}, ENCODING, tars=True
        )
    assert contents(tmp_path) == before
    assert read_manifest(Storage(str(tmp_path))) == {"a": 1, "fingerprint": "f"}
    dataset_files.write(tmp_path, {"train": batches(70), "test": batches(5)}, ENCODING, tars=True)
    assert set(contents(tmp_path)) == {
        "README.md",
        "train-notes.parquet",
        "train-00000.parquet",
        "test-00000.parquet",
        "webdataset/train-00000.tar",
        "webdataset/test-00000.tar",
    }
    assert read_manifest(Storage(str(tmp_path))) is None
    dataset_files.write(tmp_path, {"train": batches(70)}, ENCODING)
    assert not list((tmp_path / "webdataset").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        dataset_files.write(tmp_path / "file" / "below", {"train": batches(1)}, ENCODING)


def test_no_more_than_a_group_is_taken_ahead(tmp_path):
    taken = []

    def counted():
        for at, batch in enumerate(batches(*[64] * 6)):
            taken.append(at)
            yield batch

    groups = grouped(counted(), schema.dataset(ENCODING))
    assert len(next(groups)) == 64
    assert taken == [0]


def test_tars_hold_the_rows(tmp_path):
    dataset_files.write(tmp_path, {"train": batches(3)}, ENCODING, tars=True)
    path = tmp_path / "webdataset" / "train-00000.tar"
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [
            f"p{number:06}-00000.{suffix}" for number in range(3) for suffix in ("json", "npy")
        ]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
        texts = [tar.extractfile(member).read() for member in members]
    row = json.loads(texts[4])
    assert (row["pair_id"], row["artist"], row["frames"]) == ("p000002", "Ana", 8)
    assert row["signals"] == ["stem", "all", "all_without"]
    codes = np.load(io.BytesIO(texts[5]), allow_pickle=False)
    assert codes.dtype == np.uint16
    assert codes.shape == (3, 2, 8)
    assert (codes == 2).all()


def test_others_read_it(tmp_path):
    """Hugging Face's library, both the Parquet files and the tar files."""
    splits = {"train": batches(70), "validation": batches(3, start=70), "test": batches(2)}
    dataset_files.write(tmp_path, splits, ENCODING, tars=True)
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset(
        "parquet",
        data_files={split: str(tmp_path / f"{split}-*.parquet") for split in splits},
        cache_dir=cache,
    )
    assert {split: len(rows) for split, rows in read.items()} == {
        "train": 70,
        "validation": 3,
        "test": 2,
    }
    assert np.array_equal(read["train"][69]["codes_stem"], np.full((2, 8), 69))
    read = datasets.load_dataset(
        "webdataset",
        data_files={"train": str(tmp_path / "webdataset" / "train-*.tar")},
        cache_dir=cache,
        split="train",
    )
    assert len(read) == 70
    assert read[69]["json"]["pair_id"] == "p000069"
    assert np.array_equal(read[69]["npy"], np.full((3, 2, 8), 69))


def test_a_songs_rows_say_where_they_come_from(tmp_path):
    write(tmp_path / "models", "encodec-32khz")
    tools, tracks, encoded, made = small_dataset(
        tmp_path / "artifacts", Weights(str(tmp_path / "models"))
    )
    track, pairs = tracks[1], encoded[1]["pairs"]
    found = list(
        dataset_files.song_rows(track, pairs, (tools.outputs, encoded[1]["codes_path"]), made)
    )
    table = pa.Table.from_batches(found)
    assert table.schema.equals(schema.dataset(made), check_metadata=True)
    assert table.num_rows == encoded[1]["chunks"] == 6
    last = table.drop_columns([f"codes_{signal}" for signal in made.signals]).to_pylist()[-1]
    expected = {
        "pair_id": pairs[1]["pair_id"],
        "chunk": 2,
        "song_id": track.track_id,
        "artist": "Artist a",
        "title": "Song a2",
        "instrument": "guitar",
        "stem_name": "lead gtr",
        "target": "a2-s0",
        "companions": ["a2-s2"],
        "companion_names": ["kit"],
        "kind": "random",
        "variant": 0,
        "start_seconds": 2.0,
        "frames": 25,
        "samples": 16_000,
        "stem_active_fraction": 1.0,
        "scales_stem": None,
        "scales_all": None,
        "scales_all_without": None,
        "pitch_semitones": 0.0,
        "tempo": 1.0,
        "gain_db": 0.0,
        "seed": pairs[1]["seed"],
        "distortions": pairs[1]["distortions"],
        "codec": "encodec-32khz",
        "codec_revision": tools.weights.revision("encodec-32khz"),
        "bandwidth_kbps": 2.2,
        "chunk_frames": 50,
        "frame_rate_hz": 50.0,
    }
    assert last == expected
    stored = pq.read_table(Path(tools.outputs.address, encoded[1]["codes_path"]))
    for signal in made.signals:
        assert table[f"codes_{signal}"].to_pylist() == stored[f"codes_{signal}"].to_pylist()
    assert all(field.metadata[b"description"] for field in table.schema)
    for content in (None, b"PAR1 no more"):
        if content:
            Path(tools.outputs.address, "gone.parquet").write_bytes(content)
        with pytest.raises(TrackError, match=r"gone\.parquet is gone from") as caught:
            list(dataset_files.song_rows(track, pairs, (tools.outputs, "gone.parquet"), made))
        assert caught.value.reason == "artifact-missing"
