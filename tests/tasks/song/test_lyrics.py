# ruff: noqa: RUF001
import codecs
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.storage import Storage
from tasks.song import lyrics
from tasks.song.lyric_files.encoding import decode
from tasks.song.segments import vocals_heard
from tasks.song.track import SongTrack
from tasks.step import Tools, TrackError, digest, item_digest

SPANISH = "soy un fantasma que se asusta\nla tristeza es muy extraña\nel corazón está aquí"
POLISH = "Wlazł kotek na płotek i mruga,\nładna to piosenka, nie długa"
RUSSIAN = "Расцветали яблони и груши,\nПоплыли туманы над рекой"
JAPANESE = "君を愛してる ずっと\nさくら さくら 弥生の空は"
CHINESE = "月亮代表我的心\n你问我爱你有多深\n我爱你有几分"
TURKISH = "Üsküdar'a gider iken aldı da bir yağmur\nKâtibimin setresi uzun eteği çamur"

NOTHING_ELSE = {
    "line_translation": [],
    "heading_text": [],
    "heading_start_seconds": [],
    "heading_line": [],
    "notices": [],
    "lines_beyond_end": 0,
}


@pytest.fixture
def read(tmp_path):
    tools = Tools(Storage(str(tmp_path / "source")), Storage(str(tmp_path / "artifacts")))

    def read(data, name="song.lrc", rows=None, others=None):
        data = data.encode() if isinstance(data, str) else data
        tools.source.write_bytes(name, data)
        for other, content in (others or {}).items():
            tools.source.write_bytes(other, content)
        track = SongTrack(
            "a" * 32,
            "song.mp3",
            lyrics_path=name,
            lyrics_digest=digest(data),
            other_lyrics_paths=tuple(others or ()),
        )
        rows = {step: [row] for step, row in (rows or {}).items()}
        [row] = lyrics.STEP.run([track], rows, lyrics.LyricsConfig(), tools)
        if isinstance(row, TrackError):
            return row
        return pa.Table.from_pylist([row], schema=lyrics.STEP.columns).to_pylist()[0]

    return read


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SPANISH, "utf-8"),
        (SPANISH, "utf-8-sig"),
        (SPANISH, "utf-16"),
        (SPANISH, "utf-16-le"),
        (SPANISH, "utf-16-be"),
        (CHINESE, "utf-16-le"),
        (SPANISH, "utf-32"),
        (SPANISH, "cp1252"),
        (POLISH, "cp1250"),
        (TURKISH, "cp1254"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
    ],
)
def test_encodings(text, encoding):
    timed = "".join(f"[00:0{i}.50]{line}\r\n" for i, line in enumerate(text.split("\n")))
    assert decode(text.encode(encoding))[0] == text
    assert decode(timed.encode(encoding))[0] == timed


def test_big_endian_with_a_byte_order_mark():
    assert decode(codecs.BOM_UTF16_BE + SPANISH.encode("utf-16-be"))[0] == SPANISH


def test_text_is_composed_and_free_of_invisible_characters():
    assert decode(("cafe\u0301\u200b \ufeffa\x00b" + " la" * 50).encode())[0] == (
        "café ab" + " la" * 50
    )


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 8, b"\xff\xfb\x90\x64\x00\x0f\xf0" * 50, b"\x00" * 100]
)
def test_binary_data_is_refused(read, data):
    assert read(data).reason == "lyrics-unreadable"


def test_a_huge_file_is_refused(read):
    error = read(b"la " * 400_000)
    assert error.reason == "lyrics-too-large"
    assert "1,200,000 bytes" in error.message


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_text_or_unreadable(data):
    reason = "lyrics-unreadable"
    try:
        decode(data)[0].encode()
    except TrackError as error:
        reason = error.reason
    assert reason in ("lyrics-unreadable", "lyrics-format")


ENHANCED = "[la:en]\n[00:01.00]<00:01.00>hello, <00:01.50>you\n[00:03.00][Chorus]\n[00:04.00]again"
BILINGUAL = "[00:01.00]we walk\n[00:01.00]我们走\n[00:04.00]along\n[00:04.00]沿着河"
ULTRASTAR = "#TITLE:x\n#BPM:240,5\n#GAP:100\n: 0 4 60 Win\n: 4 4 60 ter\n- 9\n* 12 4 60  road\nE\n"
SUBRIP = (
    "1\n00:00:01,000 --> 00:00:02,500\n<i>I was</i>\nwalking\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\nla\n"
)
PAGE = "12 ContributorsX Lyrics[Verse 1]\nI was\nYou might also like[Chorus]\nwalking7Embed"
NETEASE = '{"t":0,"c":[{"tx":"作词: "},{"tx":"x"}]}\n[00:00.00] 作曲 : B\n[00:02.00]月亮 (x2)'


def test_five_hundred_damaged_files_are_each_accounted_for(tmp_path):
    """Cut, spliced, repeated and with other bytes: each gives a row that a table can hold."""
    random = Random(10)
    whole = [
        text.encode(encoding, "replace")
        for text in (ENHANCED, BILINGUAL, ULTRASTAR, SUBRIP, PAGE, NETEASE, SPANISH, RUSSIAN)
        for encoding in ("utf-8", "utf-8", "utf-16", "cp1252", "gb18030")
    ]
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    tracks = []
    for number in range(500):
        data = bytearray(random.choice(whole))
        for _ in range(random.randint(1, 6)):
            at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
            data[at:to] = random.choice(
                [
                    b"",
                    bytes(data[at:to]) * 2,
                    random.choice(whole)[at:to],
                    random.randbytes(to - at),
                ]
            )
        tools.source.write_bytes(f"{number}.lrc", bytes(data))
        tracks.append(SongTrack(str(number), "song.mp3", lyrics_path=f"{number}.lrc"))
    probed = {"probe": [{"duration_seconds": 3.5}] * len(tracks)}
    rows = lyrics.STEP.run(tracks, probed, lyrics.LyricsConfig(), tools)
    failures = [row for row in rows if isinstance(row, TrackError)]
    assert {error.reason for error in failures} <= {
        "lyrics-unreadable",
        "lyrics-format",
        "lyrics-malformed",
    }
    table = pa.Table.from_pylist(
        [row for row in rows if isinstance(row, dict)], schema=lyrics.STEP.columns
    )
    assert len(table) + len(failures) == 500
    assert len(table) - table["text"].null_count > 200


def test_a_vanished_file_is_one_tracks_failure(tmp_path):
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    tracks = [
        SongTrack("a", "a.mp3", lyrics_path="gone.lrc", lyrics_digest="d"),
        SongTrack("b", "b.mp3"),
    ]
    gone, row = lyrics.STEP.run(tracks, {}, lyrics.LyricsConfig(), tools)
    assert gone.reason == "lyrics-unreadable"
    assert "gone.lrc" in gone.message
    assert row["source"] == "none"
    assert {value for name, value in row.items() if name != "source"} == {None}


def test_a_file_without_words_has_no_lyrics(read):
    row = read("[00:01.00]\n[00:02.00]♪\n")
    assert (row["text"], row["word_text"], row["line_start_seconds"]) == (None, None, None)
    assert [notice.split(":")[0] for notice in row["notices"]] == ["marks", "empty"]


def test_where_nothing_is_sung_by_the_file_there_are_no_times_of_singing(read):
    """Pure music markers and credits once made a section sung, and the rest of the song not."""
    row = read("[00:00.00] 作曲 : B\n[00:01.00]纯音乐，请欣赏", rows={"transcribe": SUNG})
    assert row["line_start_seconds"] is None
    assert (row["text"], row["language"], row["source"]) == (None, None, "lrc")
    assert [notice.split(":")[0] for notice in row["notices"]] == ["credits", "instrumental"]


def test_lines_beyond_the_end_are_left_out_and_the_times_decide_nothing(read):
    text = "[00:02.00]I was walking\n[01:30.00]counting boats\nall day\n[03:05.00]all that we knew"
    row = read(text, rows={"probe": {"duration_seconds": 30.0}})
    assert (row["text"], row["line_end_seconds"]) == ("I was walking", [30.0])
    assert row["lines_beyond_end"] == 3
    assert row["notices"][0].startswith("beyond-end: 3 of 4 lines left out")
    separate = {"vocal_rms": [0.09] * 30, "mix_rms": [0.1] * 30, "envelope_hop_seconds": 1.0}
    assert vocals_heard(separate, row, 0.0, 1.5, "verse") is True

    row = read(text, rows={"probe": {"duration_seconds": 1.0}})
    assert (row["text"], row["lines_beyond_end"]) == (None, 4)
    assert vocals_heard(separate, row, 0.0, 1.0, "verse") is True


def test_the_decoded_duration_goes_before_that_of_the_header(read):
    rows = {"probe": {"duration_seconds": 3.0}, "features": {"duration_seconds": 9.0}}
    assert read("[00:05.00]I was walking", rows=rows)["text"] == "I was walking"


def test_words_beyond_the_end_are_cut_from_their_line(read):
    text = "[00:01.00]<00:01.00>all <00:01.50>that, <00:02.50>we <00:03.00>knew"
    row = read(text, rows={"probe": {"duration_seconds": 2.0}})
    assert (row["text"], row["word_end_seconds"]) == ("all that,", [1.5, 2.0])
    assert row["lines_beyond_end"] == 0


def test_headings_and_translations_have_columns_of_their_own(read):
    row = read("[00:01.00][Chorus]\n[00:02.00]we walk along\n[00:02.00]我们沿着河走")
    assert row["line_text"] == ["we walk along"]
    assert row["line_translation"] == ["我们沿着河走"]
    assert (row["heading_text"], row["heading_start_seconds"]) == (["Chorus"], [1.0])
    assert row["heading_line"] == [0]


def test_of_several_files_the_first_with_lyrics_is_taken(read):
    others = {"song.srt": b"{}", "song.txt": b"I was walking", "song.en.txt": b"by the harbor"}
    row = read("[00:00.00] 作曲 : B", others=others)
    assert (row["text"], row["source"]) == ("I was walking", "txt")
    assert [notice.split(":")[0] for notice in row["notices"]] == [
        "credits",
        "empty",
        "marks",
        "empty",
        "not-taken",
    ]
    assert row["notices"][-1].endswith("(1): song.en.txt")


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"%PDF-1.4"])
def test_a_bad_file_gives_way_to_another_or_to_the_transcript(read, data):
    row = read(data, others={"song.txt": b"I was walking"})
    assert row["text"] == "I was walking"
    assert len(row["notices"]) == 1
    row = read(data, rows={"transcribe": SUNG})
    assert row["source"] == "whisper-large-v3"
    assert len(row["notices"]) == 1


def test_which_of_several_languages_is_sung_only_the_transcript_tells(read):
    texts = {"song.es.txt": b"yo quiero cantar", "song.de.txt": b"ich will singen"}
    row = read("I was walking", "song.en.txt", others=texts)
    assert (row["text"], row["source"]) == (None, "none")
    assert row["notices"][0].startswith("not-taken: which of these is sung")
    heard = transcript([(" cantar", 1.0, 2.0)], language="es")
    row = read("I was walking", "song.en.txt", others=texts, rows={"transcribe": heard})
    assert (row["text"], row["language"]) == ("yo quiero cantar", "es")


def test_rows_are_parallel_and_typed(read):
    row = read("[la:en]\n[00:01.00]<00:01.00>hello, <00:01.50>you\n[00:03.00]again")
    assert row == {
        "text": "hello, you\nagain",
        "language": "en",
        "source": "lrc-enhanced",
        "line_text": ["hello, you", "again"],
        "line_start_seconds": [1.0, 3.0],
        "line_end_seconds": [3.0, None],
        "word_text": ["hello,", "you", "again"],
        "word_start_seconds": [1.0, 1.5, None],
        "word_end_seconds": [1.5, None, None],
        "word_line": [0, 0, 1],
        **NOTHING_ELSE,
    }


@pytest.mark.parametrize(
    ("text", "source"), [("a b", "txt"), ("[00:01]a b", "lrc"), ("[00:01]<00:01>a", "lrc-enhanced")]
)
def test_the_source_is_told_by_the_content(read, text, source):
    assert read(text, "song.lrc")["source"] == read(text, "song.txt")["source"] == source


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Row, row, row your boat, gently down the stream\nmerrily, merrily", "en"),
        (SPANISH, "es"),
        ("Frère Jacques, dormez-vous, sonnez les matines", "fr"),
        ("Ich weiß nicht, was soll es bedeuten", "de"),
        ("bella ciao, una mattina mi son svegliato", "it"),
        ("saudade de você, meu coração não esquece", "pt"),
        (POLISH, "pl"),
        (RUSSIAN, "ru"),
        (JAPANESE, "ja"),
        (CHINESE, "zh"),
        ("아리랑 아리랑 아라리요", "ko"),
        (TURKISH, "tr"),
        ("la la la la\nla la la", None),
        ("oh oh oh yeah yeah", None),
        ("ooh ooh ooh ah", None),
        ("1 2 3 4", None),
        ("[la:pt-BR]\nRow, row, row your boat, gently down the stream", "pt-br"),
        ("[la:English]\nRow, row, row your boat, gently down the stream", "en"),
        ("[la:spa]\nRow, row, row your boat, gently down the stream", "en"),
        ("[la:spa]\nla la la", "spa"),
    ],
)
def test_language(read, text, language):
    assert read(text)["language"] == language


def test_timed_words_fall_into_the_segment_in_which_they_start(read):
    row = read("[00:01.00]<00:01.00>one, <00:02.00>two <00:03.00>three!\n[00:04.00]<00:04.00>four")
    assert lyrics.segment_lyrics(row, 0.0, 2.0) == "one,"
    assert lyrics.segment_lyrics(row, 2.0, 4.0) == "two three!"
    assert lyrics.segment_lyrics(row, 2.5, 9.0) == "three!\nfour"
    assert lyrics.segment_lyrics(row, 9.0, 12.0) == ""


def test_lines_fall_into_the_segment_whole_when_only_they_are_timed(read):
    row = read("[00:01.00]one — two\n[00:05.00]three\n[01:00.00]beyond the end")
    assert lyrics.segment_lyrics(row, 0.0, 5.0) == "one — two"
    assert lyrics.segment_lyrics(row, 5.0, 10.0) == "three"


def test_a_word_without_a_time_goes_with_the_word_before_it(read):
    row = read("[00:01.00]<00:01.00>a b <00:05.00>c d")
    assert lyrics.segment_lyrics(row, 0.0, 3.0) == "a b"
    assert lyrics.segment_lyrics(row, 3.0, 9.0) == "c d"


def test_the_same_word_twice_in_a_line_is_taken_from_its_own_place(read):
    row = read("[00:01.00]<00:01.00>la, <00:02.00>la! <00:03.00>la?")
    assert lyrics.segment_lyrics(row, 2.0, 3.0) == "la!"


def test_scripts_without_spaces_are_not_given_any(read):
    row = read("[00:01.00]<00:01.00>月<00:01.50>亮<00:02.00>代\n[00:03.00]<00:03.00>a <00:04.00>b")
    assert lyrics.segment_lyrics(row, 1.5, 3.0) == "亮代"


def test_lyrics_without_times_belong_to_no_segment(read):
    assert lyrics.segment_lyrics(read("one\ntwo"), 0.0, 100.0) is None
    assert lyrics.segment_lyrics(read(""), 0.0, 100.0) is None


def transcript(*segments, language="en", hallucinations=()):
    """Row of the transcribe step; each segment is a list of (word, start, end)."""
    words = [(at, *word) for at, segment in enumerate(segments) for word in segment]
    return {
        "text": "\n".join("".join(word for word, *_ in segment) for segment in segments) or None,
        "language": language if segments else None,
        "model": "whisper-large-v3",
        "segment_is_hallucination": [at in hallucinations for at in range(len(segments))],
        "word_text": [text for _, text, _, _ in words],
        "word_start_seconds": [start for _, _, start, _ in words],
        "word_end_seconds": [end for _, _, _, end in words],
        "word_segment": [at for at, *_ in words],
    }


SUNG = transcript(
    [(" Hello,", 1.0, 1.5), (" it's", 1.5, 2.0), (" me.", 2.0, 2.5), (" I", 2.5, 2.6)],
    [(" Thanks", 4.0, 4.5), (" for", 4.5, 5.0), (" watching!", 5.0, 5.5)],
    [(" wonder", 6.0, 6.5), (" ♪", 6.5, 6.6), (" why", 8.0, 9.0)],
    hallucinations=[1],
)


def sing(row, path=None, tools=None):
    tools = tools or Tools(Storage("."), Storage("."))
    track = SongTrack("a" * 32, "song.mp3", lyrics_path=path, lyrics_digest="d")
    [row] = lyrics.STEP.run([track], {"transcribe": [row]}, lyrics.LyricsConfig(), tools)
    return pa.Table.from_pylist([row], schema=lyrics.STEP.columns).to_pylist()[0]


def test_a_transcript_becomes_lyrics():
    assert sing(SUNG) == {
        "text": "Hello, it's me.\nI\nwonder ♪\nwhy",
        "language": "en",
        "source": "whisper-large-v3",
        "line_text": ["Hello, it's me.", "I", "wonder ♪", "why"],
        "line_start_seconds": [1.0, 2.5, 6.0, 8.0],
        "line_end_seconds": [2.5, 2.6, 6.5, 9.0],
        "word_text": ["Hello,", "it's", "me.", "I", "wonder", "why"],
        "word_start_seconds": [1.0, 1.5, 2.0, 2.5, 6.0, 8.0],
        "word_end_seconds": [1.5, 2.0, 2.5, 2.6, 6.5, 9.0],
        "word_line": [0, 0, 0, 1, 2, 3],
        **NOTHING_ELSE,
    }


def test_a_transcript_without_spaces_is_given_none():
    row = sing(transcript([("月", 1.0, 2.0), ("亮。", 2.0, 3.0), ("代", 3.0, 4.0)], language="zh"))
    assert (row["text"], row["language"]) == ("月亮。\n代", "zh")
    assert lyrics.segment_lyrics(row, 1.5, 9.0) == "亮。\n代"


@pytest.mark.parametrize(
    "row",
    [
        transcript(),
        transcript([(" ♪", 1.0, 2.0)]),
        transcript([(" bye", 1, 2)], hallucinations=[0]),
    ],
)
def test_an_empty_transcript_gives_nulls(row):
    row = sing(row)
    assert row["source"] == "whisper-large-v3"
    assert {value for name, value in row.items() if name != "source"} == {None}


def test_without_a_transcript_there_are_no_lyrics():
    assert sing(None)["source"] == "none"


def test_a_file_goes_before_the_transcript(tmp_path):
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    tools.source.write_bytes("song.txt", b"Hello it is me\nI was wondering")
    row = sing(SUNG, "song.txt", tools)
    assert (row["text"], row["source"]) == ("Hello it is me\nI was wondering", "txt")
    assert row["word_start_seconds"] == [None] * 7


def test_a_transcript_gives_times_where_the_lyrics_have_none(read):
    assert lyrics.timed_lyrics(read("one\ntwo"), SUNG) == lyrics.as_lyrics(SUNG)
    timed, silent, plain = read("[00:01]one"), read("[00:01]\n"), read("one\ntwo")
    assert lyrics.timed_lyrics(timed, SUNG) is timed
    assert lyrics.timed_lyrics(silent, SUNG) is silent
    assert lyrics.timed_lyrics(plain, None) is plain
    assert lyrics.timed_lyrics(plain, transcript()) is plain
    assert lyrics.timed_lyrics(None, SUNG) is None


def test_the_key_follows_the_lyrics_and_not_the_path():
    recipe = lyrics.STEP.recipe(lyrics.LyricsConfig())
    keys = [
        recipe.key(
            item_digest(
                SongTrack("a", path, lyrics_path=sidecar, lyrics_digest=content), recipe.attributes
            )
        )
        for path, sidecar, content in [
            ("x.mp3", "x.lrc", "1"), ("y.mp3", "y.txt", "1"), ("x.mp3", "x.lrc", "2")
        ]
    ]  # fmt: skip
    assert keys[0] == keys[1] != keys[2]
