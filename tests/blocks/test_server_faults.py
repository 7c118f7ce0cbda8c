"""Why servers did not start: by what they left on their standard error, and one for real."""

import os
import tempfile
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

from blocks import own_server, server_faults
from blocks.own_server import ServerError

SQLITE = "sqlite+aiosqlite:////home/me/.prefect/prefect.db"
POSTGRESQL = "postgresql+asyncpg://me:hidden@db.example:5432/prefect"


def log(cause: str, raised_as: str) -> str:
    """What Prefect 3.8.8 under uvicorn says of a start that fails, without most frames."""
    return f"""20:23:13.098 | ERROR   | uvicorn.error - Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 1963, in _exec
    self.dialect.do_execute(
{cause}

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/starlette/routing.py", line 649, in lifespan
    async with self.lifespan_context(app) as maybe_state:
               ^^^^^^^^^^^^^^^^^^^^^^^^^^
{raised_as}
[SQL: BEGIN IMMEDIATE]
(Background on this error at: https://sqlalche.me/e/20/e3q8)

20:23:13.132 | ERROR   | uvicorn.error - Application startup failed. Exiting.
"""


def operational(cause: str) -> str:
    return log(
        f"sqlite3.OperationalError: {cause}",
        f"sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) {cause}",
    )


FATAL = """Fatal Python error: _enter_buffered_busy: could not acquire lock for <_io.BufferedReader
name='<stdin>'> at interpreter shutdown, possibly due to daemon threads

Thread 0x00007f (most recent call first):
  <no Python frame>
"""
"""The end of the log of a server whose thread reads from its standard input."""

CAUSES = {
    "locked": (SQLITE, operational("database is locked"), "is locked by another process"),
    "full": (SQLITE, operational("database or disk is full"), "no space is left to write /home"),
    "read-only": (
        SQLITE,
        operational("attempt to write a readonly database"),
        "cannot be opened for writing",
    ),
    "no folder": (
        SQLITE,
        operational("unable to open database file"),
        "/home/me/.prefect/prefect.db cannot be opened for writing",
    ),
    "damaged": (
        SQLITE,
        log("sqlite3.DatabaseError: x", "sqlalchemy.exc.DatabaseError: file is not a database"),
        "is damaged: move it away",
    ),
    "newer": (
        SQLITE,
        log(
            "alembic.script.revision.ResolutionError: No such revision or branch 'ffff'",
            "alembic.util.exc.CommandError: Can't locate revision identified by 'ffff'",
        ),
        "is of another version of Prefect",
    ),
    "half migrated": (
        SQLITE,
        operational("duplicate column name: heartbeat_interval_seconds"),
        "is of another version of Prefect",
    ),
    "unreachable": (
        POSTGRESQL,
        log("OSError: x", "ConnectionRefusedError: [Errno 111] Connect call failed ('::1', 5499)"),
        "the database postgresql+asyncpg://db.example:5432/prefect cannot be reached",
    ),
    "no such host": (
        POSTGRESQL,
        log("OSError: x", "socket.gaierror: [Errno -2] Name or service not known"),
        "cannot be reached (gaierror",
    ),
    "password": (
        POSTGRESQL,
        log(
            "OSError: x",
            "asyncpg.exceptions.InvalidPasswordError: password authentication failed for user me",
        ),
        "refuses (InvalidPasswordError",
    ),
    "no address": (
        SQLITE,
        "Traceback (most recent call last):\n  File x\n"
        "sqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string\n",
        "PREFECT_API_DATABASE_CONNECTION_URL is not understood",
    ),
    "unknown": (SQLITE, log("KeyError: 1", "RuntimeError: the moon is full"), "RuntimeError: the"),
}


@pytest.mark.parametrize("aborts", [False, True])
@pytest.mark.parametrize("case", CAUSES)
def test_the_cause_of_a_failed_start_is_said(case: str, aborts: bool):
    address, said, wanted = CAUSES[case]
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: address}):
        sentence = server_faults.sentence(said + FATAL * aborts, 3)
    assert wanted in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "hidden" not in sentence
    assert "Python frame" not in sentence


def test_a_server_that_says_nothing_is_known_by_its_status():
    assert server_faults.sentence("", 3) == "it ended with status 3."
    assert "want of memory" in server_faults.sentence("", -9)


def test_two_commands_that_make_one_database_try_again():
    tripped = log("x", "sqlalchemy.exc.IntegrityError: UNIQUE constraint failed: block_schema.x")
    assert server_faults.may_pass(tripped)
    assert not server_faults.may_pass(operational("database is locked"))


def test_a_server_that_cannot_start_says_why_and_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # As every command sets it for its own console.
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "prefect.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ServerError) as raised, own_server.running() as server:
        server.wait_until_ready()
    message = str(raised.value)
    assert "is damaged: move it away" in message
    [kept] = tmp_path.glob("songmill-prefect-server-*.log")
    assert message.endswith(f"Its whole log is {kept}.")
    assert "Traceback" in kept.read_text()


def test_no_room_for_a_log_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ServerError, match=r"set TMPDIR to one that can\.$"):
        own_server.start(os.environ)
