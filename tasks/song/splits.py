"""Which songs are one recording, which stay together, and which of them train.

None of this is of one song: it is found where a dataset is assembled, of all that are in it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.dataset.near_duplicates import Words, duplicates
from tasks.dataset.split import SPLITS, duplicate_groups, groups_of, split
from tasks.text import counted

Record = dict[str, Any]

COLUMNS = ("duplicate_group", "group", "split")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How groups of tracks are shared out.

    Attributes
    ----------
    seed
        Another one gives another layout.
    fractions
        Shares of train, validation and test; they add up to 1.
    """

    seed: int = 42
    fractions: tuple[float, ...] = (0.8, 0.1, 0.1)

    def options(self) -> Record:
        """Return what the manifest says of it."""
        return {"seed": self.seed, "fractions": list(self.fractions)}


@dataclass(frozen=True, slots=True)
class Placed:
    """The columns that tracks have beside each other.

    Attributes
    ----------
    of_track
        Track -> its values of :data:`COLUMNS`.
    splitting
        How they were shared out.
    with_fingerprints
        Whether copies of recordings were looked for.
    """

    of_track: Mapping[str, Record]
    splitting: Splitting
    with_fingerprints: bool

    def onto(self, record: Record) -> Record:
        """Put the columns into the record of a track."""
        return record | self.of_track[record["track_id"]]

    def made(self, columns: Mapping[str, Record]) -> dict[str, Record]:
        """Return what the manifest says of columns, and by which options they were split."""
        of_split = columns["tracks.split"] | {"config": self.splitting.options()}
        return {**columns, "tracks.split": of_split}

    def summary(self) -> Record:
        """Return what the manifest says of it.

        Returns
        -------
        dict
            ``seed``, ``fractions``; ``tracks`` of each split; ``groups``, how many there are;
            ``near_duplicates``, how many tracks are the recording of another one, None if that
            was not looked for.
        """
        places = self.of_track.values()
        sizes = Counter(place["split"] for place in places)
        copies = sum(place["duplicate_group"] is not None for place in places)
        return {
            **self.splitting.options(),
            "tracks": {name: sizes[name] for name in SPLITS},
            "groups": len({place["group"] for place in places}),
            "near_duplicates": copies if self.with_fingerprints else None,
        }


def place(
    artists: Mapping[str, str | None], words: Mapping[str, Words] | None, splitting: Splitting
) -> Placed:
    """Put the tracks of a dataset into splits, whole groups at a time.

    Parameters
    ----------
    artists
        Artist of each track that is in the dataset, if it is known.
    words
        Acoustic fingerprints of the tracks that have one; None if none were made, whereupon
        tracks hang together by their artists alone.
    splitting
        How groups are shared out.
    """
    pairs = duplicates({name: words[name] for name in artists if name in words}) if words else []
    recordings = duplicate_groups(pairs)
    groups = groups_of(artists, {name: artist or "" for name, artist in artists.items()}, pairs)
    splits = split(Counter(groups.values()), splitting.fractions, splitting.seed)
    return Placed(
        {
            name: {
                "duplicate_group": recordings.get(name),
                "group": group,
                "split": splits[group],
            }
            for name, group in groups.items()
        },
        splitting,
        words is not None,
    )


def say(summary: Mapping[str, Any]) -> list[str]:
    """Return how a dataset was split, as a line for people; none of one without tracks."""
    tracks = summary.get("tracks", {})
    if not any(tracks.values()):
        return []
    sizes = ", ".join(f"{name} {count:,}" for name, count in tracks.items())
    copies = summary["near_duplicates"]
    if copies is None:
        return [f"Split by artist, near-duplicates not looked for: {sizes}"]
    found = f"{counted(copies, 'near-duplicate')} among them" if copies else "no near-duplicates"
    return [f"Split by artist and recording: {sizes}; {found}"]
