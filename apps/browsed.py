"""A dataset that is looked at: its rows, the audio of its tracks, and what people correct."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.storage import Storage
from tasks import audio
from tasks.dataset import corrections
from tasks.dataset.audio_places import AudioPlaces
from tasks.dataset.corrections import Correction
from tasks.dataset.query import Column, Tables, open_tables
from tasks.dataset.views import quoted

PAGE_ROWS = 25


@dataclass(frozen=True)
class Kind:
    """What the tables of a job are like.

    Attributes
    ----------
    id, path
        Columns of a row's id and of its audio file; without the latter there is no audio.
    shown
        Columns that a table shows at first.
    """

    id: str
    path: str | None
    shown: tuple[str, ...]


KINDS = {
    "tracks": Kind(
        "track_id",
        "file_path",
        (
            *("source_id", "artist", "title", "duration", "tempo", "dominant_key", "mode"),
            *("lyrics_language", "corrected"),
        ),
    ),
    "unified": Kind(
        "id", "audio_path", ("title", "artist", "dataset", "caption", "duration", "tags", "split")
    ),
    "examples": Kind(
        "id", "audio_path", ("concept", "split", "start_seconds", "duration_seconds", "description")
    ),
    "pairs": Kind(
        "id", None, ("title", "artist", "instrument", "split", "chunk", "kind", "variant")
    ),
}


class NoAudioError(Exception):
    """Audio that cannot be had; one sentence."""


class Browsed:
    """A dataset of any job, for pages that look at it.

    Parameters
    ----------
    path
        See :func:`tasks.dataset.query.open_tables`.
    audio_dir
        Where the audio lies, if not where the dataset says.

    Raises
    ------
    QueryError
        If there is no dataset.
    """

    def __init__(self, path: Path, audio_dir: Path | None = None) -> None:
        self.path = path
        self.folder = Storage(str(path.with_suffix("") if path.suffix == ".json" else path))
        self._places = AudioPlaces(self.folder, Storage(str(audio_dir)) if audio_dir else None)
        self._tables = open_tables(path)
        self._stamp = self._stamps()
        self.kind = KINDS[self._tables.names[0]]

    @property
    def tables(self) -> Tables:
        """Its tables, opened again when a build has replaced them."""
        stamp = self._stamps()
        if stamp != self._stamp:
            self._tables, self._stamp = open_tables(self.path), stamp
        return self._tables

    @property
    def is_correctable(self) -> bool:
        """Whether the next build merges corrections; that of songs does."""
        return self._tables.names[0] == "tracks"

    def columns(self) -> list[Column]:
        """Columns of the rows."""
        return self.tables.columns

    def page(
        self, where: str | None, number: int, columns: Sequence[str]
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of rows, with their ids, and how many rows there are on all pages.

        Parameters
        ----------
        where
            See :meth:`Tables.rows`.
        number
            Of the page, from 0.
        columns
            What to return of a row, besides its id.

        Raises
        ------
        QueryError
            If the condition is none.
        """
        wanted = list(dict.fromkeys([self.kind.id, *columns]))
        tables = self.tables
        count = tables.count(where)
        rows = tables.rows(where, columns=wanted, offset=number * PAGE_ROWS, limit=PAGE_ROWS)
        return rows, count

    def row(self, track_id: str) -> dict[str, Any] | None:
        """Return everything known of a track; None if the dataset has no such track."""
        name = quoted(self.kind.id)
        where = f"{name} = '{track_id.replace(chr(39), 2 * chr(39))}'"
        found = self.tables.rows(where, limit=1)
        if not found:
            return None
        if "segments" in self.tables.names:
            found[0]["segments"] = self.tables.rows(where, table="segments")
        return found[0]

    def audio_of(self, track_id: str, part: str) -> Path:
        """Return the audio file of a track of the dataset.

        Parameters
        ----------
        track_id
            Of the track.
        part
            ``"mix"`` or ``"vocals"``.

        Raises
        ------
        NoAudioError
            If there is no such track, or its file is not there or is no audio.
        """
        row = self.row(track_id)
        if row is None:
            raise NoAudioError("The dataset has no such track.")
        return self.mix_of(row) if part == "mix" else self.vocals_of(row)

    def mix_of(self, row: Mapping[str, Any]) -> Path:
        """Return the audio file of a row.

        Raises
        ------
        NoAudioError
            As :meth:`audio_of`.
        """
        if self.kind.path is None:
            raise NoAudioError("A dataset of stems holds codes and no audio: its labels are shown.")
        stated = str(row[self.kind.path])
        for place, name in self._places.mixes(stated):
            if place.is_local and _is_audio(path := Path(place.address, name)):
                return path
        if stated.startswith("s3://"):
            remedy = "it lies in a bucket: give a local copy of the folder by --audio_dir."
        else:
            remedy = "run this where the dataset was built, or give the folder by --audio_dir."
        raise NoAudioError(f"{stated} is not found, or is no audio: {remedy}")

    def vocals_of(self, row: Mapping[str, Any]) -> Path:
        """Return the file of a row's separated vocals.

        Raises
        ------
        NoAudioError
            As :meth:`audio_of`.
        """
        name = row.get("vocals_path")
        if not name:
            raise NoAudioError("No vocals were separated from this track.")
        for place, file in self._places.vocals(str(name)):
            if place.is_local and _is_audio(path := Path(place.address, file)):
                return path
        raise NoAudioError("The vocals were not kept, or lie elsewhere than the dataset says.")

    def corrections_of(self, track_id: str) -> Sequence[Correction]:
        """Return what people corrected of a track."""
        return corrections.read(self.folder).by_track.get(track_id, ())

    def correct(self, correction: Correction) -> Correction:
        """Add a correction.

        Raises
        ------
        CorrectionError, StorageError
            If it is none, or cannot be stored.
        """
        return corrections.add(self.folder, correction)

    def _stamps(self) -> list[tuple[int, int]]:
        statuses = [path.stat() for path in self._tables.files if path.exists()]
        return [(status.st_ino, status.st_mtime_ns) for status in statuses]


def _is_audio(path: Path) -> bool:
    """Whether a file is there and holds audio: nothing else is ever served."""
    try:
        with open(path, "rb") as file:
            return audio.container_of(file, str(path)) is not None
    except OSError:
        return False
