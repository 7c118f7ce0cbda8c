"""Replies of language models and what they cost, kept in one SQLite file.

SQLite in its write-ahead mode takes concurrent processes and survives SIGKILL: a
reply is in the file whole or not at all. The file must lie on a local disk, since
that mode shares memory between the processes.
"""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

BUSY_SECONDS = 60.0
RETRY_SECONDS = 0.01

SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spend (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, usd REAL NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER
);
"""


class CacheError(Exception):
    """The file cannot serve as a cache; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, and the exact model that the server says it was."""

    text: str
    model: str


class ReplyCache:
    """Replies by key, and a ledger of money spent; use as a context manager.

    Parameters
    ----------
    path
        The file; it and its folder are created when missing.

    Raises
    ------
    CacheError
        If the file is something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            # What no file should hold comes out as what no reply may hold, and is asked for anew.
            self._database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            try:
                self._write_ahead()
                self._database.execute("PRAGMA synchronous=NORMAL")
                self._database.executescript(SCHEMA)
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise CacheError(
                f"{path} cannot be used as the cache of prompts ({error}); "
                "give another file by --llm_cache"
            ) from None

    def _write_ahead(self) -> None:
        """Switch the file to its write-ahead mode, whoever else is doing so.

        SQLite does not wait for a lock here as it does elsewhere, lest two processes
        that both mean to switch wait for each other: it fails at once.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_SECONDS)

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def get(self, key: str) -> Reply | None:
        """Return the stored reply of a request; None if there is none."""
        row = self._database.execute(
            "SELECT text, model FROM replies WHERE key = ?", (key,)
        ).fetchone()
        return Reply(*row) if row else None

    def put(self, key: str, reply: Reply) -> Reply:
        """Store a reply; returns the one that was stored first, should there be two."""
        self._database.execute(
            "INSERT OR IGNORE INTO replies (key, model, text) VALUES (?, ?, ?)",
            (key, reply.model, reply.text),
        )
        return self.get(key) or reply

    def discard(self, key: str) -> None:
        """Forget the reply of a request."""
        self._database.execute("DELETE FROM replies WHERE key = ?", (key,))

    def reserve(self, model: str, usd: float, budget_usd: float | None) -> int | None:
        """Put money aside for a request, or return None if that would pass the budget.

        Until :meth:`settle` corrects it, the sum counts as spent: a process that dies
        between the two has probably been billed.
        """
        self._database.execute("BEGIN IMMEDIATE")
        try:
            entry = None
            if budget_usd is None or self.spent_usd() + usd <= budget_usd:
                entry = self._database.execute(
                    "INSERT INTO spend (model, usd) VALUES (?, ?)", (model, usd)
                ).lastrowid
        finally:
            self._database.execute("COMMIT")
        return entry

    def settle(
        self, entry: int, usd: float, prompt_tokens: int = 0, completion_tokens: int = 0
    ) -> None:
        """Record what a reserved request really cost."""
        self._database.execute(
            "UPDATE spend SET usd = ?, prompt_tokens = ?, completion_tokens = ? WHERE id = ?",
            (usd, prompt_tokens, completion_tokens, entry),
        )

    def spent_usd(self) -> float:
        """Money spent over the life of the file."""
        (total,) = self._database.execute("SELECT COALESCE(SUM(usd), 0.0) FROM spend").fetchone()
        return float(total)
