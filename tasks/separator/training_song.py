"""A song as the sources of a mix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.track import Track

SOURCES = ("vocals", "drums", "bass", "other")
"""What MUSDB18 tells apart, in the order of the reference."""

REST = ("other", "accompaniment")
"""Names of a source that takes in every stem which no other one takes."""

MIXTURE = "mixture"

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A stem of a song, and the source that it belongs to.

    Attributes
    ----------
    source
        Name of the source, or ``mixture``.
    path
        File below the place of the songs.
    stream
        Which audio stream of the file it is.
    content
        Digest of the file's bytes.
    gain_db
        Gain that puts it beside the song's other stems.
    """

    source: str
    path: str
    stream: int
    content: str
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingSong(Track):
    """A song whose sources are known.

    ``track_id`` is the digest of :attr:`recipe`: of the bytes, and of which is what;
    ``path`` is the file or folder of the song.

    Attributes
    ----------
    artist, title, layout
        Whose song it is, its title, and the layout that it was found in.
    group
        What must stay in one split: an artist, or copies of one recording.
    split
        What the corpus says, or what was drawn for its group.
    files
        Its stems, several of a source included, and its own mixture if it has one.
    """

    artist: str = ""
    title: str = ""
    layout: str = ""
    group: str = ""
    split: Split = "train"
    files: Sequence[SourceFile] = ()

    @property
    def recipe(self) -> list[list[object]]:
        """What its decoded sources depend on."""
        return sorted([f.source, f.content, f.stream, f.gain_db] for f in self.files)
