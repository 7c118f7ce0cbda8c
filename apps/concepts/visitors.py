"""People who have the page open: what each asked for, and nobody else sees."""

import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MadePiece:
    """A piece of music that was made for somebody.

    Attributes
    ----------
    prompt, seed
        What it was made of.
    path
        Of its file.
    seconds
        How long it is.
    is_silent
        Whether it is digital silence.
    """

    prompt: str
    seed: int
    path: Path
    seconds: float
    is_silent: bool


@dataclass(eq=False)
class Visitor:
    """An open page, from its loading to its closing.

    Attributes
    ----------
    token
        What the addresses of its files hold; nobody else knows it.
    folder
        Of its files.
    pieces
        What was made for it and is shown, by the name of the file.
    asked, cancelled
        The number of its last request, and of the last one that it takes back.
    """

    token: str
    folder: Path
    pieces: dict[str, MadePiece] = field(default_factory=dict)
    asked: int = 0
    cancelled: int = 0

    def ask(self) -> None:
        """Note that music is asked for."""
        self.asked += 1

    def cancel(self) -> None:
        """Take back what was asked for so far, whether its turn has come or not."""
        self.cancelled = self.asked


class Visitors:
    """All people who have the page open.

    Parameters
    ----------
    folder
        For their files, a folder each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._by_session: dict[str, Visitor] = {}

    def of(self, session: str | None) -> Visitor:
        """Return the visitor of a session of Gradio, who may be new."""
        name = session or ""
        with self._lock:
            if name not in self._by_session:
                token = secrets.token_urlsafe(16)
                folder = self._folder / token
                folder.mkdir(parents=True)
                self._by_session[name] = Visitor(token, folder)
            return self._by_session[name]

    def file(self, token: str, name: str) -> Path | None:
        """Return the file that a page shows under a name; None if it shows none."""
        with self._lock:
            for visitor in self._by_session.values():
                if secrets.compare_digest(visitor.token, token):
                    piece = visitor.pieces.get(name)
                    return piece.path if piece else None
        return None

    def leave(self, session: str | None) -> None:
        """Forget a visitor whose page is closed, and remove the files."""
        with self._lock:
            visitor = self._by_session.pop(session or "", None)
        if visitor is not None:
            visitor.cancel()
            shutil.rmtree(visitor.folder, ignore_errors=True)
