"""Kinds of tags."""

import pytest

from tasks.corpora.captioned import words
from tasks.corpora.captioned.entry import Tag
from tasks.corpora.captioned.reading import distinct_tags
from tasks.corpora.captioned.vocabulary import tag_in, tag_of


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("Acoustic Guitar", "instrument", "acoustic guitar"),
        ("drums", "instrument", "drums"),
        ("Happy", "mood", "happy"),
        ("upbeat", "mood", "upbeat"),
        ("documentary", "theme", "documentary"),
        ("tv", "theme", "television"),
        ("Hip-Hop", "genre", "Hip-Hop"),
        ("hiphop", "genre", "hip-hop"),
        ("country music", "genre", "country"),
        ("Techno music", "genre", "Techno"),
        ("no voices", "voice", "instrumental"),
        ("Instrumental", "voice", "instrumental"),
        ("soft female vocal", "voice", "female"),
        ("emotional female backing vocals", "voice", "female"),
        ("man and woman singing", "voice", "mixed"),
        ("male talking", "other", "male talking"),
        ("no male vocals", "other", "no male vocals"),
        ("slow tempo", "speed", "slow"),
        ("uptempo", "speed", "fast"),
        ("low quality", "other", "low quality"),
        ("Jared C Balogh", "other", "Jared C Balogh"),
        ("happy " * 20, "other", "happy " * 20),
    ],
)
def test_free_tags(word: str, kind: str, value: str):
    assert tag_of(word) == Tag(kind, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("category", "word", "kind", "value"),
    [
        ("genre", "drumnbass", "genre", "drum and bass"),
        ("genre", "Old-Time / Historic", "genre", "Old-Time / Historic"),
        ("genre", "Instrumental", "genre", "Instrumental"),
        ("instrument", "acousticguitar", "instrument", "acoustic guitar"),
        ("instrument", "nyckelharpa", "instrument", "nyckelharpa"),
        ("instrument", "computer", "other", "computer"),
        ("instrument", "voice", "voice", "vocal"),
        ("mood/theme", "calm", "mood", "calm"),
        ("mood/theme", "space", "theme", "space"),
        ("mood/theme", "fast", "speed", "fast"),
        ("mood/theme", "ballad", "other", "ballad"),
        ("mood", "piano", "other", "piano"),
        ("decade", "happy", "mood", "happy"),
    ],
)
def test_tags_of_a_category(category: str, word: str, kind: str, value: str):
    assert tag_in(category, word) == Tag(kind, value)  # type: ignore[arg-type]


def test_every_mood_and_theme_of_mtg_jamendo_has_its_kind():
    # What the 59 of them are was decided by hand: can they stand before "pop track"?
    moods = (
        "calm cool dark deep dramatic dream emotional energetic epic fun funny groovy happy heavy "
        "hopeful inspiring meditative melancholic mellow melodic motivational nostalgic positive "
        "powerful relaxing retro romantic sad sexy soft upbeat uplifting"
    )
    themes = (
        "action adventure advertising background children christmas commercial corporate "
        "documentary drama film game holiday horror movie nature party presentation space sport "
        "summer trailer travel"
    )
    assert {tag_in("mood/theme", word).kind for word in moods.split()} == {"mood"}
    assert {tag_in("mood/theme", word).kind for word in themes.split()} == {"theme"}
    assert {tag_in("mood/theme", word).kind for word in ("slow", "fast")} == {"speed"}
    rest = [tag_in("mood/theme", word).kind for word in ("ballad", "soundscape", "love")]
    assert rest == ["other"] * 3


def test_no_word_is_of_two_kinds():
    lists = [words.MOODS, words.INSTRUMENTS, words.THEMES, words.GENRES]
    for index, one in enumerate(lists):
        for other in lists[index + 1 :]:
            assert not one & other
    for each in (*lists, words.VOICES, words.SPEEDS, words.SPELLINGS):
        assert all(word == word.lower() == word.strip() != "" for word in each)


def test_voices_and_speeds_that_contradict_each_other_say_nothing():
    female, male, vocal = (Tag("voice", who) for who in ("female", "male", "vocal"))
    none, calm = Tag("voice", "instrumental"), Tag("mood", "calm")
    assert distinct_tags([vocal, calm, female]) == (calm, female)
    assert distinct_tags([male, vocal, female]) == (Tag("voice", "mixed"),)
    assert distinct_tags([none, female]) == (Tag("other", "instrumental"), Tag("other", "female"))
    slow, fast = Tag("speed", "slow"), Tag("speed", "fast")
    assert distinct_tags([slow, fast, slow]) == (Tag("other", "slow"), Tag("other", "fast"))
    assert distinct_tags([Tag("genre", "Pop"), Tag("genre", "pop"), Tag("other", "POP")]) == (
        Tag("genre", "Pop"),
    )
