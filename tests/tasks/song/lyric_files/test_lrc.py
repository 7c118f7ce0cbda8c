import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.song.lyric_files import lrc
from tasks.step import TrackError


def times(text):
    return [(line.start_seconds, line.end_seconds, line.text) for line in lrc.parse(text).lines]


def words(text):
    return [
        (word.text, word.start_seconds, word.end_seconds)
        for line in lrc.parse(text).lines
        for word in line.words
    ]


def test_plain_lines_keep_their_stanzas_and_have_no_times():
    lyrics = lrc.parse("one two\n\n\n\nthree\n\n")
    assert lyrics.text == "one two\n\nthree"
    assert [line.start_seconds for line in lyrics.lines] == [None, None]
    assert not lyrics.timed_lines


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ("01:02", 62.0),
        ("01:02.5", 62.5),
        ("01:02.34", 62.34),
        ("01:02.345", 62.345),
        ("01:02,34", 62.34),
        ("75:10.00", 4510.0),
        ("01:02:03", 3723.0),
        ("01:02:03.5", 3723.5),
        ("-00:01.00", 0.0),
    ],
)
def test_time_formats(tag, seconds):
    assert times(f"[{tag}]la") == [(seconds, None, "la")]


def test_a_third_part_that_cannot_be_seconds_makes_all_of_them_hundredths():
    assert times("[00:05:07]a\n[00:08:75]b") == [(5.07, 8.75, "a"), (8.75, None, "b")]


def test_a_line_ends_where_the_next_line_or_the_next_empty_line_starts():
    text = "[00:10.00]one\n[00:14.00]\n[00:20.00]two\n[00:25.00]three"
    assert times(text) == [(10, 14, "one"), (20, 25, "two"), (25, None, "three")]
    assert lrc.parse(text).text == "one\n\ntwo\nthree"


def test_lines_are_sorted_and_repeated_lines_appear_at_every_time():
    text = "[00:30.00][00:10.00]chorus\n[00:20.00]verse"
    assert times(text) == [(10, 20, "chorus"), (20, 30, "verse"), (30, None, "chorus")]


def test_lines_that_start_together_end_together():
    text = "[00:10.00]bonjour\n[00:10.00]hello\n[00:20.00]fin"
    assert times(text)[:2] == [(10, 20, "bonjour"), (10, 20, "hello")]


def test_lines_without_a_time_stay_behind_the_line_they_follow():
    text = "[00:20.00]b\nafter b\n[00:10.00]a\nafter a"
    assert [line.text for line in lrc.parse(text).lines] == ["a", "after a", "b", "after b"]


@pytest.mark.parametrize(("offset", "start"), [("+500", 9.5), ("-500", 10.5), ("20000", 0.0)])
def test_a_positive_offset_makes_lyrics_sooner_but_not_before_the_track(offset, start):
    assert times(f"[offset:{offset}]\n[00:10.00]a")[0][0] == start


def test_id_tags_annotations_and_walaoke_marks_are_no_lyrics():
    text = "[ar:Someone][ti:A [live]]\n[la:pt-BR]\n[Chorus]\n[Verse 2: x]\n[00:01.00]F: ela\n# x"
    lyrics = lrc.parse(text)
    assert lyrics.text == "ela\n# x"
    assert lyrics.language == "pt-br"


def test_enhanced_words_end_where_the_next_starts_and_the_last_at_the_closing_time():
    text = "[00:12.00] <00:12.04> When <00:12.50> the <00:12.90> truth <00:13.40>\n[00:20.00]x"
    assert words(text)[:3] == [
        ("When", 12.04, 12.5),
        ("the", 12.5, 12.9),
        ("truth", 12.9, 13.4),
    ]
    assert times(text)[0] == (12.0, 13.4, "When the truth")


def test_the_last_word_without_a_closing_time_has_no_end():
    assert words("[00:12.00]<00:12.00>a <00:12.50>b\n[00:30.00]c")[1] == ("b", 12.5, None)


def test_word_times_in_square_brackets():
    text = "[00:12.00]When [00:12.50]the [00:12.90]truth[00:13.40]"
    assert words(text) == [("When", 12, 12.5), ("the", 12.5, 12.9), ("truth", 12.9, 13.4)]


def test_a_closing_time_alone_ends_the_line_and_makes_no_word_times():
    assert times("[00:12.00]a b[00:15.00]\n[00:20.00]c")[0] == (12, 15, "a b")
    assert words("[00:12.00]a b[00:15.00]") == [("a", None, None), ("b", None, 15.0)]


def test_a_second_word_behind_one_time_has_none_of_its_own():
    assert words("[00:01.00]<00:01.00>a b <00:02.00>c") == [
        ("a", 1.0, None),
        ("b", None, 2.0),
        ("c", 2.0, None),
    ]


def test_syllables_without_a_space_are_one_word():
    text = "[00:01.00]<00:01.00>hel<00:01.50>lo <00:02.00>you<00:03.00>"
    assert words(text) == [("hello", 1.0, 2.0), ("you", 2.0, 3.0)]
    assert lrc.parse(text).text == "hello you"


def test_times_part_words_in_a_file_that_never_puts_a_space_beside_them():
    text = "[00:01.00]<00:01.00>hello<00:01.50>my<00:02.00>friend"
    assert [word[0] for word in words(text)] == ["hello", "my", "friend"]
    assert lrc.parse(text).text == "hello my friend"


def test_times_part_words_of_scripts_without_spaces():
    text = "[00:01.00]<00:01.00>月<00:01.50>亮<00:02.00>代\n[00:03.00]<00:03.00>a <00:04.00>b"
    assert [word[0] for word in words(text)] == ["月", "亮", "代", "a", "b"]
    assert lrc.parse(text).text == "月亮代\na b"


def test_word_times_move_with_a_repeated_line():
    text = "[00:10.00][01:10.00]<00:10.00>a <00:11.00>b"
    assert [word[1] for word in words(text)] == [10, 11, 70, 71]


def test_punctuation_alone_is_no_word_but_stays_in_the_line():
    lyrics = lrc.parse("rock & roll — ♪ (x2)")
    assert [word.text for word in lyrics.lines[0].words] == ["rock", "&", "roll", "(x2)"]
    assert lyrics.text == "rock & roll — ♪ (x2)"


def test_repetitions_cannot_blow_a_small_file_up():
    with pytest.raises(TrackError) as error:
        lrc.parse("[00:01]" * 20_000 + "x" * 20_000)
    assert error.value.reason == "lyrics-too-large"


PIECES = st.sampled_from(
    ["[00:10.00]", "<00:11.5>", "[01:02:03]", "[-0:9]", "[offset:-7]", "[la:en]", "[", "]", "<",
     ">", " ", "\n", "word", "don't", "月", "é", ":", "♪", "&", "\x0b", "\x00", "\u200b"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("".join)))
def test_any_text_gives_sorted_lines_whose_words_lie_in_them(text):
    lyrics = lrc.parse(text)
    starts = [line.start_seconds for line in lyrics.lines if line.start_seconds is not None]
    assert starts == sorted(starts)
    for line in lyrics.lines:
        assert line.end_seconds is None or line.end_seconds >= line.start_seconds >= 0
        position = 0
        for word in line.words:
            position = line.text.index(word.text, position) + len(word.text)
