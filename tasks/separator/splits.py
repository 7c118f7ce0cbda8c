"""Which songs train, which validate, and which are kept for the test."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from tasks.corpora.source_table import SPLITS
from tasks.dataset.split import FRACTIONS, groups_of, split
from tasks.separator.training_song import MIXTURE, Split, TrainingSong

OMITTED = "omitted"
"""Folder of Slakh2100 with songs that others of it repeat."""

CUSTOMARY = frozenset(
    name.casefold()
    for name in (
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "ANiMAL - Rockshow",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    )
)
"""Songs of MUSDB18's ``train`` that validate by custom (musdb 0.4, configs/mus.yaml)."""


def of_folders(paths: Iterable[str]) -> dict[str, Split | None]:
    """Return what folders such as ``train`` and ``test`` say of the songs below them.

    A folder says something if one of another split lies beside it, or if all songs of the
    folder above lie in such: an artist may be called Train. None for what is to be left out.
    """
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    places = {path: PurePosixPath(path).parts[:-1] for path in paths}
    for parts in places.values():
        for at, part in enumerate(parts):
            beside[parts[:at]].add(part.casefold())
        beside[parts].add("")
    found: dict[str, Split | None] = {}
    for path, parts in places.items():
        for at, part in enumerate(parts):
            name, names = part.casefold(), beside[parts[:at]]
            known = names & {*SPLITS, OMITTED}
            is_said = len({SPLITS.get(each) for each in known}) > 1 or known == names
            if name in known and is_said:
                found[path] = SPLITS.get(name)
                break
    return found


def assigned(
    songs: Sequence[TrainingSong],
    said: Mapping[str, Split],
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 42,
) -> tuple[list[TrainingSong], list[str]]:
    """Return songs with their splits and groups, and what is to be said of it.

    What the corpus says counts. Of MUSDB18's training songs the customary ones validate; where
    none of them is there, and the corpus names no validation, it is drawn by artist.

    Parameters
    ----------
    songs
        With artists, and in ``group`` what their layout says to belong together.
    said
        What the corpus says, by the id of the song.
    fractions
        Shares of train, validation and test that are drawn.
    seed
        Of the drawing.
    """
    notices: list[str] = []
    groups = groups_of(
        (song.track_id for song in songs),
        {song.track_id: song.artist for song in songs},
        extra_groups={song.track_id: song.group for song in songs},
    )
    splits: dict[str, Split] = dict(said)
    for song in songs:
        name = f"{song.artist} - {song.title}".casefold()
        if name in CUSTOMARY and splits.get(song.track_id, "train") == "train":
            splits[song.track_id] = "validation"
    by_group = {groups[song]: each for song, each in splits.items() if each != "train"}
    rest = [song for song in songs if song.track_id not in splits]
    for song in rest:
        # Beside a song of its artist that is kept from the training.
        if (kept := by_group.get(groups[song.track_id])) is not None:
            splits[song.track_id] = kept
    rest = [song for song in rest if song.track_id not in splits]
    splits |= _drawn(rest, groups, fractions, seed, notices)
    if songs and "validation" not in splits.values():
        train = [song for song in songs if splits[song.track_id] == "train"]
        total = fractions[0] + fractions[1]
        of_two = (fractions[0] / total, fractions[1] / total, 0.0)
        splits |= _drawn(train, groups, of_two, seed, notices)
    return [
        replace(song, group=groups[song.track_id], split=splits[song.track_id]) for song in songs
    ], notices


def is_of_one_source(song: TrainingSong) -> bool:
    """Return whether all stems of a song belong to one source: only remixes use it."""
    return len({file.source for file in song.files} - {MIXTURE}) == 1


def _drawn(
    songs: Sequence[TrainingSong],
    groups: Mapping[str, str],
    fractions: Sequence[float],
    seed: int,
    notices: list[str],
) -> dict[str, Split]:
    """Draw splits by group; songs of one source by source, so that each split has each."""
    whole: dict[str, list[TrainingSong]] = defaultdict(list)
    for song in songs:
        whole[song.files[0].source if is_of_one_source(song) else ""].append(song)
    drawn: dict[str, Split] = {}
    for alike in whole.values():
        names = {song.track_id: groups[song.track_id] for song in alike}
        if len(set(names.values())) == 1 and len(alike) > 1:
            # One artist would leave nothing to validate with.
            names = {song.track_id: song.track_id for song in alike}
            notices.append(
                f"All {len(alike)} songs are of one artist or group ({alike[0].artist}): they are "
                "split song by song, and validation says little of other artists."
            )
        of_group = split(Counter(names.values()), fractions, seed)
        drawn |= {song: of_group[group] for song, group in names.items()}
    return drawn
