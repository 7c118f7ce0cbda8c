"""What was prepared: a table of stems in a folder, and the songs that it holds."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.corpora.layout import Claim, folder_of
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.corpora.song import Song, StemFile
from tasks.dataset.digests import FileFailure
from tasks.step import Row, column, digest
from tasks.text import printable

MANIFEST = "manifest.parquet"

STEMS = pa.schema(
    [
        column("song_id", pa.string(), "Digest of the song's stems"),
        column("artist", pa.string(), "Whose song it is"),
        column("song", pa.string(), "Its title"),
        column("group", pa.string(), "Songs of one group stay in one split"),
        column("layout_group", pa.string(), "What the layout says to belong together, if it does"),
        column("layout", pa.string(), "Layout that it was found in"),
        column("source", pa.string(), "File or folder that it was found as"),
        column("source_id", pa.string(), "Digest of that"),
        column("source_deleted", pa.bool_(), "Whether that was deleted when it was done"),
        column("stem_id", pa.string(), "Digest of the stem's bytes"),
        column("stem", pa.string(), "What the source calls it"),
        column("instrument", pa.string(), "What it is; null if nothing tells"),
        column("silent", pa.bool_(), "Whether it is silent for most of its length"),
        column(
            "left_out",
            pa.string(),
            "near-copy or sum-of-stems: why it is not used; null if it is no copy of others",
        ),
        column("path", pa.string(), "Ogg Opus file, below this folder"),
        column("duration_seconds", pa.float64(), "Length", "s"),
        column("source_rate_hz", pa.int32(), "Sample rate that it was found with", "Hz"),
        column("source_channels", pa.int32(), "Channels that it was found with"),
        column("active_fraction", pa.float64(), "Share that is within 60 dB of its peak"),
        column("loudness_lufs", pa.float64(), "Integrated loudness; null if silent", "LUFS"),
        column("peak_dbfs", pa.float64(), "Largest sample; null if silent", "dB"),
        column("clipped_samples", pa.int64(), "Samples that were clipped"),
        column("gain_db", pa.float64(), "Gain it is stored with: below 0 above full scale", "dB"),
        column("audio_notices", pa.list_(pa.string()), "What was wrong with its audio, and done"),
        column("fingerprint", pa.binary(), "Of the song's mix; on the song's first stem"),
    ]
)
"""A row per stem; those of no known instrument, silent ones and copies are in it too."""


class NotPreparedError(Exception):
    """A folder that no preparation has written; one sentence for people."""


def read(prepared: Storage) -> list[Row]:
    """Read the table of stems.

    Raises
    ------
    NotPreparedError
        If there is none.
    """
    try:
        with prepared.reading(MANIFEST) as path:
            found = pq.ParquetFile(path).read().to_pylist()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise NotPreparedError(
            f"{prepared.address} holds no prepared stems: `python flows/prepare_stems.py SOURCE "
            f"--output {shlex.quote(prepared.address)}` makes them."
        ) from error
    # Tables of earlier versions lack columns.
    return [{name: row.get(name) for name in STEMS.names} for row in found]


def songs(rows: Sequence[Row]) -> list[PreparedSong]:
    """Return the songs of a table, each with its stems of use, in the order of the table."""
    by_song: dict[str, list[Row]] = {}
    for row in rows:
        if is_of_use(row):
            by_song.setdefault(row["song_id"], []).append(row)
    found = []
    for stems in by_song.values():
        first = stems[0]
        # Found twice under different names, a song has each of its stems twice.
        unique = {row["stem_id"]: row for row in stems}
        ordered = [unique[stem_id] for stem_id in sorted(unique)]
        # Folders of earlier versions name no gains.
        gains_db = [row["gain_db"] or 0.0 for row in ordered]
        found.append(
            PreparedSong(
                track_id=digest("\n".join(row["path"] for row in ordered).encode()),
                path=first["source"],
                artist=first["artist"],
                title=first["song"],
                group=first["group"],
                stems=tuple(
                    PreparedStem(
                        stem_id=row["stem_id"],
                        name=row["stem"],
                        instrument=row["instrument"],
                        path=row["path"],
                        seconds=row["duration_seconds"],
                        balance_db=min(gains_db) - gain_db,
                    )
                    for row, gain_db in zip(ordered, gains_db, strict=True)
                ),
            )
        )
    return found


def is_of_use(row: Row) -> bool:
    """Return whether a stem can be a target or a companion."""
    return row["instrument"] is not None and not row["silent"] and row["left_out"] is None


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim every folder with a table of stems, and the songs that the table names."""
    claim = Claim()
    for table in paths:
        if PurePosixPath(table).name != MANIFEST:
            continue
        folder = folder_of(table)
        try:
            rows = read(source if folder == "." else source.below(folder))
        except NotPreparedError:
            continue
        if not any(row["stem_id"] for row in rows):
            continue
        inside = {path for path in paths if PurePosixPath(path).is_relative_to(folder)}
        claim.paths.update(inside)
        for song in songs(rows):
            claim.songs.append(_song(song, folder))
            for stem in claim.songs[-1].stems:
                if stem.path not in inside:
                    message = f"{printable(stem.path)} was prepared and is gone: prepare it again."
                    claim.failures.append(FileFailure(stem.path, "missing", message))
    return claim


def _song(song: PreparedSong, folder: str) -> Song:
    """Return a prepared song as the stems that it lies there as."""
    stems = [
        StemFile(
            stem.name,
            str(PurePosixPath(folder, stem.path)),
            stem.instrument,
            gain_db=stem.balance_db,
        )
        for stem in song.stems
    ]
    return Song(
        "",
        str(PurePosixPath(folder, song.path)),
        artist=song.artist,
        title=song.title,
        stems=stems,
        group=song.group,
    )
