"""Which tags are told: thresholds, synonyms, kinds, and what contradicts them."""

import numpy as np
import pytest

from models.musicnn_tags import VOCABULARIES
from tasks.song import column_values
from tasks.song.column_values import Rows
from tasks.song.confident_tags import KINDS, LEAST_SCORES, SYNONYMS, Tag, by_kind, confident_tags
from tasks.song.tags import MODELS

SOURCES = dict(zip(("mtt", "msd"), MODELS, strict=True))


def heard(**scores: dict[str, float]) -> dict[str, list[float]]:
    """Row of the step in which nothing is heard but some tags of ``mtt`` and ``msd``."""
    row = {}
    for source, name in SOURCES.items():
        tags = VOCABULARIES[MODELS[name]]
        given = scores.get(source, {})
        assert set(given) <= set(tags)
        row[name] = [given.get(tag, 0.01) for tag in tags]
    return row


def told(row: dict[str, list[float]], **known: object) -> list[str]:
    return [tag.tag for tag in confident_tags(row, **known)]


def test_synonyms_are_one_tag_with_the_highest_score():
    row = heard(mtt={"woman": 0.31, "female vocal": 0.4}, msd={"female vocalists": 0.35})
    assert confident_tags(row) == [Tag("female vocals", "voice", 0.4, "musicnn-mtt")]
    row = heard(mtt={"rock": 0.2}, msd={"rock": 0.5})
    assert confident_tags(row) == [Tag("rock", "genre", 0.5, "musicnn-msd")]


def test_tags_have_thresholds_of_their_own_and_are_told_by_score():
    row = heard(mtt={"guitar": 0.69, "drums": 0.26, "piano": 0.8}, msd={"folk": 0.31, "soul": 0.29})
    assert told(row) == ["piano", "folk", "drums"]
    assert told(heard(mtt={"guitar": 0.71})) == ["guitar"]
    assert told(heard()) == []


def test_what_is_measured_better_is_not_told():
    row = heard(mtt={"slow": 0.9, "loud": 0.9, "no vocals": 0.9}, msd={"instrumental": 0.9})
    assert told(row) == []


def test_what_contradicts_the_activity_is_left_out():
    row = heard(mtt={"choir": 0.9, "piano": 0.8, "male": 0.7})
    assert told(row) == ["choir", "piano", "male vocals"]
    assert told(row, content="music", is_instrumental=True) == ["piano"]
    assert told(row, content="music", is_instrumental=False) == ["choir", "piano", "male vocals"]
    assert told(row, content="singing", is_instrumental=False) == ["choir", "male vocals"]


def test_without_scores_there_are_no_tags():
    assert confident_tags({}) is None
    assert confident_tags(dict.fromkeys(MODELS)) is None
    assert by_kind(None) == {}


def test_one_genre_three_instruments_and_one_mood_are_for_prompts():
    mtt = {"piano": 0.9, "drums": 0.7, "choir": 0.65, "harp": 0.6, "synth": 0.5}
    msd = {"rock": 0.8, "punk": 0.7, "sad": 0.6, "happy": 0.5, "80s": 0.4}
    assert by_kind(confident_tags(heard(mtt=mtt, msd=msd))) == {
        "instrument": ("piano", "drums", "harp"),
        "genre": ("rock",),
        "voice": ("choir",),
        "mood": ("sad",),
        "era": ("80s",),
    }


def test_all_that_is_named_is_a_tag_of_a_network():
    heard_of = {tag for tags in VOCABULARIES.values() for tag in tags}
    names = {SYNONYMS.get(tag, tag.lower()) for tag in heard_of}
    kinds = [tag for tags in KINDS.values() for tag in tags]
    assert set(SYNONYMS) <= heard_of
    assert set(kinds) <= names
    assert set(LEAST_SCORES) <= set(kinds)
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_the_column_knows_what_the_activity_says(share: float):
    activity = {
        "content": "music",
        **{f"singing_{end}_seconds": [at] for end, at in (("start", 0.0), ("end", 100 * share))},
        "speech_start_seconds": [],
        "speech_end_seconds": [],
    }
    row = {name: np.asarray(scores) for name, scores in heard(mtt={"male": 0.7}).items()}
    rows = Rows(tags=row, activity=activity, probe={"duration_seconds": 100.0})
    expected = [{"tag": "male vocals", "kind": "voice", "score": 0.7, "model": "musicnn-mtt"}]
    assert column_values.tags(rows) == (expected if share else [])
    assert column_values.tags(Rows()) is None
