"""Times follow from the format: a beat is a quarter of what #BPM says, from #GAP milliseconds."""

import pytest

from tasks.song.lyric_files import ultrastar
from tasks.step import TrackError

SONG = """#TITLE:Winter Road
#ARTIST:Nobody
#LANGUAGE:English
#BPM:240
#GAP:1000
: 0 4 60 Win
: 4 4 62 ter
: 8 8 64  road
- 20
: 24 4 60 Take
* 28 4 62  me
: 32 6 64  home
F 40 4 0  yeah
E
"""


def words(text):
    return [
        (word.text, word.start_seconds, word.end_seconds)
        for line in ultrastar.parse(text).lines
        for word in line.words
    ]


def test_lines_words_and_times():
    lyrics = ultrastar.parse(SONG)
    assert ultrastar.is_ultrastar(SONG)
    assert (lyrics.text, lyrics.language) == ("Winter road\nTake me home yeah", "en")
    assert (lyrics.title, lyrics.artist, lyrics.notices) == ("Winter Road", "Nobody", [])
    assert [(line.start_seconds, line.end_seconds) for line in lyrics.lines] == [
        (1.0, 2.0),
        (2.5, 3.75),
    ]
    assert words(SONG)[:3] == [("Winter", 1.0, 1.5), ("road", 1.5, 2.0), ("Take", 2.5, 2.75)]
    assert words(SONG)[-2:] == [("home", 3.0, 3.375), ("yeah", 3.5, 3.75)]


def test_a_space_at_either_end_parts_words_and_a_tilde_holds():
    text = "#BPM:240\n: 0 1 0 Hel\n: 1 1 0 lo \n: 2 1 0 wor\n: 3 1 0 ~\n: 4 1 0 ~ld\n: 5 1 0  ~ \n"
    assert words(text) == [("Hello", 0.0, 0.125), ("world", 0.125, 0.375)]


def test_hyphens_that_mark_syllables_are_no_part_of_words():
    text = "#BPM:240\n: 0 1 0 nor-\n: 1 1 0 mal\n: 2 1 0  free-\n: 3 1 0 style\n: 4 1 0  well-\n"
    assert [word for word, *_ in words(text)] == ["normal", "freestyle", "well-"]
    text = "#BPM:240\n: 0 1 0 Win\n: 1 1 0 ter\n: 2 1 0  ro\n: 3 1 0 ad\n: 4 1 0  uh-\n: 5 1 0 huh"
    assert [word for word, *_ in words(text)] == ["Winter", "road", "uh-huh"]


def test_relative_beats_count_from_the_line_break():
    text = "#BPM:240\n#RELATIVE:yes\n: 0 4 0 a\n- 6 8\n: 0 4 0 b\n- 4\n: 2 4 0 c\n"
    assert [start for _, start, _ in words(text)] == [0.0, 0.5, 0.875]


def test_decimal_commas_and_a_change_of_tempo():
    text = "#BPM:62,5\n#GAP:500,5\n: 0 1 0 a\nB 10 125\n: 10 1 0  b\n: 20 1 0  c\n"
    # 60 / (62.5 * 4) = 0.24 s a beat, 0.12 s from beat 10 on.
    assert [start for _, start, _ in words(text)] == [0.5005, 2.9005, 4.1005]


def test_the_parts_of_a_duet_are_sorted_and_what_both_sing_appears_once():
    text = "#BPM:240\nP1\n: 0 4 0 I\n- 8\n: 40 4 0 both\nP2\n: 20 4 0 you\n- 30\n: 40 4 0 both\nE"
    lyrics = ultrastar.parse(text)
    assert lyrics.text == "I\nyou\nboth"
    assert lyrics.notices == ["duet: the 2 parts of a duet were sorted into one."]


def test_what_is_no_note_is_named_and_no_lyrics():
    lyrics = ultrastar.parse("#BPM:240\n: 0 4 0 a\nsome text\n: 4 4 0  b\nE\nafter the end\n")
    assert lyrics.text == "a b"
    assert lyrics.notices == [
        "not-lyrics: left out, since it is no note of UltraStar (1): some text"
    ]


@pytest.mark.parametrize("headers", ["", "#BPM:0", "#BPM:fast", "#BPM:-3", "#BPM:0.000001"])
def test_notes_without_a_length_of_beats_are_malformed(headers):
    with pytest.raises(TrackError) as error:
        ultrastar.parse(f"#TITLE:x\n{headers}\n: 0 4 0 a\n: 900000 4 0 b\n")
    assert error.value.reason == "lyrics-malformed"


@pytest.mark.parametrize("text", ["# x\nla la", "#1: hit\n: no note\nla", "F: ela\nM: ele", ""])
def test_plain_text_is_not_taken_for_it(text):
    assert not ultrastar.is_ultrastar(text)
