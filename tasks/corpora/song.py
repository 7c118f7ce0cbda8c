"""A song as a set of stems, as it was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.dataset.split import Split
from tasks.track import Track


@dataclass(frozen=True, slots=True)
class StemFile:
    """A stem as it was found.

    Attributes
    ----------
    name
        What the source calls it: a file's name without its suffix, or what a layout's own
        metadata says.
    path
        Where it lies: below the source, or within the song's archive.
    instrument
        The instrument, where the layout itself tells; else None, and the name has to.
    stream
        Which audio stream of the file it is; containers with several hold a stem in each.
    gain_db
        Gain that puts it beside the song's other stems, where it is stored softer than they.
    """

    name: str
    path: str
    instrument: str | None = None
    stream: int = 0
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Song(Track):
    """A song whose stems were found below a source.

    ``track_id`` is the digest of the archive's bytes, or of the stems' digests and names;
    ``path`` is the archive or the folder.

    Attributes
    ----------
    artist, title
        Whose song it is; an artist that nobody names is the song itself.
    layout
        Name of the layout that it was found in.
    archive
        Whether `path` is an archive that has still to be opened; `stems` is empty then.
    parts
        Further archives, where the song was packed into several.
    stems
        The stems there are, in the order of their names.
    group
        What the layout knows to belong together beyond the artist, e.g. renderings of one
        score; such songs go into one split. Empty if it knows nothing.
    mixture
        The song's own mix, where the layout has one.
    split
        What the layout itself says of it, if it does.
    """

    artist: str = ""
    title: str = ""
    layout: str = ""
    archive: bool = False
    parts: Sequence[str] = ()
    stems: Sequence[StemFile] = ()
    group: str = ""
    mixture: StemFile | None = None
    split: Split | None = None

    @property
    def files(self) -> list[str]:
        """The files that the song is made of: an archive or its parts, or the stems."""
        if self.archive:
            return [self.path, *self.parts]
        return list({stem.path: None for stem in self.stems})

    @property
    def labels(self) -> list[tuple[str, str | None, int]]:
        """Name, instrument and stream of each stem: what its digest does not tell."""
        return [(stem.name, stem.instrument, stem.stream) for stem in self.stems]
