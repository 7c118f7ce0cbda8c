"""Pushes to a real server on the loopback interface that speaks the hub's upload API."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage
from tasks.export import hub as hub_module
from tasks.export import publish as publish_module
from tasks.export.hub import PublishError, hub_token
from tasks.export.publish import RECORD, Published, publish
from tests.support.hub_server import TOKEN
from tests.support.hub_to_publish_to import hub
from tests.support.hub_upload_server import (
    OWNER,
    READ_TOKEN,
    Dataset,
    Fault,
    HubUploadServer,
)
from tests.support.s3_server import bucket, store

__all__ = ["bucket", "hub", "store"]

ROOT = Path(__file__).parents[3]
NAME = f"{OWNER}/songs"
CARD = b"---\nlicense: cc-by-4.0\npretty_name: Songs\n---\n\n# Songs\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small export: a table, a card, audio, and texts beside it."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "README.md").write_bytes(CARD)
    (tmp_path / "LICENSE.md").write_bytes(b"CC-BY-4.0\n")
    pq.write_table(pa.table({"id": ["a", "b"]}), tmp_path / "train-00000.parquet")
    for number in range(3):
        (tmp_path / f"audio/{number}.flac").write_bytes(b"fLaC" + bytes([0, number]) * 2_000)
        (tmp_path / f"audio/{number}.json").write_text(f'{{"tempo": {90 + number}}}\n')
    (tmp_path / "audio/empty.txt").touch()
    return tmp_path


def push(folder: Path, name: str = NAME, **options: object) -> Published:
    place = Storage(str(folder))
    return publish(place, place.files(), name, **{"token": TOKEN, **options})  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def published(server: HubUploadServer, name: str = NAME) -> dict[str, bytes]:
    """What is there beside our record."""
    return {path: data for path, data in server.contents(name).items() if path != RECORD}


def test_a_folder_is_published_whole_and_private_and_then_nothing_is_sent_again(
    hub: HubUploadServer, folder: Path
):
    first = push(folder)

    assert published(hub) == contents(folder)
    assert hub.datasets[NAME].private
    assert set(hub.datasets[NAME].large) == {
        *(f"audio/{number}.flac" for number in range(3)),
        "train-00000.parquet",
    }
    assert first.address == f"{hub.address}/datasets/{NAME}"
    assert (first.private, first.sent, first.unchanged, first.removed) == (True, 10, 0, 0)
    assert first.sent_bytes == sum(map(len, contents(folder).values()))

    received, before = hub.received.total(), len(hub.requests)
    again = push(folder)

    assert (again.sent, again.sent_bytes, again.unchanged) == (0, 0, 10)
    assert hub.received.total() == received
    assert not [each for each in hub.requests[before:] if not each.startswith(("GET", "HEAD"))]
    assert len(hub.datasets[NAME].commits) == 1


@pytest.mark.parametrize("path", ["audio/1.flac", "audio/1.json"])
def test_of_a_file_that_changed_alone_its_content_is_sent(
    hub: HubUploadServer, folder: Path, path: str
):
    push(folder)
    received = hub.received.copy()
    # Of the same size, so that its digest alone tells.
    changed = (folder / path).read_bytes().replace(b"\1", b"\7").replace(b"91", b"97")
    (folder / path).write_bytes(changed)

    assert push(folder).sent == 1
    assert hub.received - received == {hashlib.sha256(changed).hexdigest(): len(changed)}
    assert hub.datasets[NAME].commits[1:] == [[f"+ {path}"]]
    assert published(hub) == contents(folder)


def test_what_is_no_longer_part_is_removed_if_a_push_put_it_there(
    hub: HubUploadServer, folder: Path
):
    push(folder)
    hub.datasets[NAME].files["notes.txt"] = b"by hand"
    (folder / "audio/2.flac").unlink()
    (folder / "audio/2.json").rename(folder / "audio/3.json")

    result = push(folder)

    assert (result.sent, result.removed) == (1, 2)
    assert published(hub) == contents(folder) | {"notes.txt": b"by hand"}
    assert (push(folder).sent, len(hub.datasets[NAME].commits)) == (0, 2)


def test_what_others_put_there_is_not_overwritten(hub: HubUploadServer, folder: Path):
    hub.datasets[NAME] = Dataset(private=True, files={"README.md": b"# Mine"})

    with pytest.raises(PublishError, match=r"holds README\.md, which was not put there by a push"):
        push(folder)
    assert hub.datasets[NAME].files == {"README.md": b"# Mine"}


def test_a_public_dataset_is_one_only_when_asked_for(hub: HubUploadServer, folder: Path):
    push(folder)
    assert not push(folder, private=False).private
    assert not hub.datasets[NAME].private
    (folder / "audio/0.json").write_text("{}")

    with pytest.raises(PublishError, match=r"is public, and --public was not given"):
        push(folder)
    assert len(hub.datasets[NAME].commits) == 1
    push(folder, "others", private=False)
    assert not hub.datasets[f"{OWNER}/others"].private


def test_a_push_that_is_killed_between_commits_goes_on_and_sends_nothing_twice(
    hub: HubUploadServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    code = f"""if True:
        import os, signal
        from blocks.storage import Storage
        from tasks.export import publish
        publish.FILES_PER_COMMIT = 2
        place = Storage({str(folder)!r})
        publish.publish(
            place, place.files(), {NAME!r}, token={TOKEN!r},
            progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL),
        )
    """
    environment = {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    # The licence is there before anything else is, and the record lists what is to come.
    assert hub.datasets[NAME].commits == [[f"+ {RECORD}", "+ README.md", "+ LICENSE.md"]]
    monkeypatch.setattr(publish_module, "FILES_PER_COMMIT", 2)

    result = push(folder)

    assert (result.sent, result.unchanged) == (8, 2)
    assert published(hub) == contents(folder)
    sizes = {hashlib.sha256(data).hexdigest(): len(data) for data in contents(folder).values()}
    assert {digest: hub.received[digest] for digest in sizes} == sizes


def test_what_a_killed_push_of_another_export_left_behind_is_removed(
    hub: HubUploadServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publish_module, "FILES_PER_COMMIT", 2)
    push(folder)
    for path in folder.glob("audio/*.flac"):
        path.rename(path.with_suffix(".opus"))
    hub.faults = [Fault(r"POST .*/commit/main", 500, skip=1, times=99)]
    with pytest.raises(PublishError):
        push(folder)
    assert any(path.endswith(".opus") for path in hub.datasets[NAME].large)
    hub.faults = []
    for path in folder.glob("audio/*.opus"):
        path.unlink()

    push(folder)

    assert published(hub) == contents(folder)


def test_content_that_arrived_is_not_sent_again_though_its_commit_failed(
    hub: HubUploadServer, folder: Path
):
    hub.faults = [Fault(r"POST .*/commit/main", 503, times=99)]
    with pytest.raises(PublishError, match=r"status 503.*run the same command again"):
        push(folder)
    puts = hub.asked(r"PUT /store/.*")
    assert puts == 4
    hub.faults = []

    push(folder)

    assert hub.asked(r"PUT /store/.*") == puts
    assert published(hub) == contents(folder)


@pytest.mark.parametrize(
    "request_",
    [
        "GET /api/whoami-v2",
        "POST /api/repos/create",
        r"GET .*/tree/main",
        r"POST .*/preupload/main",
        r"POST .*/objects/batch",
        r"PUT /store/.*",
        r"POST .*/commit/main",
    ],
)
@pytest.mark.parametrize("status", [429, 500, 0])
def test_a_hub_that_fails_for_a_while_is_asked_again(
    hub: HubUploadServer, folder: Path, request_: str, status: int
):
    hub.faults = [Fault(request_, status, times=2)]

    push(folder)

    assert published(hub) == contents(folder)


def test_a_commit_whose_answer_is_lost_is_done_once_more_and_harms_nothing(
    hub: HubUploadServer, folder: Path
):
    push(folder)
    (folder / "audio/1.json").write_text("{}")
    (folder / "audio/2.json").unlink()
    hub.faults = [Fault(r"POST .*/commit/main", 0, is_done=True)]

    push(folder)

    assert published(hub) == contents(folder)


def test_a_large_file_travels_in_the_parts_that_the_hub_asks_for(
    hub: HubUploadServer, folder: Path
):
    hub.part_bytes = 1_500

    push(folder)

    assert published(hub) == contents(folder)
    assert hub.asked(r"PUT /store/\w+/\d+") == 9


def test_large_files_go_by_xet_where_its_library_is_there(
    hub: HubUploadServer, folder: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("home")))
    hub.xet_store = tmp_path_factory.mktemp("xet")

    push(folder)

    assert hub.asked(r"(PUT /store|POST .*/objects/batch).*") == 0
    recorded = {path: sha256 for path, (sha256, _) in hub.datasets[NAME].large.items()}
    assert recorded == {
        path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in recorded
    }
    assert len(recorded) == 4
    assert push(folder).sent == 0


def test_texts_are_shared_out_among_commits_that_fit_into_memory(
    hub: HubUploadServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub_module, "INLINE_BYTES", 300)
    for number in range(3):
        (folder / f"audio/{number}.json").write_text(f'"{number}{"x" * 200}"')

    push(folder)

    assert published(hub) == contents(folder)
    commits = hub.datasets[NAME].commits
    assert all(sum(each.endswith("json") for each in commit) < 2 for commit in commits)
    # Large files, which are there already, take no room.
    assert {"+ audio/0.flac", "+ audio/0.json"} <= {*commits[1]}


@pytest.mark.parametrize(
    "card",
    [
        None,
        b"# Songs\nlicense: cc-by-4.0\n",
        b"---\npretty_name: Songs\n---\n",
        b"---\nlicense:\n---\n",
        b"---\nlicense: [\n---\n",
        b"---\nlicense: mit\n",
    ],
)
def test_without_a_licence_nothing_is_published(
    hub: HubUploadServer, folder: Path, card: bytes | None
):
    if card is None:
        (folder / "README.md").unlink()
    else:
        (folder / "README.md").write_bytes(card)

    with pytest.raises(PublishError, match=r"^Nothing is published without a licence"):
        push(folder)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"token": "hf_wrong"}, r"does not know the token: set HF_TOKEN"),
        ({"token": READ_TOKEN}, r"status 403\): its token may not write there"),
        ({"name": "strangers/songs"}, r"status 403\).* what strangers owns"),
        ({"name": "a/b/c"}, r"'a/b/c' names no dataset of the hub"),
        ({"token": "hf_secret\n"}, r"The token holds characters that no token has"),
    ],
)
def test_who_may_not_publish_is_told_the_remedy_and_never_the_token(
    hub: HubUploadServer, folder: Path, options: dict[str, str], sentence: str,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    with pytest.raises(PublishError, match=sentence) as caught:
        push(folder, **options)
    output = capfd.readouterr()
    said = str(caught.value) + caplog.text + output.out + output.err
    assert "hf_" not in said
    assert hub.datasets == {}


def test_without_a_token_one_is_asked_for(
    hub: HubUploadServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(PublishError, match=r"^Nothing is published without a token"):
        hub_token()
    (tmp_path / "token").write_text("hf_login")
    assert hub_token() == "hf_login"
    monkeypatch.setenv("HF_TOKEN", "hf_variable")
    assert hub_token() == "hf_variable"


def test_a_hub_that_is_not_there_is_one_sentence(
    hub: HubUploadServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(PublishError, match=r"^Sending to 127\.0\.0\.1 failed .*\S\.$"):
        push(folder)


def test_a_file_that_the_hub_leaves_out_is_not_passed_over(hub: HubUploadServer, folder: Path):
    hub.ignored = ("audio/0.json", "audio/0.flac")

    with pytest.raises(PublishError, match=r"has not taken 2 files, among them audio/0\.flac"):
        push(folder)


def test_files_of_a_bucket_are_published_too(hub: HubUploadServer, folder: Path, bucket: str):
    place = Storage(bucket)
    for path, content in contents(folder).items():
        place.write_bytes(path, content)

    assert publish(place, place.files(), NAME, token=TOKEN).sent == 10
    assert published(hub) == contents(folder)
    assert publish(place, place.files(), NAME, token=TOKEN).sent == 0
