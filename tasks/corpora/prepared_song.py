"""A song as a set of stems, as it was prepared."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.track import Track


@dataclass(frozen=True, slots=True)
class PreparedStem:
    """A stem as it was prepared.

    Attributes
    ----------
    stem_id
        Digest of the bytes it was found with; its identity.
    name, instrument
        What the source calls it, and what it is.
    path
        Ogg Opus file below the prepared folder.
    seconds
        Its length.
    balance_db
        Gain that puts it beside the song's other stems as it was found: those above full scale
        are stored softer, and the others follow the softest of them.
    """

    stem_id: str
    name: str
    instrument: str
    path: str
    seconds: float
    balance_db: float = 0.0


@dataclass(frozen=True, slots=True)
class PreparedSong(Track):
    """A song that was prepared.

    ``track_id`` is the digest of its stems' identities; ``path`` is what it was made of.

    Attributes
    ----------
    artist, title
        Whose song it is.
    stems
        Its stems, in the order of their identities: none silent, each with an instrument.
    group
        What must stay in one split: songs of one artist, and copies of one recording.
    """

    artist: str = ""
    title: str = ""
    stems: Sequence[PreparedStem] = ()
    group: str = ""

    @property
    def instruments(self) -> list[tuple[str, str]]:
        """Identity and instrument of each stem: what assortments depend on."""
        return [(stem.stem_id, stem.instrument) for stem in self.stems]
