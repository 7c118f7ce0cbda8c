"""Folders of stems: ``<artist>/<song>/<stem>.wav``, or one such folder alone."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import Claim, file_name, folder_name, folder_of, is_audio
from tasks.corpora.song import Song, StemFile


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim every folder that holds audio itself, by the artist its parent is named after.

    A folder at the top of the source, and the source, have no artist but themselves.
    """
    by_folder: dict[str, list[StemFile]] = defaultdict(list)
    claim = Claim()
    for path in filter(is_audio, paths):
        by_folder[folder_of(path)].append(StemFile(file_name(path), path))
        claim.paths.add(path)
    for folder, stems in by_folder.items():
        title = folder_name(source, folder)
        is_deep = len(PurePosixPath(folder).parts) > 1
        artist = folder_name(source, folder_of(folder)) if is_deep else title
        claim.songs.append(Song("", folder, artist=artist, title=title, stems=stems))
    return claim
