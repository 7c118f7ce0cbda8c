"""What is missing, what space it takes, and what is said of files that cannot be listed."""

from pathlib import Path

import pytest

from tasks.download import ANYTHING, published_size
from tasks.sources.catalogue import Content
from tasks.sources.source_file import SourceFile
from tasks.sources.survey import find, needed_bytes
from tests.support.corpora_archives import noise, song_describer, zipped
from tests.support.hub_server import HubServer
from tests.tasks.sources.corpora import publish, tools, use


def file(
    name: str, size_bytes: int | None, unpacked_bytes: int | None = None, root: str = ""
) -> SourceFile:
    content = Content(root=root, unpacked_bytes=unpacked_bytes)
    return SourceFile(name, f"fma/{name}", size_bytes=size_bytes, content=content)


def test_space_is_what_stays_and_the_largest_archives_that_pass(tmp_path: Path):
    files = [
        file("a.zip", 100),
        file("b.zip", 300, unpacked_bytes=1000),
        file("c.tar", 200),
        file("d.csv", 7),
        file("e.json", None),
        file("f.parquet", 50, root="audio"),
        file("g.parquet", 60),
    ]
    stays = 100 + 1000 + 200 + 7 + 50 + 60
    assert needed_bytes(files, tmp_path, at_once=1) == stays + 300
    assert needed_bytes(files, tmp_path, at_once=2) == stays + 300 + 200
    assert needed_bytes([], tmp_path, at_once=4) == 0


def test_what_has_arrived_takes_no_more_space(tmp_path: Path):
    (tmp_path / "fma").mkdir()
    (tmp_path / "fma/a.zip.partial").write_bytes(bytes(90))
    (tmp_path / "fma/d.csv.partial").write_bytes(bytes(5))
    files = [file("a.zip", 100), file("d.csv", 7)]
    assert needed_bytes(files, tmp_path, at_once=1) == 100 + 2 + 10


def test_a_size_that_no_table_has_is_asked_for(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, publish(server, {"a.zip": zipped({"a": noise(1)}), "b.csv": b"12345"}))
    found = find({"fma": None}, tools(server, tmp_path))
    assert [each.size_bytes for each in found.missing] == [len(server.plain["fma/a.zip"]), 5]
    assert server.requests == ["HEAD /plain/fma/a.zip", "HEAD /plain/fma/b.csv"]


def test_a_size_that_nobody_says_is_not_known(server: HubServer):
    server.plain["x"] = b"123"
    assert published_size(f"{server.plain_address}/x") == 3
    assert published_size(f"{server.plain_address}/y") is None
    assert published_size("http://127.0.0.1:9/x") is None
    server.has_no_lengths = True
    assert published_size(f"{server.plain_address}/x") is None


def test_the_state_of_a_file_lasts_until_something_is_lost(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, publish(server, {"b.csv": b"12345"}))
    [first] = find({"fma": None}, tools(server, tmp_path)).files
    [second] = find({"fma": None}, tools(server, tmp_path)).files
    assert first.state
    assert first.state == second.state
    assert first.expected != ANYTHING


def test_a_list_that_cannot_be_had_is_a_failure_that_names_the_page(
    server: HubServer, tmp_path: Path
):
    found = find({"song_describer": None}, tools(server, tmp_path))
    assert found.files == []
    [failure] = found.failures
    assert (failure["step"], failure["reason"]) == ("list", "refused")
    assert failure["file_path"] == "https://zenodo.org/api/records/10072001"
    assert "by hand from https://zenodo.org/records/10072001." in failure["message"]
    server.plain |= song_describer()
    assert len(find({"song_describer": None}, tools(server, tmp_path)).files) == 3
