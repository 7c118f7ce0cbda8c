"""Songs that a network learnt from, beside its weights: scores on them say little."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from blocks.storage import Storage
from tasks.separator.store import Store
from tasks.separator.training_song import TrainingSong
from tasks.text import counted

FILE = "songs.json"


def write(folder: Path, store: Store) -> None:
    """Write the ids of the songs that a network was trained on and validated with."""
    ids = {
        split: [song.track_id for song in store.of_split(split)]
        for split in ("train", "validation")
    }
    (folder / FILE).write_text(json.dumps(ids))


def said(addresses: Mapping[str, str], songs: Iterable[TrainingSong]) -> list[str]:
    """Return a sentence for each separator that learnt from songs that it is scored on.

    Parameters
    ----------
    addresses
        Where separators lie, by their names. Of those that do not say what they learnt from,
        checkpoints among them, nothing is said.
    songs
        What is scored.
    """
    scored = {song.track_id for song in songs}
    sentences = []
    for name, address in addresses.items():
        try:
            ids = json.loads(Storage(address).read_bytes(FILE))
            known = scored & {*ids["train"], *ids["validation"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if known:
            sentences.append(
                f"{name} has learnt from {counted(len(known), 'song')} of these {len(scored)}: its "
                "scores are better than on songs that it does not know."
            )
    return sentences
