"""What storage does when a bucket's store fails, is slow, refuses or is not there."""

import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from blocks import s3, s3_client
from blocks.s3 import AccessDeniedError
from blocks.storage import Storage, StorageError
from tests.support.s3_server import S3Server, bucket, store

__all__ = ["bucket", "store"]

CONTENT = np.random.default_rng(0).bytes(700_000)
"""Several pieces."""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as short as a test can bear; how long they really are has a test of its own."""
    monkeypatch.setattr(s3_client, "LONGEST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(s3_client, "ATTEMPTS", 5)


@pytest.fixture
def storage(bucket: str, store: S3Server) -> Storage:
    """A bucket that holds one object."""
    storage = Storage(bucket)
    storage.write_bytes("a.bin", CONTENT)
    store.forget()
    return storage


def write(storage: Storage) -> None:
    with storage.writing("new.bin") as path:
        path.write_bytes(CONTENT)


PASSING = [
    {"kind": "status", "status": 503, "code": "SlowDown"},
    {"kind": "status", "status": 500, "code": "InternalError"},
    {"kind": "status", "status": 502, "code": "BadGateway"},
    {"kind": "status", "status": 504, "code": "GatewayTimeout"},
    {"kind": "status", "status": 400, "code": "RequestTimeout"},
    {"kind": "reset"},
    {"kind": "lost"},
]
OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "GET": lambda storage: storage.read_bytes("a.bin"),
    "PUT": write,
    "HEAD": lambda storage: storage.exists("a.bin"),
    "LIST": lambda storage: storage.files(),
    "DELETE": lambda storage: storage.delete("a.bin"),
}


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.get("code", fault["kind"]))
def test_what_passes_is_tried_again(storage: Storage, store: S3Server, fault: dict):
    for operation, act in OPERATIONS.items():
        if operation == "HEAD" and fault.get("code") == "RequestTimeout":
            # The answer to a HEAD has no body, and so no code.
            continue
        store.forget()
        store.breaks(operation, **fault, times=2)
        act(storage)
        assert store.counts == {operation: 3}
    assert storage.read_bytes("new.bin") == CONTENT
    assert storage.files() == ["new.bin"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "status", "status": 503, "code": "SlowDown"}, "asks to slow down, 5 times"),
        ({"kind": "status", "status": 500, "code": "InternalError"}, "fails at .*, 5 times"),
        ({"kind": "reset"}, "cannot be reached at http://127.*, 5 times"),
    ],
)
def test_what_does_not_pass_is_given_up(
    storage: Storage, store: S3Server, operation: str, fault: dict, cause: str
):
    store.breaks(operation, **fault, times=100)
    with pytest.raises(StorageError, match=f"^Bucket songs {cause}.*what is finished stays.$"):
        OPERATIONS[operation](storage)
    assert store.counts == {operation: 5}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_denied_is_not_tried_again(storage: Storage, store: S3Server, operation: str):
    store.breaks(operation, "status", status=403, code="AccessDenied")
    with pytest.raises(AccessDeniedError, match=r"^Access to s3://songs.* is denied") as caught:
        OPERATIONS[operation](storage)
    assert store.counts == {operation: 1}
    # As of a file that may not be read; and workers send it to the flow.
    assert isinstance(caught.value, PermissionError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"]
)
def test_wrong_credentials_are_named(storage: Storage, store: S3Server, code: str):
    store.breaks("LIST", "status", status=403, code=code)
    with pytest.raises(
        StorageError, match=f"does not accept the credentials for bucket songs .{code}"
    ) as caught:
        storage.files()
    assert store.counts == {"LIST": 1}
    assert "test-secret" not in "".join(traceback.format_exception(caught.value))


def test_missing_credentials_are_named(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"no credentials for bucket songs.*AWS_PROFILE"):
        storage.files()


def test_a_missing_profile_is_named(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "studio")
    with pytest.raises(StorageError, match=r"profile .studio. could not be found"):
        storage.files()


@pytest.mark.parametrize(
    "act",
    [
        lambda storage: storage.files(),
        lambda storage: storage.read_bytes("a.bin"),
        lambda storage: storage.write_bytes("a.bin", b"1"),
        lambda storage: storage.check_writable(),
    ],
)
def test_a_missing_bucket_is_named(store: S3Server, act: Callable[[Storage], object]):
    with pytest.raises(StorageError, match=r"^There is no bucket nowhere at http://127"):
        act(Storage("s3://nowhere/x"))
    assert store.requests == [store.requests[0]]


def test_an_impossible_bucket_name_is_named(store: S3Server):
    with pytest.raises(StorageError, match=r"^s3://a_b&c .* no valid name of a bucket\.$"):
        Storage("s3://a_b&c/x").files()


@pytest.mark.parametrize("url", ["nonsense", "http://"])
def test_an_impossible_endpoint_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(StorageError, match="S3 cannot be used with these settings"):
        Storage(bucket).files()


def test_a_store_that_is_not_there_is_named_without_its_password(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@127.0.0.1:9")
    with pytest.raises(StorageError, match=r"songs cannot be reached at http://127\.0\.0\.1:9 "):
        Storage(bucket).files()


def test_a_probe_gives_up_early(bucket: str, store: S3Server):
    store.breaks("PUT", "status", times=100)
    with pytest.raises(StorageError, match="slow down, 4 times"):
        Storage(bucket).check_writable()
    assert store.counts == {"PUT": s3_client.PROBE_ATTEMPTS}
    store.forget()
    with pytest.raises(StorageError, match="slow down, 5 times"):
        Storage(bucket).write_bytes("a.bin", b"1")


def test_all_attempts_together_outlast_an_outage_of_20_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    for _ in range(100):
        waits = [s3_client.delay_seconds(attempt) for attempt in range(1, s3_client.ATTEMPTS)]
        assert 20 < sum(waits) < 60
    assert len({s3_client.delay_seconds(3) for _ in range(20)}) == 20, "without jitter"
    assert s3_client.delay_seconds(1000) <= s3_client.LONGEST_DELAY_SECONDS


def test_many_threads_outlast_an_outage(storage: Storage, store: S3Server):
    # With botocore's own retries a process has no more than 35 of them in all.
    store.breaks("GET", "status", status=500, code="InternalError", times=60)
    s3_client.ATTEMPTS = 30
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: storage.read_bytes("a.bin"), range(8)))
    assert read == [CONTENT] * 8
    assert store.counts == {"GET": 68}


def test_a_late_answer_is_asked_for_again(
    storage: Storage, store: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_SECONDS", 2.0)
    s3_client._clients.clear()
    store.breaks("GET", "late", seconds=4.0)
    assert storage.read_bytes("a.bin") == CONTENT
    assert store.counts == {"GET": 2}
    s3_client._clients.clear()


@pytest.mark.parametrize("kind", ["cut mid-body", "reset mid-body"])
def test_a_body_that_breaks_off_is_continued(storage: Storage, store: S3Server, kind):
    store.breaks("GET", kind, times=2)
    assert storage.read_bytes("a.bin") == CONTENT
    first, second, third = store.ranges
    assert first is None
    starts = [int(range.removeprefix("bytes=").removesuffix("-")) for range in (second, third)]
    # Half of it, and half of the rest, in whole pieces.
    assert 0 < starts[0] <= len(CONTENT) / 2 < starts[1] + s3.PIECE_BYTES


def test_a_body_that_always_breaks_off_is_given_up(storage: Storage, store: S3Server):
    storage.write_bytes("small.bin", b"1")
    store.forget()
    store.breaks("GET", "cut mid-body", times=100)
    with pytest.raises(StorageError, match=r"songs.*5 times in a row"):
        storage.read_bytes("small.bin")
    assert store.counts == {"GET": 5}


def test_a_listing_that_breaks_off_is_asked_for_again(storage: Storage, store: S3Server):
    store.breaks("LIST", "cut mid-body")
    assert storage.files() == ["a.bin"]
    assert store.counts == {"LIST": 2}


def test_halves_of_two_objects_are_never_joined(storage: Storage, store: S3Server):
    store.breaks("GET", "cut mid-body")
    pieces = storage.pieces("a.bin")
    next(pieces)
    storage.write_bytes("a.bin", bytes(len(CONTENT)))
    with pytest.raises(StorageError, match="was replaced while it was read"):
        list(pieces)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Content of three parts."""
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 5 * 2**20)
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)
    return np.random.default_rng(2).bytes(11 * 2**20)


def upload(storage: Storage, content: bytes) -> None:
    with storage.writing("large.bin") as path:
        path.write_bytes(content)


@pytest.mark.parametrize("operation", ["START", "PART", "COMPLETE"])
@pytest.mark.parametrize("kind", ["status", "reset"])
def test_every_request_of_an_upload_in_parts_is_tried_again(
    storage: Storage, store: S3Server, small_parts: bytes, operation: str, kind
):
    store.breaks(operation, kind, times=2)
    upload(storage, small_parts)
    wanted = {"START": 1, "PART": 3, "COMPLETE": 1}
    assert store.counts == wanted | {operation: wanted[operation] + 2}
    assert storage.read_bytes("large.bin") == small_parts


def test_an_upload_that_fails_is_aborted_and_leaves_nothing(
    storage: Storage, store: S3Server, small_parts: bytes
):
    storage.write_bytes("large.bin", b"before")
    store.forget()
    store.breaks("PART", "status", after=1, times=100)
    with pytest.raises(StorageError, match="songs asks to slow down"):
        upload(storage, small_parts)
    assert store.counts["ABORT"] == 1
    assert "COMPLETE" not in store.counts
    uploads = s3_client.client("").list_multipart_uploads(Bucket="songs")
    assert "Uploads" not in uploads
    assert storage.read_bytes("large.bin") == b"before"


def test_an_upload_that_is_denied_is_said_to_be(
    storage: Storage, store: S3Server, small_parts: bytes
):
    store.breaks("START", "status", status=403, code="AccessDenied")
    with pytest.raises(AccessDeniedError, match=r"s3://songs/some/prefix/large\.bin is denied"):
        upload(storage, small_parts)


def test_an_upload_whose_completion_was_not_confirmed_is_whole(
    storage: Storage, store: S3Server, small_parts: bytes
):
    store.breaks("COMPLETE", "lost")
    # What stores say that forget an upload once it is complete.
    store.breaks("COMPLETE", "status", status=404, code="NoSuchUpload")
    upload(storage, small_parts)
    assert store.counts["START"] == 2
    assert storage.read_bytes("large.bin") == small_parts


def test_a_block_without_the_package_for_it_is_one_sentence(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "prefect_aws", None)
    with pytest.raises(StorageError, match="needs the package prefect-aws"):
        Storage("s3://studio@songs").files()


def test_a_server_of_prefect_that_does_not_answer_is_one_sentence(bucket: str):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(StorageError, match="block aws-credentials/studio cannot be read"),
    ):
        Storage("s3://studio@songs").files()


@contextmanager
def answering(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, **headers: str
) -> Iterator[None]:
    """An endpoint that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    try:
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{web.server_port}")
            yield
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def refusal(code: str, more: str = "") -> str:
    return f"<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>"


CHECKS: dict[str, Callable[[Storage], object]] = {
    "list": lambda storage: storage.check_listable(),
    "write": lambda storage: storage.check_writable(),
    "read": lambda storage: storage.read_bytes("a.bin"),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_page_is_no_store(bucket: str, monkeypatch: pytest.MonkeyPatch, check: str, status: int):
    page = "<html><body>Login to the campus network</body></html>"
    with (
        answering(monkeypatch, status, page, Content_Type="text/html"),
        pytest.raises(StorageError, match=r"is no S3 store.*correct AWS_ENDPOINT_URL"),
    ):
        CHECKS[check](Storage(bucket))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, refusal("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), "=eu-west-3"),
        (
            400,
            refusal("PermanentRedirect", "<Endpoint>songs.s3.eu-west-3.amazonaws.com</Endpoint>"),
            "in eu-west-3",
        ),
        (400, refusal("IllegalLocationConstraintException"), "AWS_DEFAULT_REGION to it"),
        (403, refusal("RequestTimeTooSkewed"), "^The clock of this machine differs"),
        (501, refusal("NotImplemented"), r"refuses .* \(NotImplemented: No\.\)"),
    ],
)
def test_a_wrong_region_and_a_wrong_clock_are_named(
    bucket: str, monkeypatch: pytest.MonkeyPatch, check: str, status: int, body: str, said: str
):
    with answering(monkeypatch, status, body), pytest.raises(StorageError, match=said):
        CHECKS[check](Storage(bucket))
