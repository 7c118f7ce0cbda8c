import json

import pytest
from hypothesis import given

from tasks.captions.facts import COLUMNS, Facts, facts_of
from tasks.corpora.captioned.entry import NOTHING_MEASURED, Measured, Tag
from tasks.dataset import unified
from tests.tasks.captions.some_facts import facts


def test_names_are_columns_of_the_unified_dataset() -> None:
    assert set(COLUMNS) <= set(unified.COLUMNS.names)


@given(facts.filter(lambda known: known.tempo_bpm == known.tempo_bpm))
def test_there_and_back_as_json(known: Facts) -> None:
    assert Facts.of_row(json.loads(json.dumps(known.as_row()))) == known


def test_columns_that_a_row_lacks_are_unknown() -> None:
    assert Facts.of_row({"id": "x", "genres": None, "key": "C major"}) == Facts(key="C major")


def test_tags_by_kind() -> None:
    tags = [
        Tag("genre", "Rock"),
        Tag("instrument", "guitar"),
        Tag("other", "favourite"),
        Tag("mood", "calm"),
        Tag("theme", "film"),
        Tag("genre", "Jazz"),
        Tag("speed", "slow"),
    ]
    assert facts_of(tags, Measured(80.0, "C major", "3/4", ("intro",))) == Facts(
        genres=("Rock", "Jazz"),
        moods=("calm",),
        instruments=("guitar",),
        themes=("film",),
        speed="slow",
        key="C major",
        metre="3/4",
        tempo_bpm=80.0,
        sections=("intro",),
    )


@pytest.mark.parametrize(
    ("voices", "voice"),
    [
        ([], None),
        (["female"], "female"),
        (["vocal", "female"], "female"),
        (["female", "male"], "mixed"),
        (["female", "male", "vocal"], "mixed"),
        (["instrumental"], "instrumental"),
        (["instrumental", "vocal"], None),
        (["instrumental", "female"], None),
    ],
)
def test_several_voices(voices: list[str], voice: str | None) -> None:
    tags = [Tag("voice", value) for value in voices]
    assert facts_of(tags, NOTHING_MEASURED).voice == voice


def test_speeds_that_exclude_each_other_are_unknown() -> None:
    tags = [Tag("speed", "slow"), Tag("speed", "fast")]
    assert facts_of(tags, NOTHING_MEASURED).speed is None


@pytest.mark.parametrize("tempo_bpm", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tempo_that_is_none_is_unknown(tempo_bpm: float) -> None:
    assert facts_of([], Measured(tempo_bpm)).tempo_bpm is None
