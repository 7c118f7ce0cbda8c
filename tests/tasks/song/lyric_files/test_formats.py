import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.song.lyric_files import formats
from tasks.song.lyric_files.cleaning import clean
from tasks.song.lyric_files.encoding import decode
from tasks.song.lyric_files.page import without_page
from tasks.step import TrackError


def test_subrip():
    text = (
        "1\r\n00:00:01,000 --> 00:00:03,500\r\n{\\an8}I was <i>walking</i>\r\nby the harbor\r\n\r\n"
        "2\r\n01:00:04,250 --> 01:00:06,000 X1:10\r\nall &amp; more\r\n"
    )
    lyrics, name = formats.read(text)
    assert name == "srt"
    assert [(line.text, line.start_seconds, line.end_seconds) for line in lyrics.lines] == [
        ("I was walking", 1.0, 3.5),
        ("by the harbor", 1.0, 3.5),
        ("all & more", 3604.25, 3606.0),
    ]


def test_webvtt_with_times_of_words():
    text = (
        "WEBVTT - lyrics\n\nNOTE not sung\n\nSTYLE\n::cue { color: red }\n\n"
        "00:01.000 --> 00:03.500 align:start\n<v Ann>I was <00:02.000><c>walking</c>\n\n"
        "cue 7\n00:00:04.000 --> 00:00:06.000\n[Music]\n"
    )
    lyrics, name = formats.read(text)
    assert (name, lyrics.text) == ("vtt", "I was walking")
    assert [word.start_seconds for word in lyrics.lines[0].words] == [1.0, None, 2.0]
    assert [heading.text for heading in lyrics.headings] == ["Music"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[Script Info]\nTitle: x\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,hello", ".ass"),
        ('<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"><body/></tt>', "TTML"),
        ("<!DOCTYPE html>\n<p>I was walking</p>", "HTML"),
        ('{"lrc": {"lyric": "[00:01.00]hi"}}', "JSON"),
        ('[{"text": "hi", "start": 1}]', "JSON"),
        ("{\\rtf1\\ansi I was walking}", "RTF"),
        ("[1000,2000](1000,200,0)Hello \n[3000,2000](3000,200,0)And ", "YRC"),
        ("{1}{50}I was\n{51}{99}walking", "MicroDVD"),
        ("1.0\t2.5\thello there\n2.5\t4.0\tmy friend", "a table of times"),
        ("{title: A}\n{artist: B}\nI was", "ChordPro"),
        ("[Am]I was [G]walking\n[C]by the [F#m7]harbor", "ChordPro"),
        ("e|--0--2--|\nB|--1--3--|\nG|--0-----|", "tablature"),
        ("X:1\nT:x\nK:G\nGABc|", "ABC"),
        ('File type = "ooTextFile"\n', "TextGrid"),
    ],
)
def test_a_format_that_is_not_read_is_named(text, name):
    with pytest.raises(TrackError) as error:
        formats.read(text)
    assert error.value.reason == "lyrics-format"
    assert name in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        "1, 2, 3, 4\ntell me that you love me more",
        "[A] is for apple",
        "<3 my love <3\nX: the unknown",
        '"Hello" he said\n{whispers}',
        "1999, 2000\nthe years went by\nover and over",
    ],
)
def test_plain_lyrics_are_no_other_format(text):
    assert formats.read(text)[1] == "txt"


REASONS = ("lyrics-unreadable", "lyrics-format", "lyrics-malformed", "lyrics-too-large")
PIECES = st.sampled_from(
    [
        *("#TITLE:x", "#BPM:240", "#BPM:1e9", "#GAP:-5,5", "#RELATIVE:yes", ": 0 4 60 Win", "P1"),
        *(": 9 4 60  ~", "- 20", "- 1 2", "E", "B 4 90", "F 999999999 9 0 a", "00:01.000"),
        *("WEBVTT", "1", "00:00:01,000 --> 00:00:02,000", "<c>la</c>", "[00:01.00]", "<00:02.00>"),
        *(
            '{"t":0,"c":[{"tx":"\\ud83d"}]}',
            '{"t":0,"c":[{"tx":"a"}]}',
            '{"t":0,"c":[1]}',
            "[Verse 1]",
            "(Chorus x2)",
            "Chorus:",
        ),
        *("You might also like", "12 ContributorsX Lyrics", "7Embed", "作词 : x", "Lyrics by: X"),
        *("纯音乐，请欣赏", "la la (x2)", "男：月亮", "we walk (我们)", "we walk / 我们", "♪", "&"),  # noqa: RUF001
        *("A - B", "[ti:A]", "[ar:B]", "[la:zh]", "[offset:500]", "君の声", "kimi no koe", "x2"),
        *("\n", "\n\n", " ", "\ufffd", "\u2028", "\x0b", "é"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.lists(PIECES, max_size=30).map("\n".join).map(str.encode),
        st.lists(PIECES, max_size=30).map("".join).map(str.encode),
        st.tuples(
            st.sampled_from(["utf-8", "utf-16", "cp1251", "gb18030", "cp932"]),
            st.lists(PIECES, max_size=20).map("\n".join),
            st.binary(max_size=3),
        ).map(lambda each: each[1].encode(each[0], "replace") + each[2]),
        st.binary(max_size=60),
    ),
    st.one_of(st.none(), st.floats(0, 20)),
)
def test_any_bytes_give_lyrics_or_a_reason(data, duration_seconds):
    try:
        decoded, _ = decode(data)
        text, _ = without_page(decoded)
        lyrics, _ = formats.read(text)
    except TrackError as refusal:
        reason = refusal.reason
    else:
        reason = None
    if reason is not None:
        assert reason in REASONS
        return
    clean(lyrics, duration_seconds)
    starts = [line.start_seconds for line in lyrics.lines if line.start_seconds is not None]
    assert starts == sorted(starts)
    assert all(start < duration_seconds for start in starts if duration_seconds is not None)
    lines = len(lyrics.lines)
    assert all(heading.line is None or heading.line < lines for heading in lyrics.headings)
    for line in lyrics.lines:
        assert line.words, "a line without words decides that nothing is sung"
        position = 0
        for word in line.words:
            position = line.text.index(word.text, position) + len(word.text)
    "".join((lyrics.text, *lyrics.notices)).encode()
