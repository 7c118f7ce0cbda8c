"""MUSDB18: ``<Artist> - <Title>.stem.mp4``, with all stems of a song in one file."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import Claim, artist_and_title
from tasks.corpora.song import Song, StemFile
from tasks.text import printable

SUFFIX = ".stem.mp4"
# Audio streams from the second on, and what each is; the first is the mixture (Rafii et al.,
# "The MUSDB18 corpus for music separation", 2017).
STREAMS = {"drums": "drum", "bass": "bass", "other": "other", "vocals": "vocals"}


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim every ``.stem.mp4`` as a song."""
    claim = Claim()
    for path in paths:
        if not path.lower().endswith(SUFFIX):
            continue
        artist, title = artist_and_title(printable(PurePosixPath(path).name[: -len(SUFFIX)]))
        stems = [
            StemFile(name, path, instrument, stream)
            for stream, (name, instrument) in enumerate(STREAMS.items(), start=1)
        ]
        mixture = StemFile("mixture", path)
        claim.songs.append(Song("", path, artist=artist, title=title, stems=stems, mixture=mixture))
        claim.paths.add(path)
    return claim
