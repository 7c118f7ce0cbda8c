from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.dataset.manifest import (
    MANIFEST,
    declare_unfinished,
    read_manifest,
    unchanged,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def test_what_is_written_is_read_back(folder: Storage, tmp_path: Path):
    assert read_manifest(folder) is None
    write_manifest(folder, {"name": "x", "counts": {"tracks": 1}})
    assert read_manifest(folder) == {"name": "x", "counts": {"tracks": 1}}
    assert list(read_manifest(folder)) == ["name", "counts"]
    write_manifest(folder, {"name": "x", "counts": {"tracks": 1}}, sort_keys=True)
    assert list(read_manifest(folder)) == ["counts", "name"]
    (tmp_path / MANIFEST).write_text("{half")
    assert read_manifest(folder) is None


def test_a_dataset_is_unchanged_if_its_fingerprint_and_all_of_its_files_are_there(
    folder: Storage, tmp_path: Path
):
    content = {"fingerprint": "f", "files": ["a.parquet"]}

    def files(manifest: dict[str, list[str]]) -> list[Path]:
        return [tmp_path / name for name in manifest["files"]]

    assert unchanged(folder, "f", files) is None
    write_manifest(folder, content)
    assert unchanged(folder, "f", files) is None, "its file is not there"
    (tmp_path / "a.parquet").write_text("")
    assert unchanged(folder, "f", files) == content
    assert unchanged(folder, "g", files) is None
    declare_unfinished(folder)
    assert unchanged(folder, "f", files) is None


def test_a_manifest_of_another_program_is_no_reason_to_stop(folder: Storage):
    write_manifest(folder, {"tool": "another"})
    assert unchanged(folder, "f", lambda manifest: manifest["files"]) is None
