"""Objects in a bucket of an S3-compatible store.

By boto3: its PUT is whole or not at all, where a stream of pyarrow's S3 filesystem
that is closed by an exception stores what had arrived; and what it raises tells causes
apart. It takes half a millisecond of CPU more for each GET.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blocks import s3_client, s3_faults
from blocks.s3_faults import (
    AccessDeniedError,
    Attempt,
    BucketError,
    NoBucketError,
    UnchangedError,
)

__all__ = ["AccessDeniedError", "Bucket", "BucketError", "NoBucketError"]

PIECE_BYTES = 256 * 2**10
"""How much of an object is in memory while it is read, and lost with a broken connection."""

MULTIPART_BYTES = 64 * 2**20
"""From this size a file is uploaded in parts: two requests more than their number."""

PART_BYTES = 16 * 2**20
UPLOAD_THREADS = 4

SIGNS = {
    "get_object": "ETag",
    "head_object": "ETag",
    "put_object": "ETag",
    "list_objects_v2": "IsTruncated",
}
"""What every store says in its answer to a request, and a web page does not."""


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3-compatible store.

    Whatever the store refuses, or still fails at after several attempts, is a
    :class:`BucketError` that names the bucket and the cause.

    Attributes
    ----------
    name
        Its name.
    block
        Name of a saved ``AwsCredentials`` block of Prefect; empty for what boto3 finds.
    """

    name: str
    block: str = ""

    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object by one GET, and one more each time that it breaks off.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        AccessDeniedError
            If it may not be read.
        """
        return self._pieces(key, self._call("get_object", key))

    def unless(self, key: str, tag: str) -> tuple[str, Iterator[bytes]] | None:
        """Return entity tag and content of an object by one GET, unless it still has a tag.

        Parameters
        ----------
        key
            The object's.
        tag
            Of the version that is known; "" for none.

        Raises
        ------
        FileNotFoundError, AccessDeniedError
            As :meth:`pieces`.
        """
        try:
            answer = self._call("get_object", key, **({"IfNoneMatch": tag} if tag else {}))
        except UnchangedError:
            return None
        return answer["ETag"], self._pieces(key, answer)

    def _pieces(self, key: str, answer: Any) -> Iterator[bytes]:
        """Yield what the answer to a GET holds, and go on where it breaks off."""
        from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError

        offset, failures = 0, 0
        while True:
            end = offset + answer["ContentLength"]
            try:
                while piece := answer["Body"].read(PIECE_BYTES):
                    yield piece
                    offset += len(piece)
                    failures = 0
            except BotoCoreError as error:
                failures += 1
                breaks_off = isinstance(error, (HTTPClientError, IncompleteReadError))
                if not breaks_off or failures == s3_client.max_attempts():
                    raise self._explained(error, "GetObject", key) from error
                time.sleep(s3_client.delay_seconds(failures))
            finally:
                answer["Body"].close()
            if offset == end:
                return
            conditions = {"Range": f"bytes={offset}-"} if offset else {}
            # Half of one object must not be continued with half of another.
            conditions |= {"IfMatch": answer["ETag"]} if "ETag" in answer else {}
            answer = self._call("get_object", key, **conditions)

    def put(self, key: str, data: bytes) -> None:
        """Store an object by one PUT."""
        self._call("put_object", key, Body=data)

    def upload(self, key: str, path: Path) -> str:
        """Store a file, large ones in parts; whole or not at all.

        Returns
        -------
        str
            Its entity tag; "" of one in parts, which is not told.
        """
        if path.stat().st_size < MULTIPART_BYTES:
            with open(path, "rb") as file:
                tag: str = self._call("put_object", key, Body=file)["ETag"]
            return tag
        if not self._upload_parts(key, path) and not self._upload_parts(key, path):
            raise BucketError(f"The upload of {self._address(key)} was aborted by someone else.")
        return ""

    def exists(self, key: str) -> bool:
        """Return whether there is an object, by one HEAD."""
        try:
            self._call("head_object", key)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        self._call("delete_object", key)

    def check_writable(self, key: str) -> None:
        """Make sure that objects can be stored and removed; gives up early."""
        with s3_client.few_attempts():
            self.put(key, b"")
            self.delete(key)

    def check_listable(self, prefix: str) -> None:
        """Make sure that objects can be listed; gives up early."""
        with s3_client.few_attempts():
            next(self.objects(prefix), None)

    def objects(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Yield key, size in bytes and entity tag of objects, by one LIST for each thousand."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for entry in page.get("Contents", ()):
                yield entry["Key"], entry["Size"], entry["ETag"]
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _upload_parts(self, key: str, path: Path) -> bool:
        """Upload a file in parts; False if it is unknown what became of it."""
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import BotoCoreError, ClientError

        config = TransferConfig(
            multipart_threshold=MULTIPART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=UPLOAD_THREADS,
            preferred_transfer_client="classic",
        )
        try:
            # When a part fails, it aborts the upload: nothing is stored.
            s3_client.client(self.block).upload_file(str(path), self.name, key, Config=config)
        except (BotoCoreError, S3UploadFailedError) as error:
            cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
            if isinstance(cause, ClientError) and s3_faults.code(cause) == "NoSuchUpload":
                # The answer to its completion was lost, and so it was completed twice.
                return False
            assert isinstance(cause, Exception)
            raise self._explained(cause, "UploadPart", key) from error
        return True

    def _call(self, method: str, key: str | None = None, **options: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        client = s3_client.client(self.block)
        if key is not None:
            options["Key"] = key
        try:
            answer = getattr(client, method)(Bucket=self.name, **options)
        except (BotoCoreError, ClientError, RecursionError) as error:
            operation = client.meta.method_to_api_mapping[method]
            raise self._explained(error, operation, key) from error
        if SIGNS.get(method, "ResponseMetadata") not in answer:
            raise s3_faults.no_store(self._failed(key))
        return answer

    def _address(self, key: str | None) -> str:
        return f"s3://{self.name}" if key is None else f"s3://{self.name}/{key}"

    def _failed(self, key: str | None, operation: str = "") -> Attempt:
        client = s3_client.client(self.block)
        return Attempt(
            bucket=self.name,
            where=self._address(key),
            operation=operation,
            endpoint=self._endpoint(),
            region=client.meta.region_name,
            settings=self._settings(),
            times=f"{s3_client.max_attempts()} times in a row",
        )

    def _explained(self, error: Exception, operation: str, key: str | None) -> Exception:
        """Turn what boto3 raised into what callers can handle, or people understand."""
        return s3_faults.explained(error, self._failed(key, operation))

    def _endpoint(self) -> str:
        """Return the address of the store, without a password that may be in it."""
        parts = urlsplit(s3_client.client(self.block).meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def _settings(self) -> str:
        """Return where the credentials are set."""
        if self.block:
            return f"Prefect's block aws-credentials/{self.block}"
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
