import asyncio
import logging
from collections.abc import Iterator

import pytest
from distributed.comm.core import CommClosedError
from tornado.iostream import StreamClosedError

from blocks import dask_quiet


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Messages that come through a handler of Dask's, as at the end of a run."""
    messages: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, logger = Kept(), logging.getLogger("distributed")
    logger.addHandler(handler)
    dask_quiet.quieten()
    yield messages
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "error", [CommClosedError("in <TCP>: Stream is closed"), StreamClosedError(), None]
)
def test_a_connection_that_closes_is_no_traceback(said: list[str], error: Exception | None):
    logger = logging.getLogger("distributed.worker")
    try:
        raise error or asyncio.CancelledError
    except (Exception, asyncio.CancelledError):
        logger.exception("Failed to communicate with scheduler during heartbeat.")
    assert said == []


def test_real_errors_are_said(said: list[str]):
    logger = logging.getLogger("distributed.worker")
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        logger.exception("Spilling failed.")
    logger.error("A worker died.")
    assert said == ["Spilling failed.", "A worker died."]
