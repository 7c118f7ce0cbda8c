"""Which segments of a concept are kept, which of them train, and which validate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.dataset import split
from tasks.dataset.near_duplicates import Words, duplicates
from tasks.inversion.concepts import SPLITS, Split
from tasks.inversion.repetition import repeated, words_of
from tasks.text import counted

MIN_SEGMENTS_TO_DIVIDE = 5
"""Of one recording with fewer segments none is taken from the training: 25 s of five seconds."""

Place = tuple[int, int]
"""A recording of a concept, and a segment of it."""


@dataclass(frozen=True)
class Heard:
    """What is needed of a recording to choose of its segments.

    Attributes
    ----------
    track_id
        Its identity.
    song_id
        Identity of the song that it is a part of, or of itself.
    fingerprint
        Acoustic fingerprint of all of it.
    start_seconds
        Where its segments begin that sound.
    segment_seconds
        Their length.
    """

    track_id: str
    song_id: str
    fingerprint: Words
    start_seconds: Sequence[float]
    segment_seconds: float


@dataclass(frozen=True)
class Choice:
    """What is made of the recordings of a concept.

    Attributes
    ----------
    splits
        Split of each segment that is kept, by its place, in order.
    repeated
        Segments left out since an earlier one is much the same.
    gap
        Segments left out between training and validation.
    notices
        What is to be said of it, a sentence each.
    """

    splits: Mapping[Place, Split]
    repeated: int
    gap: int = 0
    notices: Sequence[str] = field(default_factory=tuple)


def choose(
    concept: str, recordings: Sequence[Heard], validation_fraction: float, seed: int
) -> Choice:
    """Choose of the segments of a concept, and split them.

    Recordings that are one song, or versions of one, are in one split. Where there is only one,
    its end validates, a segment apart from what trains; where that is short, nothing does.

    Parameters
    ----------
    concept
        Its name.
    recordings
        In order.
    validation_fraction
        Share of the segments that validate, about; 0 for none.
    seed
        Changes which recordings validate.
    """
    places = [
        (at, number)
        for at, each in enumerate(recordings)
        for number in range(len(each.start_seconds))
    ]
    words = [
        words_of(each.fingerprint, each.start_seconds[number], each.segment_seconds)
        for at, number in places
        for each in [recordings[at]]
    ]
    kept = [place for place, one in zip(places, repeated(words), strict=True) if one is None]
    left_out = len(places) - len(kept)
    groups = _groups(recordings)
    sizes = Counter(groups[at] for at, _ in kept)
    if not validation_fraction:
        return Choice(dict.fromkeys(kept, "train"), left_out)
    if len(sizes) > 1:
        drawn = split.split(sizes, (1 - validation_fraction, validation_fraction, 0), seed)
        splits: dict[Place, Split] = {
            place: "validation" if drawn[groups[place[0]]] == "validation" else "train"
            for place in kept
        }
        return Choice(splits, left_out)
    return _divided(concept, kept, left_out, validation_fraction)


def _groups(recordings: Sequence[Heard]) -> list[str]:
    """Return the group of each recording: those of one are in one split."""
    named = split.groups_of(
        [each.track_id for each in recordings],
        {},
        duplicates({each.track_id: each.fingerprint for each in recordings}),
        {each.track_id: each.song_id for each in recordings},
    )
    return [named[each.track_id] for each in recordings]


def _divided(concept: str, kept: Sequence[Place], repeated: int, fraction: float) -> Choice:
    """Split the segments of a concept that has one recording, by time."""
    if len(kept) < MIN_SEGMENTS_TO_DIVIDE:
        return Choice(
            dict.fromkeys(kept, "train"),
            repeated,
            notices=[
                f"Nothing validates {concept}, which has {counted(len(kept), 'segment')} of one "
                "recording: add another one."
            ],
        )
    last = max(1, round(fraction * len(kept)))
    train, validation = kept[: -last - 1], kept[-last:]
    return Choice(
        {**dict.fromkeys(train, SPLITS[0]), **dict.fromkeys(validation, SPLITS[1])},
        repeated,
        gap=1,
        notices=[
            f"{concept} comes from one recording: its last {counted(last, 'segment')} "
            f"{'validates' if last == 1 else 'validate'}, one segment apart from those that "
            "train. The validation says more with another recording."
        ],
    )
