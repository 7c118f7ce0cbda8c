"""An export as users run it: killed, and gone on with by several workers."""

import os
import signal
import time
from pathlib import Path

from tests.flows.conftest import environment
from tests.support import prefect_server
from tests.support.commands import ROOT, TIMEOUT_SECONDS, Forked
from tests.tasks.export.conftest import Export, song, write_songs
from tests.tasks.export.test_export import digests

EXPORT = ROOT / "flows" / "export.py"


def test_a_killed_export_goes_on_with_other_workers_to_the_same_bytes(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    records = []
    for number in range(60):
        audio = song(songs.parent, number % 6)["file_path"]
        records.append(song(songs.parent, number) | {"file_path": audio})
    source = write_songs(tmp_path, records)
    options = {"audio": "opus", "segments": True, "shard_rows": 3}
    whole = export(source, "webdataset", output=tmp_path / "whole", **options)
    killed = tmp_path / "killed"

    def command(workers: int) -> Forked:
        arguments = ["--to", "webdataset", "--output", killed, "--audio", "opus", "--segments"]
        arguments += ["--shard_rows", "3", "--workers", str(workers)]
        variables = environment(**prefect_server.variables())
        return Forked(EXPORT, [source, *arguments], ROOT, variables, new_session=True)

    running = command(1)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(list(killed.glob("*.tar"))) < 3:
        assert running.poll() is None, running.finished()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.finished()
    there = {path.name: path.stat().st_ino for path in killed.glob("*.tar")}
    assert len(there) < len(list(whole.glob("*.tar"))), "it was killed too late to say anything"
    assert not (killed / "manifest.json").exists()

    done = command(4).finished()
    assert done.status == 0, done.stderr
    assert digests(killed) == digests(whole)
    again = {path.name: path.stat().st_ino for path in killed.glob("*.tar")}
    # Two may have been written whose rows were not: a kill falls between the one and the other.
    assert sum(again[name] == node for name, node in there.items()) >= len(there) - 2
