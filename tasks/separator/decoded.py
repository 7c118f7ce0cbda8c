"""What became of decoding songs: the list of failures, and the index of those to train on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from blocks.storage import Storage
from tasks.dataset.failures import Failure, failure
from tasks.engine.results import Results
from tasks.separator.decode import DecodeConfig, stored_song
from tasks.separator.songs import Found
from tasks.separator.store import write_index
from tasks.separator.training_song import TrainingSong
from tasks.step import Row, digest


def failures(results: Results, found: Found) -> list[Failure]:
    """Return what could not be used: files of no song, and songs that could not be decoded."""
    return [
        *(
            failure(None, each.path, "discover", each.reason, each.message, in_dataset=False)
            for each in found.failures
        ),
        *(
            failure(song.track_id, song.path, step, entry.reason, entry.error, in_dataset=False)
            for song, step, entry in results.failures()
        ),
    ]


def index(
    place: Storage, songs: Sequence[TrainingSong], rows: Sequence[Row], config: DecodeConfig
) -> str:
    """Write the index of decoded songs into their store, and return its address.

    It is named by its content: trainings on other songs of the store have others.
    """
    stored = [stored_song(song, row) for song, row in zip(songs, rows, strict=True)]
    said = [config.model_dump(mode="json"), *map(asdict, stored)]
    name = f"songs-{digest(json.dumps(said).encode())[:16]}"
    write_index(
        place,
        name,
        sample_rate_hz=config.sample_rate_hz,
        channels=config.channels,
        sources=config.sources,
        has_mixture=config.mixture == "own",
        songs=stored,
    )
    return str(Path(place.address, f"{name}.json"))
