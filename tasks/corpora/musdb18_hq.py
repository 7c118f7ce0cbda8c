"""MUSDB18-HQ: ``{train,test}/<Artist> - <Title>/{drums,bass,other,vocals,mixture}.wav``."""

from collections import defaultdict
from collections.abc import Sequence

from blocks.storage import Storage
from tasks.corpora.layout import (
    Claim,
    artist_and_title,
    file_name,
    folder_name,
    folder_of,
    is_audio,
)
from tasks.corpora.musdb18 import STREAMS
from tasks.corpora.song import Song, StemFile

MIXTURE = "mixture"


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim each folder with a dash in its name, and just these files in it, as a song."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in filter(is_audio, paths):
        by_folder[folder_of(path)].append(path)
    claim = Claim()
    for folder, inside in by_folder.items():
        name = folder_name(source, folder)
        names = sorted(file_name(path) for path in inside if file_name(path) != MIXTURE)
        if " - " not in name or names != sorted(STREAMS):
            continue
        stems = [
            StemFile(file_name(path), path, STREAMS[file_name(path)])
            for path in inside
            if file_name(path) != MIXTURE
        ]
        artist, title = artist_and_title(name)
        mixture = next((StemFile(MIXTURE, p) for p in inside if file_name(p) == MIXTURE), None)
        claim.songs.append(
            Song("", folder, artist=artist, title=title, stems=stems, mixture=mixture)
        )
        claim.paths.update(inside)
    return claim
