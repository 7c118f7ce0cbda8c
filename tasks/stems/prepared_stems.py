"""The prepared folder: a table of stems, what failed, and the songs that steps take from it."""

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.corpora.song import Song
from tasks.dataset.failures import Failure, failure, write_failures
from tasks.dataset.near_duplicates import duplicates
from tasks.dataset.split import groups_of
from tasks.engine.results import Results
from tasks.stems.convert import STEP as CONVERT
from tasks.stems.discover import Discovery
from tasks.stems.identify import STEP as IDENTIFY
from tasks.stems.identify import THE_SONG
from tasks.stems.prepared_song import PreparedSong, PreparedStem
from tasks.step import Row, column, digest
from tasks.text import printable

MANIFEST = "manifest.parquet"
LEFT_OUT = "left_out.jsonl"

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


def write(results: Results, found: Discovery, prepared: Storage) -> tuple[list[Row], list[Failure]]:
    """Write the table of stems and the list of failures, of a plan that has run.

    Songs whose source was deleted after an earlier preparation stay in the table.

    Returns
    -------
    stems, failures : list of dict
        The rows of both.
    """
    before = [] if not prepared.exists(MANIFEST) else read(prepared)
    stems = [row for song, rows in _songs(results) for row in _stems(song, rows)]
    gone = [row for row in before if row["source_deleted"]]
    stems = _without_rests(stems, gone)
    present = {row["source_id"] for row in stems}
    stems += [row | {"group": ""} for row in gone if row["source_id"] not in present]
    failures = [each for each in _failures(results, found) if not _is_of_a_rest(each, gone)]
    # A table that is as it was stays as it is; to compare all songs again takes its time.
    if stems == [row | {"group": ""} for row in before]:
        stems = before
    else:
        _group(stems)
        _store(prepared, stems)
    write_failures(prepared, failures)
    return stems, failures


def mark_deleted(prepared: Storage, source_ids: set[str]) -> None:
    """Note in the table that the sources of songs are gone."""
    rows = [
        row | {"source_deleted": row["source_deleted"] or row["source_id"] in source_ids}
        for row in read(prepared)
    ]
    _store(prepared, rows)


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


def left_out(results: Results) -> list[tuple[str, str, str]]:
    """Return song, path and reason of each file of a song that is no stem of it."""
    return [
        (song.track_id, each["path"], each["reason"])
        for song, rows in _songs(results)
        for each in rows["convert"]["left_out"]
    ]


def write_left_out(
    prepared: Storage, found: Discovery, inside: Sequence[tuple[str, str, str]]
) -> None:
    """Write the list of files that are no stems of use, and are no failures either.

    Parameters
    ----------
    prepared
        The prepared folder.
    found
        What the source holds: copies of songs, and what no layout knows.
    inside
        What :func:`left_out` returns of its songs.
    """
    songs = {song.track_id: song for song in found.songs}
    rows = [(_path_in(songs[song], path), reason) for song, path, reason in inside]
    rows += [(path, f"copy of {printable(of)}") for path, of in found.duplicates.items()]
    rows += [(path, "not-audio") for path in found.passed_over]
    lines = [
        orjson.dumps({"file_path": printable(path), "reason": reason}) + b"\n"
        for path, reason in rows
    ]
    prepared.write_bytes(LEFT_OUT, b"".join(lines))


def _without_rests(stems: Sequence[Row], gone: Sequence[Row]) -> list[Row]:
    """Return the rows but for songs that are the rest of one whose source was deleted in part."""
    whole: dict[str, set[str]] = {}
    for row in gone:
        whole.setdefault(row["song_id"], set()).add(row["stem_id"])
    now: dict[str, set[str]] = {}
    for row in stems:
        now.setdefault(row["song_id"], set()).add(row["stem_id"])
    rests = {song for song, ids in now.items() if any(ids < each for each in whole.values())}
    return [row for row in stems if row["song_id"] not in rests]


def _is_of_a_rest(remark: Failure, gone: Sequence[Row]) -> bool:
    """Return whether a remark is on what is left of a song whose stems were deleted."""
    return remark["reason"] in ("too-few-stems", "no-stems", "missing", "one-stem") and any(
        f"{remark['file_path']}/".startswith(f"{row['source']}/") for row in gone
    )


def _store(prepared: Storage, rows: Sequence[Row]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=STEMS), buffer, compression="zstd")
    prepared.write_bytes(MANIFEST, buffer.getvalue())


def _songs(results: Results) -> Iterator[tuple[Song, Mapping[str, Row]]]:
    """Yield the songs that were prepared, with their rows by step."""
    for song, rows in results.joined((CONVERT.name, IDENTIFY.name)):
        assert isinstance(song, Song)
        yield song, rows


def _stems(song: Song, rows: Mapping[str, Row]) -> Iterator[Row]:
    stems = rows["identify"]["stems"]
    song_id = digest("\n".join(sorted(stem["stem_id"] for stem in stems)).encode())
    for at, stem in enumerate(stems):
        values: dict[str, Any] = {
            "song_id": song_id,
            "artist": song.artist,
            "song": song.title,
            "group": "",
            "layout_group": song.group,
            "layout": song.layout,
            "source": printable(song.path),
            "source_id": song.track_id,
            "source_deleted": False,
            "stem": stem["name"],
            "fingerprint": None if at else rows["convert"]["fingerprint"],
        }
        yield {name: values[name] if name in values else stem[name] for name in STEMS.names}


def _group(stems: Sequence[Row]) -> None:
    """Say of each song what it must stay together with: artist, score, and near-duplicates."""
    by_song = {row["song_id"]: row for row in stems if row["fingerprint"] is not None}
    prints = {name: np.frombuffer(row["fingerprint"], "<u4") for name, row in by_song.items()}
    groups = groups_of(
        by_song,
        {name: row["artist"] for name, row in by_song.items()},
        duplicates(prints),
        {name: row["layout_group"] for name, row in by_song.items()},
    )
    for row in stems:
        row["group"] = groups[row["song_id"]]


def _failures(results: Results, found: Discovery) -> Iterator[Failure]:
    """Yield files that are no songs, songs that failed, and what is wrong within the others."""
    prepared = {song.path for song, _ in _songs(results)}
    for file in found.failures:
        is_in = file.path in prepared
        yield failure(None, file.path, "discover", file.reason, file.message, in_dataset=is_in)
    for track, step, entry in results.failures():
        yield failure(track.track_id, track.path, step, entry.reason, entry.error, in_dataset=False)
    for song, rows in _songs(results):
        for problem in rows["identify"]["problems"]:
            inside = problem["path"]
            yield failure(
                song.track_id,
                _path_in(song, inside),
                "convert",
                problem["reason"],
                problem["message"],
                in_dataset=any(
                    inside in (stem["source"], THE_SONG) and is_of_use(stem)
                    for stem in rows["identify"]["stems"]
                ),
            )


def _path_in(song: Song, inside: str) -> str:
    """Return where a file of a song lies, for people; that of the song for the whole of it."""
    if inside == THE_SONG:
        return song.path
    return f"{song.path}: {inside}" if song.archive else inside
