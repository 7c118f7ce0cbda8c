"""Which stems of a song accompany the target: up to eight choices for each stem of it."""

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import combinations, islice
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.corpora.names.instruments import BASIC, Instrument
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.dataset.seeding import generator
from tasks.step import Row, Step, StepConfig, Tools, column, per_track
from tasks.text import printable
from tasks.track import Track, TrackError

ASSORTMENT = pa.struct(
    [
        ("target", pa.string()),
        ("companions", pa.list_(pa.string())),
        ("kind", pa.string()),
    ]
)


class Assortments(StepConfig):
    """Which stems accompany the target."""

    basic: int = Field(
        4, ge=0, description="Assortments with one companion: guitar, drum, bass, perc or piano."
    )
    random: int = Field(4, ge=0, description="Further assortments, of any companions.")
    max_companions: int = Field(3, ge=1, description="Most companions of the target.")
    seed: int = Field(42, description="Changes which are chosen.")


class AssortConfig(StepConfig):
    """Target and choice of companions."""

    instrument: Instrument
    choice: Assortments = Assortments()


def assort(
    track: Track, upstream: Mapping[str, Row | None], config: AssortConfig, tools: Tools
) -> Row:
    """Choose companions for each of a song's stems that is the target.

    Stems of which one is heard in the other are in no assortment together: a target is never
    in its own context, and nothing is there twice.
    """
    assert isinstance(track, PreparedSong)
    compared = upstream["keep_apart"]
    assert compared is not None
    apart = {frozenset(pair) for pair in compared["apart"]}
    targets = [stem for stem in track.stems if stem.instrument == config.instrument]
    assortments = [each for stem in targets for each in _of(stem, track, apart, config)]
    if not assortments:
        others = len(track.stems) - 1
        reason = f", since its {others} other stems hold it or are in it" if others else ""
        raise TrackError(
            "no-companions",
            f"{printable(track.path)} holds nothing that could accompany its {config.instrument}"
            f"{reason}.",
        )
    return {"assortments": assortments}


def _of(
    target: PreparedStem, song: PreparedSong, apart: Set[frozenset[str]], config: AssortConfig
) -> list[dict[str, Any]]:
    """Return the assortments of one target, in the order in which they are drawn."""
    choice = config.choice
    rng = generator("assort", choice.seed, song.track_id, target.stem_id)
    others = [
        stem
        for stem in song.stems
        if stem.stem_id != target.stem_id and {stem.stem_id, target.stem_id} not in apart
    ]
    basic = [stem for stem in others if stem.instrument in BASIC]
    chosen = [(basic[at].stem_id,) for at in rng.permutation(len(basic))[: choice.basic]]
    kinds = ["basic"] * len(chosen)
    # As likely few companions as many: drawn by size, then by stems.
    ids = [stem.stem_id for stem in others]
    largest = min(choice.max_companions, len(ids))
    wanted = len(list(islice(_possible(ids, apart, largest), len(chosen) + choice.random)))
    while len(chosen) < wanted:
        size = int(rng.integers(1, largest + 1))
        companions = tuple(ids[at] for at in sorted(rng.permutation(len(ids))[:size]))
        if companions not in chosen and not _clash(companions, apart):
            chosen.append(companions)
            kinds.append("random")
    return [
        {"target": target.stem_id, "companions": list(companions), "kind": kind}
        for companions, kind in zip(chosen, kinds, strict=True)
    ]


def _possible(
    ids: Sequence[str], apart: Set[frozenset[str]], largest: int, begun: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the sets of companions of which none is in another, up to some size."""
    for at, stem_id in enumerate(ids):
        if any({stem_id, other} in apart for other in begun):
            continue
        yield (*begun, stem_id)
        if len(begun) + 1 < largest:
            yield from _possible(ids[at + 1 :], apart, largest, (*begun, stem_id))


def _clash(companions: Sequence[str], apart: Set[frozenset[str]]) -> bool:
    return any(frozenset(pair) in apart for pair in combinations(companions, 2))


STEP = Step(
    name="assort",
    version=2,
    config=AssortConfig,
    columns=pa.schema(
        [column("assortments", pa.list_(ASSORTMENT), "Targets and companions, by identity")]
    ),
    run=per_track(assort),
    upstream=("keep_apart",),
    attributes=("track_id", "instruments"),
)
