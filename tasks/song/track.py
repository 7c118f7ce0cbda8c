"""A song as the steps of build-dataset know it."""

from dataclasses import dataclass

from tasks.track import Track


@dataclass(frozen=True, slots=True)
class SongTrack(Track):
    """A song.

    Attributes
    ----------
    lyrics_path, lyrics_digest
        Sidecar file with its lyrics, and the digest of the bytes; with others, of their names too.
    other_lyrics_paths
        More of them, to be asked in this order where the first holds no lyrics.
    """

    lyrics_path: str | None = None
    lyrics_digest: str | None = None
    other_lyrics_paths: tuple[str, ...] = ()
