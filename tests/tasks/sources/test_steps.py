"""Both steps over a real server that breaks off, lies and changes, and over a disk that loses."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import web
from tasks.sources import fetch
from tasks.sources.catalogue import Content
from tasks.sources.receipts import read, write
from tests.support.corpora_archives import noise, packed, parquet, seven_zipped, tarred, zipped
from tests.support.hub_server import HubServer
from tests.tasks.sources.corpora import contents, publish, rows, run, tools, use

AUDIO = {f"fma_small/000/{n:06d}.mp3": noise(n, 20_000) for n in (2, 5, 10)}
ARCHIVE = zipped(AUDIO)
NAME = "fma/fma_small.zip"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def small(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """FMA of one archive and one plain file."""
    files = {"fma_small.zip": ARCHIVE, "about.txt": b"FMA"}
    use(monkeypatch, publish(server, files, Content(root="fma_small")))
    server.headers[NAME] = {"ETag": '"1"'}
    return server


WHOLE = AUDIO | {"about.txt": b"FMA"}


def gets(server: HubServer) -> list[str]:
    return [each for each in server.requests if each.startswith("GET")]


def test_a_corpus_is_fetched_verified_unpacked_and_its_archive_gone(
    small: HubServer, tmp_path: Path
):
    found, results = run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    fetched = rows(results, "fetch")
    assert [row["fetched_bytes"] for row in fetched] == [len(ARCHIVE), 3]
    assert all(row["is_published"] for row in fetched)
    assert [row["files"] for row in rows(results, "unpack")] == [3, 1]
    assert rows(results, "unpack")[0]["unpacked_bytes"] == 60_000
    assert len(found.missing) == 2


def test_a_finished_corpus_costs_nothing(small: HubServer, tmp_path: Path):
    run(small, tmp_path)
    small.requests.clear()
    found, results = run(small, tmp_path)
    assert small.requests == []
    assert found.missing == []
    assert list(results.failures()) == []


@pytest.mark.parametrize("loss", ["file", "size", "all", "plain"])
def test_what_was_deleted_since_is_fetched_again(loss: str, small: HubServer, tmp_path: Path):
    run(small, tmp_path)
    folder = tmp_path / "fma"
    kept = (folder / "fma_small/000/000010.mp3").stat().st_ino
    if loss == "file":
        (folder / "fma_small/000/000002.mp3").unlink()
    elif loss == "size":
        (folder / "fma_small/000/000002.mp3").write_bytes(b"half")
    elif loss == "plain":
        (folder / "about.txt").unlink()
    else:
        for path in list(folder.rglob("*.*")):
            path.unlink()
    small.requests.clear()
    run(small, tmp_path)
    assert contents(folder) == WHOLE
    asked = {each.rpartition("/")[2] for each in gets(small)}
    assert (
        asked
        == {
            "file": {"fma_small.zip"},
            "size": {"fma_small.zip"},
            "plain": {"about.txt"},
            "all": {"fma_small.zip", "about.txt"},
        }[loss]
    )
    if loss != "all":
        # What is there is not written again.
        assert (folder / "fma_small/000/000010.mp3").stat().st_ino == kept


def test_results_that_were_deleted_alone_fetch_nothing(small: HubServer, tmp_path: Path):
    run(small, tmp_path)
    for path in (tmp_path / "checkpoints/steps").rglob("*.parquet"):
        path.unlink()
    small.requests.clear()
    _, results = run(small, tmp_path)
    assert gets(small) == []
    assert [row["files"] for row in rows(results, "unpack")] == [3, 1]


def test_a_transfer_that_breaks_off_goes_on_where_it_was(small: HubServer, tmp_path: Path):
    small.cuts[NAME] = [10_000, 5_000, 20_000]
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert small.sent[NAME] == len(ARCHIVE)


def test_a_transfer_that_is_given_up_goes_on_in_the_next_run(small: HubServer, tmp_path: Path):
    small.cuts[NAME] = [10_000, *[0] * web.TRIES]
    _, results = run(small, tmp_path)
    [(track, step, entry)] = results.failures()
    assert (track.path, step, entry.reason) == (NAME, "fetch", "unreachable")
    assert contents(tmp_path / "fma")["about.txt"] == b"FMA"
    assert (tmp_path / f"{NAME}.partial").stat().st_size == 10_000
    small.cuts.clear()
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert small.sent[NAME] == len(ARCHIVE)


def test_a_host_that_gives_nothing_is_waited_for_once(
    small: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small.statuses = [503] * web.TRIES
    _, results = run(small, tmp_path)
    # Of both files, the second would have come.
    assert [entry.reason for _, _, entry in results.failures()] == ["unreachable"] * 2
    assert len(gets(small)) == web.TRIES
    monkeypatch.setattr(fetch, "REST_SECONDS", 0.0)
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE


def test_a_failure_names_the_page_and_takes_up_what_a_person_puts_there(
    small: HubServer, tmp_path: Path
):
    del small.plain[NAME]
    _, results = run(small, tmp_path)
    [(_, _, entry)] = results.failures()
    assert entry.reason == "refused"
    assert "(status 404)" in entry.error
    assert "by hand from https://page.example/fma" in entry.error
    assert f"copy it to {tmp_path}/{NAME}." in entry.error
    (tmp_path / NAME).write_bytes(ARCHIVE)
    small.requests.clear()
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert gets(small) == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, "0"])
def test_a_busy_host_is_asked_again(
    status: int, retry_after: str | None, small: HubServer, tmp_path: Path
):
    small.statuses = [status, status]
    small.retry_after = retry_after
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE


def test_a_host_without_ranges_is_read_from_the_start(small: HubServer, tmp_path: Path):
    small.ignores_ranges = True
    small.cuts[NAME] = [10_000]
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert small.sent[NAME] == len(ARCHIVE) + 10_000


def test_halves_of_two_states_of_a_file_are_not_joined(small: HubServer, tmp_path: Path):
    # The host has another file when the transfer goes on.
    small.cuts[NAME] = [10_000, *[0] * web.TRIES]
    small.answers[NAME] = noise(9, len(ARCHIVE))
    run(small, tmp_path)
    small.cuts.clear()
    del small.answers[NAME]
    small.headers[NAME] = {"ETag": '"2"'}
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert small.sent[NAME] == len(ARCHIVE) + 10_000


def test_a_file_of_another_digest_is_refused_and_removed(small: HubServer, tmp_path: Path):
    small.answers[NAME] = noise(9, len(ARCHIVE))
    _, results = run(small, tmp_path)
    [(_, step, entry)] = results.failures()
    assert (step, entry.reason) == ("fetch", "not-the-published-file")
    assert "has SHA-1" in entry.error
    assert contents(tmp_path / "fma") == {"about.txt": b"FMA"}


def test_a_length_that_is_a_lie_is_found_out(small: HubServer, tmp_path: Path):
    # Less than the file has: what arrives is held to its digest.
    small.lengths[NAME] = len(ARCHIVE) - 100
    _, results = run(small, tmp_path)
    assert [entry.reason for _, _, entry in results.failures()] == ["not-the-published-file"]
    assert contents(tmp_path / "fma") == {"about.txt": b"FMA"}
    # More than comes: there is no rest, and what came is right.
    small.lengths[NAME] = len(ARCHIVE) + 100
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.tasks.sources import corpora
from tests.tasks.sources.test_steps import ARCHIVE, Content
from tests.support.hub_server import HubServer
import pytest
server = HubServer(address=sys.argv[1])
with pytest.MonkeyPatch.context() as patch:
    files = {"fma_small.zip": ARCHIVE, "about.txt": b"FMA"}
    corpora.use(patch, corpora.publish(server, files, Content(root="fma_small")))
    corpora.run(server, Path(sys.argv[2]))
"""


def test_a_run_that_is_killed_in_mid_transfer_goes_on(small: HubServer, tmp_path: Path):
    small.stalls[NAME] = 30_000
    command = [sys.executable, "-c", KILLED, small.address, str(tmp_path)]
    killed = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert small.stalled.wait(60)
    # What was sent has arrived.
    while not (part := tmp_path / f"{NAME}.partial").exists() or part.stat().st_size < 30_000:
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    small.stalls.clear()
    small.go_on.set()
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE
    assert small.sent[NAME] == len(ARCHIVE)


def test_two_runs_never_write_the_same_file(small: HubServer, tmp_path: Path):
    found, _ = run(small, tmp_path)
    (tmp_path / "fma/about.txt").unlink()
    [track] = [each for each in found.files if each.path == "fma/about.txt"]
    with tools(small, tmp_path).alone(track):
        _, results = run(small, tmp_path)
    assert [(step, entry.reason) for _, step, entry in results.failures()] == [("fetch", "in-use")]
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE


def test_an_archive_that_was_half_unpacked_is_finished(small: HubServer, tmp_path: Path):
    # As a run leaves it that is killed while it unpacks.
    folder = tmp_path / "fma"
    (folder / "fma_small/000").mkdir(parents=True)
    (folder / "fma_small.zip").write_bytes(ARCHIVE)
    name = "fma_small/000/000002.mp3"
    (folder / name).write_bytes(AUDIO[name])
    (folder / "fma_small/000/000005.mp3.fma_small.zip.partial").write_bytes(b"half")
    before = (folder / name).stat().st_ino
    run(small, tmp_path)
    assert contents(folder) == WHOLE
    assert (folder / name).stat().st_ino == before
    assert small.sent[NAME] == 0


def test_an_archive_that_is_deleted_before_it_is_unpacked_is_fetched_again(
    small: HubServer, tmp_path: Path
):
    run(small, tmp_path)
    [track] = [each for each in run(small, tmp_path)[0].files if each.path == NAME]
    receipt = read(tools(small, tmp_path).outputs, track)
    assert receipt is not None
    # As if the run had ended between the two steps, and somebody had tidied up.
    write(tools(small, tmp_path).outputs, track, replace(receipt, files=None))
    for path in (tmp_path / "fma/fma_small").rglob("*.mp3"):
        path.unlink()
    run(small, tmp_path)
    assert contents(tmp_path / "fma") == WHOLE


def test_hostile_members_are_left_out_and_listed(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = tarred({"../../evil.mp3": b"1", "48/948.mp3": b"2"}, links={"x.mp3": "/etc/passwd"})
    use(monkeypatch, publish(server, {"audio-00.tar": data}, Content(root="audio")))
    _, results = run(server, tmp_path)
    assert contents(tmp_path / "fma") == {"audio/48/948.mp3": b"2"}
    [row] = rows(results, "unpack")
    assert sorted(each["reason"] for each in row["refused"]) == ["path-escape", "symlink"]
    # As after a run that was killed before it stored the row.
    for path in (tmp_path / "checkpoints/steps").rglob("*.parquet"):
        path.unlink()
    assert rows(run(server, tmp_path)[1], "unpack")[0]["refused"] == row["refused"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".7z"])
def test_every_kind_of_archive_is_unpacked(
    suffix: str, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = packed(suffix, {"development/a.wav": noise(1)})
    use(monkeypatch, publish(server, {f"audio{suffix}": data}, Content(root="development")))
    run(server, tmp_path)
    assert contents(tmp_path / "fma") == {"development/a.wav": noise(1)}


def test_without_a_published_digest_the_one_that_was_seen_is_kept(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, publish(server, {"a.csv": b"a,b\n"}, is_verifiable=False))
    _, results = run(server, tmp_path)
    [row] = rows(results, "fetch")
    # sha256sum of the four bytes
    assert row["checksum"] == (
        "sha256:5be08c9684a1d25efcee09318204824278b08bbfb4aef973ffefd0b9d7478313"
    )
    assert row["is_published"] is False


def test_a_bad_archive_that_nothing_verified_is_fetched_anew(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    good = seven_zipped({"development/a.wav": noise(1)})
    source = publish(server, {"a.7z": b"<html>busy</html>"}, is_verifiable=False)
    use(monkeypatch, source)
    _, results = run(server, tmp_path)
    [(_, step, entry)] = results.failures()
    assert (step, entry.reason) == ("unpack", "corrupt")
    assert "the next run fetches it anew" in entry.error
    server.plain["fma/a.7z"] = good
    run(server, tmp_path)
    assert contents(tmp_path / "fma") == {"development/a.wav": noise(1)}


def test_audio_within_parquet_becomes_files(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = parquet([("1.mp3", b"one"), ("2.mp3", b"two")])
    second = parquet([("2.mp3", b"another two"), ("x/3.mp3", b"three"), ("../4.mp3", b"four")])
    files = {"data/train-0.parquet": first, "data/train-1.parquet": second}
    use(monkeypatch, publish(server, files, Content(root="audio")))
    _, results = run(server, tmp_path)
    expected = {"audio/1.mp3": b"one", "audio/2.mp3": b"two", "audio/3.mp3": b"three"}
    assert contents(tmp_path / "fma") == expected
    # A track that two tables have is the first's.
    assert [row["files"] for row in rows(results, "unpack")] == [2, 1]
    assert [each["reason"] for each in rows(results, "unpack")[1]["refused"]] == ["path-escape"]
    server.requests.clear()
    run(server, tmp_path)
    assert gets(server) == []
