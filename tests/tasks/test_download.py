"""Single files from a real server, which breaks off, changes, is busy, and says little."""

import hashlib
import pickle
import random
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from blocks.storage import StorageError
from tasks import web
from tasks.download import ANYTHING, Expected, download
from tasks.web import DownloadError, RefusedError, UnreachableError
from tests.support.hub_server import HubServer, hub_server

CONTENT = random.Random(1).randbytes(200_000)
OTHER = random.Random(2).randbytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(web, "WAIT_SECONDS", 0.001)
    with hub_server() as state:
        state.plain["corpus.zip"] = CONTENT
        yield state


def get(
    server: HubServer, folder: Path, expected: Expected = ANYTHING, name: str = "corpus.zip"
) -> int:
    return download(f"{server.plain_address}/{name}", folder / name, expected=expected)


def get_a_part(server: HubServer, folder: Path, expected: Expected = ANYTHING) -> None:
    """Try until 50,000 bytes have arrived and the server is given up."""
    server.cuts["corpus.zip"] = [50_000, *[0] * web.TRIES]
    with pytest.raises(UnreachableError):
        get(server, folder, expected)
    server.cuts.clear()
    server.sent.clear()
    server.asked.clear()
    assert (folder / "corpus.zip.partial").read_bytes() == CONTENT[:50_000]
    assert not (folder / "corpus.zip").exists()


def has_only_the_file(folder: Path, content: bytes = CONTENT) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir()} == {"corpus.zip": content}


def test_a_file_arrives_and_nothing_else(server: HubServer, tmp_path: Path):
    steps: list[tuple[int, int | None]] = []
    fetched_bytes = download(
        f"{server.plain_address}/corpus.zip",
        tmp_path / "new" / "corpus.zip",
        expected=Expected(size_bytes=200_000, sha256=(SHA256, SHA256[:8]), md5=MD5.upper()),
        progress=lambda *step: steps.append(step),
    )
    assert fetched_bytes == 200_000
    assert has_only_the_file(tmp_path / "new")
    assert steps[0] == (0, 200_000)
    assert steps[-1] == (200_000, 200_000)


def test_an_empty_file_is_a_file(server: HubServer, tmp_path: Path):
    server.plain["corpus.zip"] = b""
    assert get(server, tmp_path) == 0
    assert has_only_the_file(tmp_path, b"")


@pytest.mark.parametrize(
    ("expected", "phrase"),
    [
        (Expected(sha256=("00" * 32,)), f"has SHA-256 {SHA256} instead of {'00' * 32}"),
        (Expected(sha256=("00000000",)), f"has SHA-256 {SHA256[:8]} instead of 00000000"),
        (Expected(md5="00" * 16), f"has MD5 {MD5} instead of {'00' * 16}"),
    ],
)
def test_another_file_is_refused_and_what_was_there_stays(
    expected: Expected, phrase: str, server: HubServer, tmp_path: Path
):
    (tmp_path / "corpus.zip").write_bytes(b"old")
    with pytest.raises(DownloadError) as raised:
        get(server, tmp_path, expected)
    assert str(raised.value) == (
        f"corpus.zip {phrase}: it is not the published one and was removed; if the same happens "
        "again, a proxy or mirror on the way changes it."
    )
    assert has_only_the_file(tmp_path, b"old")
    # Fetched once: it did not consist of parts, one of which might have been at fault.
    assert server.sent["corpus.zip"] == 200_000


def test_another_size_is_refused_before_the_transfer(server: HubServer, tmp_path: Path):
    with pytest.raises(DownloadError, match=r"has 200,000 bytes instead of 7: .* was not fetched"):
        get(server, tmp_path, Expected(size_bytes=7))
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


def test_a_file_without_an_end_is_not_fetched_for_ever(server: HubServer, tmp_path: Path):
    server.has_no_lengths = True
    with pytest.raises(DownloadError, match=r"has more than 1,000 bytes: .* was removed"):
        get(server, tmp_path, Expected(size_bytes=1_000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ETag": '"1"'}, ANYTHING),
        ({"Last-Modified": MODIFIED}, ANYTHING),
        ({"ETag": 'W/"1"', "Last-Modified": MODIFIED}, ANYTHING),
        ({}, Expected(sha256=(SHA256,))),
        ({}, Expected(md5=MD5)),
    ],
)
def test_the_next_try_goes_on_where_the_first_broke(
    headers: dict[str, str], expected: Expected, server: HubServer, tmp_path: Path
):
    server.headers["corpus.zip"] = headers
    get_a_part(server, tmp_path, expected)

    assert get(server, tmp_path, expected) == 150_000

    assert has_only_the_file(tmp_path)
    assert server.sent["corpus.zip"] == 150_000
    (asked,) = server.asked
    assert asked["Range"] == "bytes=50000-"
    strong = {"ETag": '"1"'}
    assert asked.get("If-Range") == ('"1"' if headers == strong else headers.get("Last-Modified"))


@pytest.mark.parametrize("ignores_if_range", [False, True])
@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_two_states_of_a_file_are_never_joined(
    header: str, ignores_if_range: bool, server: HubServer, tmp_path: Path
):
    server.headers["corpus.zip"] = {header: '"1"'}
    get_a_part(server, tmp_path)
    server.plain["corpus.zip"] = OTHER
    server.headers["corpus.zip"] = {header: '"2"'}
    server.ignores_if_range = ignores_if_range

    get(server, tmp_path)

    assert has_only_the_file(tmp_path, OTHER)


def test_a_file_that_changes_during_the_transfer_is_fetched_anew(server: HubServer, tmp_path: Path):
    server.headers["corpus.zip"] = {"ETag": '"1"'}
    server.stalls["corpus.zip"] = 50_000
    thread = threading.Thread(target=get, args=(server, tmp_path))
    thread.start()
    assert server.stalled.wait(60)
    server.plain["corpus.zip"] = OTHER
    server.headers["corpus.zip"] = {"ETag": '"2"'}
    server.stalls.clear()
    server.go_on.set()
    thread.join(60)
    assert has_only_the_file(tmp_path, OTHER)


def test_a_part_that_nothing_tells_the_state_of_is_not_used(server: HubServer, tmp_path: Path):
    (tmp_path / "corpus.zip.partial").write_bytes(CONTENT[:50_000])
    server.plain["corpus.zip"] = OTHER
    assert get(server, tmp_path) == 200_000
    assert has_only_the_file(tmp_path, OTHER)


def test_a_part_from_another_address_is_used_only_for_a_file_of_known_digest(
    server: HubServer, tmp_path: Path
):
    server.headers |= {"corpus.zip": {"ETag": '"1"'}, "mirror.zip": {"ETag": '"2"'}}
    server.plain["mirror.zip"] = CONTENT
    mirror = f"{server.plain_address}/mirror.zip"
    for expected, fetched_bytes in ((ANYTHING, 200_000), (Expected(sha256=(SHA256,)), 150_000)):
        get_a_part(server, tmp_path, expected)
        assert download(mirror, tmp_path / "corpus.zip", expected=expected) == fetched_bytes
        assert has_only_the_file(tmp_path)
        (tmp_path / "corpus.zip").unlink()


@pytest.mark.parametrize("spoilt", [b"\0" * 50_000, OTHER, OTHER + b"\0"])
def test_a_part_that_was_spoilt_costs_one_more_transfer(
    spoilt: bytes, server: HubServer, tmp_path: Path
):
    (tmp_path / "corpus.zip.partial").write_bytes(spoilt)
    get(server, tmp_path, Expected(sha256=(SHA256,)))
    assert has_only_the_file(tmp_path)


def test_a_part_that_is_whole_costs_no_transfer(server: HubServer, tmp_path: Path):
    expected = Expected(size_bytes=200_000, sha256=(SHA256,))
    (tmp_path / "corpus.zip.partial").write_bytes(CONTENT)
    assert get(server, tmp_path, expected) == 0
    assert has_only_the_file(tmp_path)
    assert server.requests == []


def test_a_server_without_ranges_is_read_from_the_start(server: HubServer, tmp_path: Path):
    server.headers["corpus.zip"] = {"ETag": '"1"'}
    server.ignores_ranges = True
    server.cuts["corpus.zip"] = [50_000, 100_000]
    assert get(server, tmp_path) == 350_000
    assert has_only_the_file(tmp_path)


def test_another_part_than_was_asked_for_is_not_used(server: HubServer, tmp_path: Path):
    server.headers["corpus.zip"] = {"ETag": '"1"'}
    server.cuts["corpus.zip"] = [50_000]
    server.skips_bytes = 10
    assert get(server, tmp_path) == 250_000
    assert has_only_the_file(tmp_path)


def test_without_a_length_the_end_is_that_of_the_connection(server: HubServer, tmp_path: Path):
    server.has_no_lengths = True
    steps: list[tuple[int, int | None]] = []
    download(
        f"{server.plain_address}/corpus.zip",
        tmp_path / "corpus.zip",
        progress=lambda *step: steps.append(step),
    )
    assert has_only_the_file(tmp_path)
    assert steps[-1] == (200_000, None)


@pytest.mark.parametrize("expected", [Expected(size_bytes=200_000), Expected(md5=MD5)])
def test_without_a_length_a_body_that_was_cut_is_known_by_what_is_expected(
    expected: Expected, server: HubServer, tmp_path: Path
):
    server.headers["corpus.zip"] = {"ETag": '"1"'}
    server.has_no_lengths = True
    server.cuts["corpus.zip"] = [50_000]
    if expected.size_bytes:
        assert get(server, tmp_path, expected) == 200_000
        assert has_only_the_file(tmp_path)
    else:
        with pytest.raises(DownloadError, match="has MD5"):
            get(server, tmp_path, expected)
        assert list(tmp_path.iterdir()) == []


def test_what_a_server_calls_an_encoding_is_stored_as_it_was_sent(
    server: HubServer, tmp_path: Path
):
    # As Apache does with archives whose names end in .gz.
    server.headers["corpus.zip"] = {"Content-Encoding": "x-gzip"}
    get(server, tmp_path)
    assert has_only_the_file(tmp_path)
    assert server.asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("form", ["seconds", "date", "nonsense", "longer than is waited"])
def test_a_busy_server_is_left_alone_as_long_as_it_asks(
    form: str, server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    in_half_a_minute = datetime.now(UTC) + timedelta(seconds=30)
    server.statuses = [429, 503]
    server.retry_after, low, high = {
        "seconds": ("7", 7.0, 7.0),
        "date": (format_datetime(in_half_a_minute, usegmt=True), 20.0, 30.0),
        "nonsense": ("soon", 0.001, 0.002),
        "longer than is waited": ("7200", web.LONGEST_WAIT_SECONDS, web.LONGEST_WAIT_SECONDS),
    }[form]

    get(server, tmp_path)

    assert len(waits) == 2
    assert all(low <= wait <= high for wait in waits)
    assert has_only_the_file(tmp_path)


def test_a_server_that_stays_away_is_one_sentence(server: HubServer, tmp_path: Path):
    server.statuses = [503] * web.TRIES
    with pytest.raises(UnreachableError) as raised:
        get(server, tmp_path)
    assert str(raised.value) == (
        "127.0.0.1 cannot be reached (status 503): check the network, and behind a proxy set "
        "HTTPS_PROXY; what was fetched is kept, and the same command goes on from it."
    )
    assert len(server.requests) == web.TRIES
    arrived = pickle.loads(pickle.dumps(raised.value))
    assert (arrived.host, str(arrived)) == ("127.0.0.1", str(raised.value))


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (403, "does not give corpus.zip to everyone (status 403): ask who publishes it"),
        (410, "has no corpus.zip (status 410): it was removed or renamed there"),
        (418, "does not give corpus.zip (status 418)"),
    ],
)
def test_what_a_server_refuses_is_one_sentence_at_once(
    status: int, phrase: str, server: HubServer, tmp_path: Path
):
    server.statuses = [status]
    with pytest.raises(RefusedError) as raised:
        get(server, tmp_path)
    assert str(raised.value).startswith(f"127.0.0.1 {phrase}")
    assert raised.value.status == status
    assert len(server.requests) == 1
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("url", ["no address", "ftp://127.0.0.1/x"])
def test_what_is_no_address_is_one_sentence_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(time, "sleep", None)
    with pytest.raises(UnreachableError) as raised:
        download(url, tmp_path / "x")
    assert "\n" not in str(raised.value)


def test_a_disk_without_room_is_known_before_the_transfer(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=160_000))
    # The size is the server's word here.
    with pytest.raises(StorageError, match=r"0\.0 GB more are needed .* make space for corpus"):
        get(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "corpus.zip.partial").write_bytes(CONTENT[:50_000])
    get(server, tmp_path, Expected(sha256=(SHA256,)))
    assert has_only_the_file(tmp_path)
