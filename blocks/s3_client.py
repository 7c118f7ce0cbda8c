"""Clients of S3-compatible stores: one per process and set of credentials, and patient.

Retries are hooked into boto3 here instead of chosen from its modes: those of
`standard` draw on a quota of 35 until something succeeds, which eight threads use up
within a second of an outage, and those of `legacy` wait ever longer without a bound.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from blocks.storage_error import StorageError

ATTEMPTS = 10
"""How often a request is sent at most, over 28 to 56 s: a store may be restarted meanwhile.

``AWS_MAX_ATTEMPTS`` is another number."""

PROBE_ATTEMPTS = 4
"""The same where somebody waits for the answer, and the address may be wrong: 2 to 4 s."""

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
CONNECTIONS = 32

PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
SLOW_DOWN_CODES = frozenset({"SlowDown", "ServiceUnavailable", "TooManyRequests", "503"})
PASSING_CODES = SLOW_DOWN_CODES | {"RequestTimeout", "OperationAborted"}

_is_probe: ContextVar[bool] = ContextVar("is_probe", default=False)
_clients: dict[Any, Any] = {}
_lock = Lock()


def client(block: str) -> Any:
    """Return the boto3 client of all threads of this process, made when it is first asked for.

    Parameters
    ----------
    block
        Name of a saved ``AwsCredentials`` block of Prefect; empty for what boto3
        finds itself: the environment, a profile, the role of the machine.

    Raises
    ------
    StorageError
        If the block, the profile or the endpoint cannot be used.
    """
    # Nothing but the environment can change after a client was made.
    settings = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
    with _lock:
        if (block, settings) not in _clients:
            _clients[block, settings] = _made(block)
        return _clients[block, settings]


@contextmanager
def few_attempts() -> Iterator[None]:
    """Give up requests after ``PROBE_ATTEMPTS`` inside the block."""
    token = _is_probe.set(True)
    try:
        yield
    finally:
        _is_probe.reset(token)


def max_attempts() -> int:
    """Return how often a request is sent at most."""
    limit = int(os.environ.get("AWS_MAX_ATTEMPTS") or ATTEMPTS)
    return min(limit, PROBE_ATTEMPTS) if _is_probe.get() else limit


def delay_seconds(attempt: int) -> float:
    """Return the seconds to wait after an attempt, the first being 1: ever longer, with jitter."""
    longest: float = min(FIRST_DELAY_SECONDS * 2 ** (attempt - 1), LONGEST_DELAY_SECONDS)
    # Never less than half, so that all attempts together outlast a restart.
    return longest * random.uniform(0.5, 1)


def _made(block: str) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    options: dict[str, Any] = {}
    try:
        max_attempts()
        if block:
            saved = _credentials(block)
            options = saved.aws_client_parameters.get_params_override()
            session = saved.get_boto3_session()
        else:
            session = boto3.Session()
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        if given := options.pop("config", None):
            config = given.merge(config)
        # Every other client of S3 reads AWS_REGION; boto3 does not.
        region = session.region_name or os.environ.get("AWS_REGION")
        made = session.client("s3", region_name=region, config=config, **options)
    except (BotoCoreError, ValueError) as error:
        raise StorageError(f"S3 cannot be used with these settings: {error}") from error
    made.meta.events.register("needs-retry.s3", _retry)
    return made


def _credentials(block: str) -> Any:
    import httpx

    try:
        from prefect_aws import AwsCredentials
    except ImportError as error:
        raise StorageError(
            f"An address with a block ({block}@) needs the package prefect-aws: install it, or "
            "leave the block out and give credentials by AWS_* variables."
        ) from error
    try:
        return AwsCredentials.load(block, _sync=True)
    except ValueError as error:
        raise StorageError(
            f"Prefect has no block aws-credentials/{block}: save it, or name another before the @ "
            "of the address."
        ) from error
    except httpx.HTTPError as error:
        raise StorageError(
            f"Prefect's block aws-credentials/{block} cannot be read ({type(error).__name__}): "
            "check PREFECT_API_URL."
        ) from error


def _retry(
    *, response: Any, attempts: int, caught_exception: Exception | None, **_: Any
) -> float | None:
    """Return the seconds to wait before a request is sent again; None to take the answer as is."""
    if attempts >= max_attempts() or not _passes(response, caught_exception):
        return None
    return delay_seconds(attempts)


def _passes(response: Any, error: Exception | None) -> bool:
    from botocore.exceptions import ConnectionError, HTTPClientError

    if error is not None:
        return isinstance(error, (ConnectionError, HTTPClientError))
    http, parsed = response
    code = parsed.get("Error", {}).get("Code")
    return http.status_code in PASSING_STATUSES or code in PASSING_CODES


def _after_fork() -> None:
    # Connections must not be shared, and another thread may have held the lock.
    global _lock
    _lock = Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)
