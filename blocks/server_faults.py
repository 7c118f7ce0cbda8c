"""Why a Prefect server did not start: one sentence, from the log that it leaves."""

import os
import re
import signal
from collections.abc import Sequence
from urllib.parse import urlsplit

DATABASE_VARIABLE = "PREFECT_API_DATABASE_CONNECTION_URL"

_EXCEPTION = re.compile(
    r"^[\s|]*(?P<type>(?:\w+\.)*(?:\w*(?:Error|Exception)|gaierror|timeout))(?:: (?P<said>.*))?$"
)

_OF_ANOTHER_VERSION = (
    r"Can't locate revision",
    r"No such revision or branch",
    r"duplicate column name",
    r"(table|index|relation|column) .* already exists",
)
_UNREACHABLE = (
    r"Connect call failed",
    r"Connection refused",
    r"gaierror",
    r"Name or service not known",
    r"Temporary failure in name resolution",
    r"Network is unreachable",
    r"No route to host",
    r"TimeoutError",
    r"connection was closed in the middle",
)
_REFUSED = (
    r"password authentication failed",
    r"InvalidPasswordError",
    r"InvalidAuthorizationSpecification",
    r"no pg_hba.conf entry",
    r'(database|role) ".*" does not exist',
    r"InvalidCatalogNameError",
)
_NOT_UNDERSTOOD = (
    r"Could not parse SQLAlchemy URL",
    r"Can't load plugin: sqlalchemy",
    r"NoSuchModuleError",
    r"requires an async driver",
    r"No module named '(psycopg2?|pysqlite|MySQLdb|asyncmy|aiomysql)'",
    r"Unsupported database",
    r"Unable to determine dialect",
)
_MOVED_HOME = "set PREFECT_HOME to another folder"


def sentence(log: str, status: int) -> str:
    """Return why a server did not start, and what helps.

    Parameters
    ----------
    log
        What it wrote to its standard error: log lines and tracebacks.
    status
        Its exit status.
    """
    cause = _last_exception(log)
    place = database()
    causes: Sequence[tuple[Sequence[str], str]] = (
        (
            ("database is locked", "database table is locked"),
            f"{place} is locked by another process: end that, or {_MOVED_HOME} for this command.",
        ),
        (
            ("database or disk is full", "No space left on device", "Disk quota exceeded"),
            f"no space is left to write {place}: free some, or {_MOVED_HOME}.",
        ),
        (
            (
                *("unable to open database file", "attempt to write a readonly database"),
                *("Read-only file system", "Permission denied", "Not a directory"),
            ),
            f"{place} cannot be opened for writing: give the right to its folder, or "
            f"{_MOVED_HOME} that can be written.",
        ),
        (
            ("file is not a database", "database disk image is malformed"),
            f"{place} is damaged: move it away (its history of runs goes with it), or "
            f"{_MOVED_HOME}.",
        ),
        (
            _OF_ANOTHER_VERSION,
            f"{place} is of another version of Prefect ({cause}): use the environment that "
            f"made it, or {_MOVED_HOME}.",
        ),
        (
            _UNREACHABLE,
            f"the database {place} cannot be reached ({cause}): start it, or correct or unset "
            f"{DATABASE_VARIABLE}.",
        ),
        (
            _REFUSED,
            f"the database {place} refuses ({cause}): correct or unset {DATABASE_VARIABLE}.",
        ),
        (
            _NOT_UNDERSTOOD,
            f"{DATABASE_VARIABLE} is not understood ({cause}): it is written "
            "postgresql+asyncpg://user:password@host:5432/name; unset, a file in PREFECT_HOME is "
            "used.",
        ),
    )
    for patterns, said in causes:
        if any(re.search(pattern, cause) for pattern in patterns):
            return said
    if cause:
        return f"{cause.rstrip('.')}."
    if status == -signal.SIGKILL:
        return "it was killed, most likely for want of memory."
    return f"it ended with status {status}."


def may_pass(log: str) -> bool:
    """Return whether another start may do: two that make one database at once trip each other."""
    cause = _last_exception(log)
    return any(each in cause for each in ("UNIQUE constraint failed", "already exists"))


def database() -> str:
    """Return where Prefect's database lies, without a password."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    address = str(PREFECT_API_DATABASE_CONNECTION_URL.value() or "")
    _, _, path = address.partition(":///")
    if address.startswith("sqlite"):
        return os.path.abspath(path.partition("?")[0]) if path else "the database in memory"
    try:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return f"of {DATABASE_VARIABLE}"


def _last_exception(log: str) -> str:
    """Return the exception that a log ends with, as its type and message in one line.

    Of a chain, that is the one that was raised last; what comes behind it (that the start
    has failed, the dump of an interpreter that aborts) says nothing.
    """
    found = ""
    in_traceback = False
    for line in log.splitlines():
        if "Traceback (most recent call last)" in line:
            in_traceback = True
        elif in_traceback and (match := _EXCEPTION.match(line)):
            # SQLAlchemy's begins with the driver's own, in parentheses.
            said = (match["said"] or "").strip()
            kind = match["type"].rpartition(".")[2]
            found = f"{kind}: {said}" if said else kind
            in_traceback = False
    return found
