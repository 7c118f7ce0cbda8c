"""MoisesDB: ``<uuid>/data.json`` and ``<uuid>/<stem>/<track>.wav``.

Read as its own package does (github.com/moises-ai/moises-db, moisesdb/track.py).
"""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from blocks.storage import Storage
from tasks.corpora.layout import (
    Claim,
    MetadataError,
    described,
    folder_name,
    folder_of,
    mapping,
    not_there,
    text,
)
from tasks.corpora.song import Song, StemFile
from tasks.dataset.digests import FileFailure

METADATA = "data.json"
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# The taxonomy of moisesdb/defaults.py: instruments of stems, and of tracks that differ.
INSTRUMENTS = {
    "bass": "bass",
    "bowed_strings": "strings",
    "drums": "drum",
    "guitar": "guitar",
    "other": "other",
    "other_keys": "other",
    "other_plucked": "other",
    "percussion": "perc",
    "piano": "piano",
    "vocals": "vocals",
    "wind": "winds",
}
TRACK_INSTRUMENTS = {
    "synth pad": "synth",
    "synth lead": "synth",
    "fx/processed sound, scratches, gun shots, explosions etc": "fx",
}


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim each folder named by a UUID with a ``data.json``: a song, its tracks the stems."""
    metadata = [
        path
        for path in paths
        if PurePosixPath(path).name == METADATA
        and UUID.fullmatch(folder_name(source, folder_of(path)))
    ]
    return described(source, paths, metadata, _parse, partial(_song, source))


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MetadataError("is no JSON") from error


def _song(
    source: Storage, folder: str, data: Any, inside: Sequence[str]
) -> tuple[Song, list[FileFailure]]:
    song = mapping(data, "the song")
    title = text(song.get("song"), "song") or folder_name(source, folder)
    genre = text(song.get("genre"), "genre")
    there = set(inside)
    stems: dict[str, StemFile] = {}
    failures: list[FileFailure] = []
    for group in _list(song.get("stems"), "stems"):
        group_name = text(mapping(group, "a stem").get("stemName"), "stemName")
        for entry in _list(group.get("tracks"), "tracks"):
            track = mapping(entry, "a track")
            file = f"{text(track.get('id'), 'id')}.{text(track.get('extension'), 'extension')}"
            # Only files that were found below the folder are opened, whatever is named.
            path = str(PurePosixPath(folder, group_name, file))
            if path not in there:
                failures.append(not_there(path, METADATA))
                continue
            track_type = text(track.get("trackType"), "trackType")
            instrument = TRACK_INSTRUMENTS.get(track_type) or INSTRUMENTS.get(group_name)
            stems[path] = StemFile(track_type or group_name, path, instrument)
    found = Song(
        "",
        folder,
        metadata={"genre": genre} if genre else {},
        artist=text(song.get("artist"), "artist") or title,
        title=title,
        stems=list(stems.values()),
    )
    return found, failures


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise MetadataError(f"gives no list for {what}")
    return value
