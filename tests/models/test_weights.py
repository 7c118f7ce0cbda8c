import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from models import weights
from models.registry import HubSource, ModelCard, ModelFile
from models.weights import MANIFEST, SEEN, FileRecord, Manifest

CARD = ModelCard(
    name="toy",
    task="codec",
    library="none",
    adapter="none:none",
    revision="r1",
    licence="MIT",
    sources=(HubSource("owner/toy", "r1"),),
    files=(ModelFile("config.json"), ModelFile("model/weights.bin")),
)
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Of no bytes, as everyone knows it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that is right."""
    folder = tmp_path / "toy"
    (folder / "model").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model" / "weights.bin").write_bytes(b"1234")
    weights.write_manifest(folder, CARD, revision="r1", licence="MIT")
    return folder


def test_a_manifest_says_what_lies_there(folder: Path):
    (folder / "config.json").write_bytes(b"")
    (folder / ".hidden").write_text("x")
    written = weights.write_manifest(folder, CARD, revision="r2", licence="CC0-1.0")

    assert (written.name, written.revision, written.licence) == ("toy", "r2", "CC0-1.0")
    assert set(written.files) == {"config.json", "model/weights.bin"}
    assert written.files["config.json"] == FileRecord(EMPTY_SHA256, 0)
    assert weights.read_manifest(folder) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"files": {}}',
        '{"files": [], "name": "toy"}',
        '{"files": {"a": 1}, "name": "toy", "revision": "", "licence": "", "source": ""}',
    ],
)
def test_what_is_no_manifest_is_none(text: str, folder: Path):
    with pytest.raises(ValueError, match=r"manifest|Expecting value"):
        Manifest.from_json(text)
    (folder / MANIFEST).write_text(text)
    assert weights.read_manifest(folder) is None
    assert weights.problems(folder, CARD) == [f"{MANIFEST} is missing or damaged"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("files", {"../x": {"sha256": "", "size_bytes": 0}}),
        ("files", {"/etc/x": {"sha256": "", "size_bytes": 0}}),
        ("files", {"a/../../x": {"sha256": "", "size_bytes": 0}}),
        ("files", {"..\\x": {"sha256": "", "size_bytes": 0}}),
        ("revision", ".."),
        ("revision", "a/b"),
        ("revision", ""),
        ("name", "../toy"),
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(field: str, value: object, folder: Path):
    content = json.loads((folder / MANIFEST).read_text())
    assert Manifest.from_json(json.dumps(content)).name == "toy"
    with pytest.raises(ValueError, match="lead out of its folder"):
        Manifest.from_json(json.dumps(content | {field: value}))


def test_a_right_model_has_no_problems(folder: Path):
    assert weights.problems(folder, CARD) == []


def test_problems_are_named(folder: Path, tmp_path: Path):
    assert weights.problems(tmp_path / "nowhere", CARD) == ["it is not there"]
    assert weights.problems(folder, replace(CARD, name="other")) == ["its folder holds toy"]
    (folder / "config.json").write_text("[]")
    (folder / "model" / "weights.bin").write_bytes(b"12")
    assert weights.problems(folder, CARD) == [
        "config.json is damaged",
        "model/weights.bin has 2 bytes instead of 4",
    ]
    (folder / "config.json").unlink()
    assert weights.problems(folder, CARD)[0] == "config.json is missing"


def test_a_manifest_has_to_name_every_file_of_the_card(folder: Path):
    more = replace(CARD, files=(*CARD.files, ModelFile("vocab.txt")))
    assert weights.problems(folder, more) == ["vocab.txt is missing"]


def test_published_digests_bind_the_pinned_revision_only(folder: Path):
    right = weights.sha256(folder / "config.json")
    for file, expected in [
        (ModelFile("config.json", sha256=right), []),
        (ModelFile("config.json", sha256=right[:8], size_bytes=2), []),
        (ModelFile("config.json", sha256="0" * 8), ["config.json is not the published one"]),
        (ModelFile("config.json", size_bytes=3), ["config.json is not the published one"]),
    ]:
        assert weights.problems(folder, replace(CARD, files=(file,))) == expected
    wrong = replace(CARD, files=(ModelFile("config.json", sha256="0" * 8),), revision="r2")
    assert weights.problems(folder, wrong) == []


def test_contents_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    real = weights.sha256

    def counting(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(weights, "sha256", counting)
    for _ in range(3):
        assert weights.problems(folder, CARD) == []
    assert sorted(read) == ["config.json", "weights.bin"]
    # What changed is read again, and only that.
    (folder / "config.json").write_text("{}")
    os.utime(folder / "config.json", (1, 1))
    assert weights.problems(folder, CARD) == []
    assert read[2:] == ["config.json"]
    weights.forget(folder)
    weights.forget(folder)
    assert weights.problems(folder, CARD) == []
    assert len(read) == 5


def test_what_was_found_damaged_is_not_remembered_as_right(folder: Path):
    (folder / "config.json").write_text("[]")
    for _ in range(2):
        assert weights.problems(folder, CARD) == ["config.json is damaged"]
    (folder / SEEN).write_text("nonsense")
    assert weights.problems(folder, CARD) == ["config.json is damaged"]
