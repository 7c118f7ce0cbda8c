"""HTTP requests that are repeated while the network or the server fails, and told in sentences."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

    import httpx

TRIES = 5
"""How often in a row a transfer may bring nothing before it is given up."""

WAIT_SECONDS = 1.0
"""Before the second try; each further wait is twice as long."""

LONGEST_WAIT_SECONDS = 60.0
"""However long a server asks to be left alone."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of a server that may answer better at another time."""

REMEDY = "check the network, and behind a proxy set HTTPS_PROXY"

Result = TypeVar("Result")


class DownloadError(Exception):
    """A file that could not be had; the message is one sentence for people."""


class UnreachableError(DownloadError):
    """A host that does not answer.

    Attributes
    ----------
    host
        Its name.
    reason
        What happened, a phrase.
    """

    def __init__(self, host: str, reason: str, remedy: str = REMEDY) -> None:
        # What workers raise travels as its arguments.
        super().__init__(host, reason, remedy)
        self.host = host
        self.reason = reason

    def __str__(self) -> str:
        host, reason, remedy = self.args
        return (
            f"{host} cannot be reached ({reason}): {remedy}; what was fetched is kept, and the "
            "same command goes on from it."
        )


class RefusedError(DownloadError):
    """A host that answers, and does not give what it was asked for.

    Attributes
    ----------
    status
        Status of the answer.
    headers
        Headers of the answer; their names in lower case.
    """

    def __init__(self, host: str, name: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(host, name, status, headers)
        self.status = status
        self.headers = headers

    def __str__(self) -> str:
        host, name, status, _ = self.args
        if status in (401, 403):
            return (
                f"{host} does not give {name} to everyone (status {status}): ask who publishes it "
                "for access."
            )
        if status in (404, 410):
            return f"{host} has no {name} (status {status}): it was removed or renamed there."
        return f"{host} does not give {name} (status {status}): look at its address in a browser."


class TryAgainError(Exception):
    """What may go better at another time."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def connect() -> "httpx.Client":
    """Return an HTTP client that follows redirects, with limits of time."""
    import httpx

    # On a redirect to another host, such as a store of large files, it leaves credentials out.
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        headers={"User-Agent": "songmill"},
        verify=_trusted(),
    )


@cache
def _trusted() -> "ssl.SSLContext":
    """Certificates that are trusted: a process reads them once, which takes 40 ms."""
    import httpx

    return httpx.create_ssl_context()


def retried(
    url: str, request: Callable[[], Result], progress: Callable[[], int] = lambda: 0
) -> Result:
    """Return the result of a request, repeating it while the network or the server fails.

    Parameters
    ----------
    url
        What is asked for.
    request
        The request.
    progress
        How far it has come: whenever that grew, the count of tries begins anew.

    Raises
    ------
    UnreachableError
        When the tries are used up.
    """
    import httpx

    name, failures = host(url), 0
    while True:
        before, wait_seconds = progress(), 0.0
        try:
            return request()
        except TryAgainError as error:
            reason, wait_seconds = str(error), error.wait_seconds
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise UnreachableError(name, str(error)) from error
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
        failures = 1 if progress() > before else failures + 1
        if failures == TRIES:
            raise UnreachableError(name, reason)
        backoff = WAIT_SECONDS * 2 ** (failures - 1)
        time.sleep(min(max(backoff, wait_seconds), LONGEST_WAIT_SECONDS))


def host(url: str) -> str:
    """Name of the host of an address; of what is no address, all of it."""
    return urlsplit(url).hostname or url


def check_answer(response: "httpx.Response", name: str) -> None:
    """Make sure that a request, inside :func:`retried`, was answered with what it asked for.

    Raises
    ------
    RefusedError
        If it was not, and will not be at another time.
    """
    if response.is_success:
        return
    if response.status_code in TRANSIENT:
        wait_seconds = _wait_seconds(response.headers.get("Retry-After", ""))
        raise TryAgainError(f"status {response.status_code}", wait_seconds)
    raise RefusedError(response.url.host, name, response.status_code, dict(response.headers))


def _wait_seconds(retry_after: str) -> float:
    """Return how long a server asks to be left alone: a number of seconds, or a time."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
