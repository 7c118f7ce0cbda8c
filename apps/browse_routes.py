"""What the player of a page asks for: a track's labels, its picture, its audio."""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.browsed import Browsed, NoAudioError
from blocks.storage import Storage
from tasks import audio
from tasks.dsp import overview
from tasks.track import TrackError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

COLUMNS = 1200
"""Of a picture: what a wide screen shows."""

MOST_SECONDS = 1200.0
"""Of a picture; of a longer track the beginning is drawn, so that none takes long."""

KEPT_PICTURES = 32
"""A picture has 160 kB."""

PARTS = ("mix", "vocals")


def routes(dataset: Browsed) -> list["BaseRoute"]:
    """Return what a server answers for a dataset, and for none of the files besides.

    ``/track/ID`` are a track's labels, ``/picture/ID/PART`` what its audio looks like and
    ``/audio/ID/PART`` the audio, PART being ``mix`` or ``vocals``.
    """
    from starlette.responses import FileResponse, JSONResponse
    from starlette.routing import Route

    def refused(error: Exception) -> "Response":
        return JSONResponse({"message": str(error)}, status_code=404)

    def track(request: "Request") -> "Response":
        row = dataset.row(request.path_params["track_id"])
        if row is None:
            return refused(NoAudioError("The dataset has no such track."))
        return JSONResponse(labels(dataset, row))

    def sound(request: "Request") -> "Response":
        try:
            return FileResponse(_path(dataset, request))
        except NoAudioError as error:
            return refused(error)

    def picture(request: "Request") -> "Response":
        try:
            path = _path(dataset, request)
            return JSONResponse(_picture(path, path.stat().st_mtime_ns))
        except (NoAudioError, TrackError) as error:
            return refused(error)

    return [
        Route("/track/{track_id}", track),
        Route("/audio/{track_id}/{part}", sound),
        Route("/picture/{track_id}/{part}", picture),
    ]


def _path(dataset: Browsed, request: "Request") -> Path:
    if request.path_params["part"] not in PARTS:
        raise NoAudioError("A track has a mix and vocals, and nothing else.")
    return dataset.audio_of(request.path_params["track_id"], request.path_params["part"])


@lru_cache(KEPT_PICTURES)
def _picture(path: Path, changed_ns: int) -> dict[str, Any]:
    blocks = audio.stream(
        Storage(str(path.parent)), path.name, rate_hz=overview.RATE_HZ, channels=1
    )
    seen = overview.overview((block[0] for block in blocks), COLUMNS, MOST_SECONDS)
    return {
        "seconds": seen.seconds,
        "lows": seen.lows.tolist(),
        "highs": seen.highs.tolist(),
        "bins": len(seen.levels),
        "levels": base64.b64encode(seen.levels.tobytes()).decode(),
        "lowest_hz": overview.LOWEST_HZ,
        "bins_per_octave": overview.BINS_PER_OCTAVE,
    }


def labels(dataset: Browsed, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a player draws of a row.

    Returns
    -------
    dict
        ``duration``, and with times in seconds: ``beats``, ``downbeats``, ``sections``
        (start, end, label), ``lines`` (start, end, text), ``pitch`` (start, hop, F0 in Hz or null)
        of each segment; ``parts`` that can be heard; and in ``silent`` why one cannot.
    """
    segments: Sequence[Mapping[str, Any]] = row.get("segments") or ()
    parts, silent = [], []
    for part, find in (("mix", dataset.mix_of), ("vocals", dataset.vocals_of)):
        try:
            find(row)
            parts.append(part)
        except NoAudioError as error:
            silent.append(str(error))
    return {
        "duration": row.get("duration"),
        "start": row.get("start_seconds"),
        "end": row.get("end_seconds"),
        "beats": row.get("beats") or [],
        "downbeats": row.get("downbeats") or [],
        "sections": [
            [each["start_time"], each["end_time"], each["section_type"] or "?"] for each in segments
        ],
        "lines": [
            [line["start_time"], line["end_time"], line["text"]]
            for line in row.get("lyrics_lines") or ()
        ],
        "lyrics": row.get("lyrics"),
        "pitch": [_contour(each) for each in segments if each["f0_contour"]],
        "parts": parts,
        "silent": silent,
    }


def _contour(segment: Mapping[str, Any]) -> list[Any]:
    values = segment["f0_contour"]
    hop = (segment["end_time"] - segment["start_time"]) / len(values)
    return [segment["start_time"], hop, values]
