"""download-datasets as users run it, from a server that stands for all hosts."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import download_datasets
from flows.cli import UsageError
from flows.download_datasets_params import DownloadDatasetsParams
from tasks.sources import survey
from tests.flows.conftest import environment, standing_worker
from tests.flows.test_imports import HEAVY, loaded_by
from tests.support import commands, prefect_server
from tests.support.commands import ROOT, Finished
from tests.support.corpora_archives import (
    musicbench,
    noise,
    song_describer,
    zenodo_record,
)
from tests.support.hub_server import HubServer, hub_server

AUDIO = "records/10072001/files/audio.zip"
CLOTHO = "records/4783391/files"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with hub_server() as state:
        state.plain |= song_describer() | musicbench()
        state.headers[AUDIO] = {"ETag": '"1"'}
        yield state


def download(server: HubServer, output: Path, *arguments: str) -> Finished:
    options = ("--mirror", server.plain_address, "--output", str(output), *standing_worker())
    return commands.run_forked(
        ROOT / "flows" / "download_datasets.py",
        (*arguments, *options),
        ROOT,
        environment(**prefect_server.variables()),
    )


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_corpora_from_the_command_line(server: HubServer, tmp_path: Path):
    # The transfer breaks off once; of Clotho's archives one is not the published one, and no
    # other is there. Its sizes are the server's to say, so that any disk has room for them.
    server.cuts[AUDIO] = [2000]
    server.plain[f"{CLOTHO}/clotho_audio_development.7z"] = noise(1)
    server.plain["api/records/4783391"] = zenodo_record(4783391, {"LICENSE": b"of the clips"})
    server.plain[f"{CLOTHO}/LICENSE"] = b"of the clips"
    names = ("--datasets", "song_describer", "musicbench", "clotho", "--accept-licence")
    done = download(server, tmp_path, *names)
    assert (done.status, "Traceback" in done.stderr) == (0, False), done
    assert "Song Describer: CC-BY-SA-4.0" in done.stdout
    assert f"3 of 3 files fetched, 5 files in {tmp_path}/song_describer" in done.stdout
    assert "Clotho: 1 of 4 files fetched" in done.stdout
    assert "by hand from https://zenodo.org/records/4783391" in done.stdout
    assert "unify_datasets.py --datasets song_describer musicbench" in done.stdout
    for number in range(3):
        path = tmp_path / f"song_describer/audio/{number:02d}/{number}.2min.mp3"
        assert path.read_bytes() == noise(number)
    assert (tmp_path / "musicbench/data/abc.wav").read_bytes() == noise(1)
    assert not (tmp_path / "song_describer/audio.zip").exists()
    assert not (tmp_path / "song_describer/song_describer.mtg-jamendo.tsv").exists()
    record = read(tmp_path / "song_describer/source.json")
    assert record["licence"].startswith("CC-BY-SA-4.0")
    [audio] = [each for each in record["files"] if each["name"] == "audio.zip"]
    assert audio["checksum"].startswith("md5:")
    assert audio["checksum_is_published"]
    assert audio["unpacked_files"] == 3
    lines = (tmp_path / "failures.jsonl").read_text().splitlines()
    failures = [json.loads(line) for line in lines]
    assert sorted((each["reason"], each["in_dataset"]) for each in failures) == [
        ("not-the-published-file", False),
        ("refused", False),
        ("refused", False),
    ]
    assert server.sent[AUDIO] == len(server.plain[AUDIO])

    # What is there is not fetched again, and what failed counts where that is asked for.
    server.requests.clear()
    done = download(server, tmp_path, *names, "--on-error", "fail")
    assert (done.status, "Traceback" in done.stderr) == (1, False), done
    assert "3 files failed (not-the-published-file 1, refused 2)" in done.stderr
    fetched = {each for each in server.requests if each.startswith("GET") and "/api/" not in each}
    parts = ("development", "validation", "evaluation")
    assert fetched == {f"GET /plain/{CLOTHO}/clotho_audio_{part}.7z" for part in parts}


def params(tmp_path: Path, **values: Any) -> DownloadDatasetsParams:
    return DownloadDatasetsParams(output=tmp_path, **values)


def test_licences_that_are_not_open_have_to_be_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked = params(tmp_path, datasets=["fma", "musdb18", "clotho"])
    with pytest.raises(UsageError, match=r"^MUSDB18 and Clotho may not .* --accept-licence"):
        download_datasets.check(asked)
    said = capsys.readouterr().out
    assert "MUSDB18: for educational purposes only" in said
    assert "https://zenodo.org/records/1117372" in said
    download_datasets.check(asked.model_copy(update={"accept_licence": True}))
    download_datasets.check(params(tmp_path, datasets=["fma", "song_describer"]))


def test_without_a_name_the_corpora_are_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"--datasets names the corpora .* fma, jamendo_max_caps"):
        download_datasets.check(params(tmp_path))


def test_a_disk_without_room_is_known_before_any_transfer(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=10**9))
    monkeypatch.setattr(survey, "published_size", lambda url: None)
    asked = params(tmp_path, datasets=["fma"], mirror=server.plain_address)
    # 0.27 GB of metadata, 7.73 GB of clips, and both archives while they are unpacked
    with pytest.raises(UsageError, match=r"^16\.1 GB more are needed .* choose fewer corpora"):
        download_datasets.survey(asked)
    assert server.requests == []


def test_nothing_that_can_be_fetched_is_a_failure(tmp_path: Path):
    with hub_server() as empty:
        done = download(empty, tmp_path, "--datasets", "song_describer")
    assert (done.status, "Traceback" in done.stderr) == (1, False), done
    assert "Nothing could be fetched." in done.stderr
    assert "by hand from https://zenodo.org/records/10072001" in done.stderr


def test_the_flow_stays_light():
    loaded = loaded_by("import flows.download_datasets")
    assert "prefect" in loaded
    assert not loaded & (HEAVY | {"h5py", "faiss", "py7zr"})
