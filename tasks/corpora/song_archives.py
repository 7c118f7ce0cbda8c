"""Archives of stems: ``<artist>/<song>.zip``."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import ROOT, Claim, file_name, folder_name, folder_of
from tasks.corpora.song import Song
from tasks.dataset.digests import FileFailure
from tasks.text import printable

OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim every zip archive as a song, of the artist that its folder is named after.

    At the top of the source an archive has no artist but itself. Archives of other kinds
    are failures.
    """
    claim = Claim()
    for path in paths:
        name = PurePosixPath(path).name.lower()
        if name.endswith(".zip"):
            folder, title = folder_of(path), file_name(path)
            artist = title if folder == ROOT else folder_name(source, folder)
            claim.songs.append(Song("", path, artist=artist, title=title, archive=True))
        elif name.endswith(OTHER_ARCHIVES):
            message = f"{printable(path)} is no zip archive: unpack it, or pack it anew as one."
            claim.failures.append(FileFailure(path, "unsupported-archive", message))
        else:
            continue
        claim.paths.add(path)
    return claim
