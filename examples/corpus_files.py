"""What writers of corpora need: tables, JSON lines, sound, and the licence of a piece."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.band import Stereo
from examples.pieces import Piece
from examples.songs import write_audio
from examples.voice import RATE_HZ

LICENCES = {
    "http://creativecommons.org/licenses/by/3.0/": "Creative Commons Attribution",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/": (
        "Attribution-NonCommercial-ShareAlike 3.0 International"
    ),
    "http://creativecommons.org/licenses/by-sa/3.0/": "Attribution-ShareAlike 3.0 International",
}
"""Addresses of licences, in turn those of the songs, and what FMA calls them."""


def licence_of(piece: Piece) -> str:
    """Return the address of the licence of a piece."""
    return list(LICENCES)[piece.number % len(LICENCES)]


def write_csv(path: Path, rows: Sequence[dict[str, Any]], encoding: str = "utf-8") -> None:
    """Write rows of equal keys as a CSV with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write an object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_mix(path: Path, piece: Piece) -> None:
    """Write the sound of a piece as what the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, piece.mix)


def write_stem_mp4(path: Path, waves: list[Stereo]) -> None:
    """Write ``.stem.mp4``: a stream of AAC for the mixture and for each stem."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=RATE_HZ, layout="stereo") for _ in waves]
        for stream, wave in zip(streams, waves, strict=True):
            samples = np.ascontiguousarray(wave, np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate = RATE_HZ
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
