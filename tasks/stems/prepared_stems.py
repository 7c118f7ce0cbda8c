"""The prepared folder, as it is written: the table of stems, and what failed."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.corpora.discover import Discovery
from tasks.corpora.prepared import MANIFEST, STEMS, is_of_use, read
from tasks.corpora.song import Song
from tasks.dataset.failures import Failure, failure, write_failures
from tasks.dataset.near_duplicates import duplicates
from tasks.dataset.split import groups_of
from tasks.engine.results import Results
from tasks.stems.convert import STEP as CONVERT
from tasks.stems.identify import STEP as IDENTIFY
from tasks.stems.identify import THE_SONG
from tasks.step import Row, digest
from tasks.text import printable

LEFT_OUT = "left_out.jsonl"


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
