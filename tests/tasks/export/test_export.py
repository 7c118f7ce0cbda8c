"""What every export keeps: rows, audio, splits, shards, resumption."""

import hashlib
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml

from blocks.storage import Storage
from flows.cli import UsageError
from flows.export_params import ExportParams
from tasks.dataset.manifest import write_manifest
from tasks.export.card import trust
from tasks.export.record import strays
from tests.support import concepts
from tests.support.commands import ROOT
from tests.support.hub_server import TOKEN
from tests.support.hub_to_publish_to import hub
from tests.support.hub_upload_server import HubUploadServer
from tests.support.s3_server import bucket
from tests.tasks.export.conftest import (
    RATE_HZ,
    Export,
    carried_out,
    failures,
    noise,
    song,
    write_songs,
)

__all__ = ["bucket", "hub"]


def members(folder: Path, split: str) -> dict[str, bytes]:
    """Members of the tars of a split, by name, but for embeddings."""
    found = {}
    for path in sorted(folder.glob(f"{split}-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".npy"):
                    continue
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def digests(folder: Path) -> dict[str, str]:
    """Of all files of an export but for what says when it was made.

    A kill leaves half a file behind, which is hidden as all are that are being written.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and "checkpoints" not in path.parts
        and path.name[0] != "."
        and path.name != "manifest.json"
    }


def test_splits_are_those_of_the_dataset(songs: Path, export: Export) -> None:
    folder = export(songs, "webdataset", audio="none")
    ids = {split: set(members(folder, split)) for split in ("train", "validation", "test")}
    assert ids == {
        "train": {f"{number:032x}.json" for number in range(4)},
        "validation": {f"{4:032x}.json"},
        "test": {f"{5:032x}.json"},
    }


def test_audio_is_cut_at_segments_without_a_gap(songs: Path, export: Export) -> None:
    folder = export(songs, "webdataset", segments=True)
    found = members(folder, "train")
    parts = []
    for number in range(2):
        (folder / "x.flac").write_bytes(found[f"{0:032x}-{number:03d}.flac"])
        samples, rate_hz = soundfile.read(folder / "x.flac", dtype="int16")
        assert rate_hz == RATE_HZ
        parts.append(samples)
    assert [len(part) for part in parts] == [16_000, 24_000]
    assert np.array_equal(np.concatenate(parts), noise(0))


def test_a_copy_has_the_bytes_of_the_file_and_a_link_leads_to_it(
    songs: Path, export: Export
) -> None:
    source = songs.parent / "songs" / "song-0.flac"
    found = members(export(songs, "webdataset"), "train")
    assert found[f"{0:032x}.flac"] == source.read_bytes()


def test_vocals_are_exported_in_place_of_the_mix(songs: Path, export: Export) -> None:
    folder = export(songs, "webdataset", vocals=True, audio="flac")
    (folder / "x.flac").write_bytes(members(folder, "test")[f"{5:032x}.flac"])
    samples, _ = soundfile.read(folder / "x.flac", dtype="int16")
    assert np.array_equal(samples, noise(5) // 2)


def test_rows_are_chosen_by_sql_over_segments_and_their_tracks(songs: Path, export: Export) -> None:
    where = "section_type = 'chorus' AND tempo > 92 AND artist <> 'Artist 3'"
    folder = export(songs, "webdataset", segments=True, audio="none", where=where)
    found = {**members(folder, "train"), **members(folder, "validation"), **members(folder, "test")}
    # The tempo of song n is 90.5 + n.
    assert sorted(found) == [f"{number:032x}-001.json" for number in (2, 4, 5)]


def test_a_column_of_segments_is_named_as_one(songs: Path, export: Export) -> None:
    with pytest.raises(UsageError, match=r"section_type is a column of segments.*--segments"):
        export(songs, "webdataset", audio="none", where="section_type = 'chorus'")
    # Of a segment, `duration` would be taken for its own length.
    with pytest.raises(UsageError, match="track_duration"):
        export(songs, "webdataset", audio="none", segments=True, where="duration < 2")


def test_a_condition_sees_no_file(songs: Path, export: Export) -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        export(songs, "webdataset", where="tempo > (SELECT count(*) FROM read_csv('/etc/passwd'))")


def test_licences_are_asked_for_what_they_allow(songs: Path, export: Export) -> None:
    folder = export(songs, "webdataset", audio="none", licence="commercial")
    assert sorted(members(folder, "train")) == [f"{1:032x}.json", f"{3:032x}.json"]


def test_a_row_without_audio_is_a_failure_and_is_tried_again(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    lost = song(songs.parent, 0) | {"file_path": str(tmp_path / "lost.flac")}
    source = write_songs(tmp_path, [lost, song(songs.parent, 1)])
    folder = export(source, "webdataset", output=tmp_path / "out")
    assert sorted(members(folder, "train")) == [f"{1:032x}.flac", f"{1:032x}.json"]
    [failed] = failures(folder)
    assert (failed["reason"], failed["track_id"]) == ("missing", f"{0:032x}")
    (tmp_path / "lost.flac").write_bytes((songs.parent / "songs" / "song-0.flac").read_bytes())
    export(source, "webdataset", output=tmp_path / "out")
    assert failures(folder) == []
    assert f"{0:032x}.flac" in members(folder, "train")


def test_a_file_that_is_gone_is_written_again(songs: Path, export: Export, tmp_path: Path) -> None:
    folder = export(songs, "webdataset", audio="none", output=tmp_path / "out")
    before = digests(folder)
    (folder / "train-00000.tar").unlink()
    (folder / "test-00000.tar").write_bytes(b"half")
    export(songs, "webdataset", audio="none", output=tmp_path / "out")
    assert digests(folder) == before


def test_what_an_earlier_export_wrote_is_removed_and_nothing_else(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    folder = export(songs, "webdataset", audio="none", output=tmp_path / "out")
    (folder / "mine.tar").write_bytes(b"somebody's")
    export(songs, "webdataset", audio="none", output=tmp_path / "out", where="split = 'train'")
    assert sorted(path.name for path in folder.glob("*.tar")) == ["mine.tar", "train-00000.tar"]


def test_files_that_are_not_of_the_export_are_said(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    folder = export(songs, "webdataset", audio="none", output=tmp_path / "out")
    assert strays(Storage(str(folder))) == []
    # As a run that was killed leaves one, of other options.
    (folder / "train-00007.tar").write_bytes(b"")
    assert strays(Storage(str(folder))) == ["train-00007.tar"]


def test_rows_and_targets_come_and_go(songs: Path, export: Export, tmp_path: Path) -> None:
    options = {"audio": "none", "output": tmp_path / "out"}
    folder = export(songs, "webdataset", **options)
    whole = digests(folder)
    export(songs, "webdataset", where="split = 'train'", **options)
    export(songs, "hf", **options)
    assert not list(folder.glob("*.tar"))
    export(songs, "webdataset", **options)
    assert digests(folder) == whole
    assert not list(folder.rglob("data/*"))


def leaking(songs: Path, tmp_path: Path, **changes: Any) -> Path:
    records = [song(songs.parent, number) for number in range(6)]
    records[5] |= changes
    return write_songs(tmp_path, records)


def test_a_group_in_two_splits_is_refused(songs: Path, export: Export, tmp_path: Path) -> None:
    source = leaking(songs, tmp_path, group="artist artist0")
    with pytest.raises(UsageError, match="artist artist0"):
        export(source, "webdataset", audio="none")


def test_of_duplicates_the_first_is_taken(songs: Path, export: Export, tmp_path: Path) -> None:
    records = [song(songs.parent, number) for number in range(3)]
    for record in records[1:]:
        record["duplicate_group"] = f"{1:032x}"
    folder = export(
        write_songs(tmp_path, records), "webdataset", audio="none", drop_duplicates=True
    )
    assert sorted(members(folder, "train")) == [f"{0:032x}.json", f"{1:032x}.json"]


def test_a_json_has_the_values_of_the_table(songs: Path, export: Export) -> None:
    found = members(export(songs, "webdataset", audio="none"), "train")
    row = pq.read_table(songs.with_suffix("") / "tracks.parquet").slice(0, 1).to_pylist()[0]
    said = orjson.loads(found[f"{0:032x}.json"])
    assert {name: said[name] for name in ("title", "tempo", "lyrics_words", "split", "beats")} == {
        name: row[name] for name in ("title", "tempo", "lyrics_words", "split", "beats")
    }


def test_a_bucket_holds_the_dataset_its_audio_and_the_export(
    songs: Path, export: Export, bucket: str, tmp_path: Path
) -> None:
    here = export(songs, "webdataset", segments=True, output=tmp_path / "here")
    root, there = songs.parent, Storage(f"{bucket}/there")
    for path in root.rglob("*.*"):
        there.write_bytes(str(path.relative_to(root)), path.read_bytes())
    params = ExportParams(
        dataset=f"{bucket}/there/songs.json",
        audio_dir=f"{bucket}/there",
        to="webdataset",
        output=f"{bucket}/out",
        segments=True,
    )
    carried_out(params)
    out = Storage(f"{bucket}/out")
    for name in ("train-00000.tar", "validation-00000.tar", "test-00000.tar", "README.md"):
        assert out.read_bytes(name) == (here / name).read_bytes(), name


def test_an_export_is_published_where_its_licences_allow_it(
    songs: Path, export: Export, hub: HubUploadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    options: dict[str, Any] = {"audio": "none", "push_to_hub": "somebody/songs"}
    with pytest.raises(UsageError, match="no derivatives"):
        export(songs, "webdataset", **options)
    assert hub.datasets == {}
    folder = export(songs, "webdataset", licence="share-alike", **options)
    assert hub.datasets["somebody/songs"].private
    sent = {path: data for path, data in hub.contents("somebody/songs").items() if path[0] != "."}
    assert sent.keys() >= {"README.md", "manifest.json", "failures.jsonl", "train-00000.tar"}
    assert not any("checkpoints" in path for path in sent)
    assert all((folder / path).read_bytes() == data for path, data in sent.items())


def test_the_card_says_licences_trust_and_what_is_null(songs: Path, export: Export) -> None:
    folder = export(songs, "webdataset", audio="none", where="tempo > 91 -- `fast`")
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "other"
    assert front["license_link"] == "LICENSE.md"
    assert "CC-BY-NC-ND-4.0" in (folder / "LICENSE.md").read_text()
    for line in (
        "| train | 3 |",
        "`--where tempo > 91 -- 'fast'`",
        "| `tempo`, `beats` | beats within 70 ms, F-measure 0.95; tempo within 4 % on every song |",
        "| `transcript` | all |",
        "| `title` | `string` | Title, from the metadata tables |",
    ):
        assert line in card, line


def test_floors_are_those_of_the_documents() -> None:
    document = (ROOT / "docs" / "dataset.md").read_text()
    rows = re.findall(
        r"^\| (`.+?`) \| (.+?) \|", document.partition("| Columns | Floor |")[2], re.M
    )
    stated = {tuple(re.findall(r"`(\w+)`", names)): floor for names, floor in rows}
    assert dict(trust()) == {names: stated[names] for names, _ in trust()}
    assert len(trust()) > 15


def test_rows_of_other_jobs_are_exported_too(export: Export, tmp_path: Path) -> None:
    place = concepts.dataset(tmp_path, train=2, validation=1)
    found = members(export(place, "webdataset", audio="flac", output=tmp_path / "out"), "train")
    said = [orjson.loads(data) for name, data in found.items() if name.endswith(".json")]
    assert sorted(row["concept"] for row in said) == ["8bit", "8bit", "pads", "pads"]
    assert sum(name.endswith(".flac") for name in found) == 4
    with pytest.raises(UsageError, match="--audio none"):
        export(stems(tmp_path / "stems"), "webdataset", output=tmp_path / "codes")
    options = {"audio": "none", "output": tmp_path / "codes"}
    folder = export(stems(tmp_path / "stems"), "webdataset", **options)
    assert [orjson.loads(data)["codes"] for data in members(folder, "validation").values()] == [[7]]


def stems(folder: Path) -> Path:
    """The least that a dataset of stems has: two pairs, one of them to validate with."""
    folder.mkdir(exist_ok=True)
    for number, split in enumerate(("train", "validation")):
        row = {"pair_id": f"p{number}", "chunk": 0, "song_id": f"s{number}", "codes": [6 + number]}
        row |= {"frames": 50, "frame_rate_hz": 50.0}
        pq.write_table(pa.Table.from_pylist([row]), folder / f"{split}-00000.parquet")
    write_manifest(Storage(str(folder)), {"fingerprint": "stems", "steps": []})
    return folder


def test_a_part_of_a_file_is_cut_where_the_target_cannot_say_so(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    audio = str(songs.parent / "songs" / "song-0.flac")
    row = {"id": "a.b", "audio_path": audio, "duration": 2.5, "split": "train", "group": "x"}
    row |= {"start_seconds": 1.0, "end_seconds": 2.25, "license": "CC-BY-4.0"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "unified.parquet")
    write_manifest(Storage(str(tmp_path)), {"fingerprint": "unified"})
    folder = export(tmp_path, "webdataset", audio="copy", output=tmp_path / "out")
    [name] = [name for name in members(folder, "train") if name.endswith(".flac")]
    assert name.count(".") == 1
    (tmp_path / "x.flac").write_bytes(members(folder, "train")[name])
    samples, _ = soundfile.read(tmp_path / "x.flac", dtype="int16")
    assert np.array_equal(samples, noise(0)[16_000:36_000])
