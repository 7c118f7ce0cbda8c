"""Keeps Dask from printing a traceback for each connection that closes with a command.

When a one-command run ends, workers, nannies and scheduler take leave of each other in any
order, and whoever talks last meets a closed connection. Nothing is lost by that. A worker or
scheduler that dies in the middle is reported by the flow, in a sentence.
"""

import asyncio
import logging
from typing import Any

LOGGERS = ("distributed", "tornado.application", "asyncio")


def quieten() -> None:
    """Drop the log records of closed connections in this process, and no others."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        # A filter of a logger is not asked about records of the loggers below it.
        for target in (logger, *logger.handlers):
            if not any(isinstance(each, _ClosedConnections) for each in target.filters):
                target.addFilter(_ClosedConnections())


def dask_setup(worker: Any) -> None:
    """Do so in a worker of this machine; Dask calls this."""
    quieten()


class _ClosedConnections(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not _is_closed_connection(error)


def _is_closed_connection(error: BaseException | None) -> bool:
    from distributed.comm.core import CommClosedError
    from tornado.iostream import StreamClosedError

    return isinstance(error, CommClosedError | StreamClosedError | asyncio.CancelledError)
