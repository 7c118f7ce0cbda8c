# ruff: noqa: RUF001
import pytest

from tasks.song.lyric_files import formats
from tasks.song.lyric_files.cleaning import clean
from tasks.song.lyric_files.page import without_page


def cleaned(text, duration_seconds=None):
    text, notices = without_page(text)
    lyrics, _ = formats.read(text)
    lyrics.notices[:0] = notices
    clean(lyrics, duration_seconds)
    return lyrics


def codes(lyrics):
    return [notice.split(":")[0] for notice in lyrics.notices]


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("作词 : Some One\n作曲：Some One\n编曲：C\n制作人 : D\n混音/母带：E", ""),
        (
            "录音师 Recording Engineer：F\n词：A\n曲：B",
            "吉他：G\n出品：H\nOP：I\nISRC CN-A12"[:-11],
        ),
        ("作詞：山田\n作曲/編曲：田中\n歌：鈴木", "작사 : 김"),
        ("Lyrics by：Ann Other\nComposed by：Bo", "Mixed by: Al\nProduced by Max M & Co"),
        ("Lyrics & Music: A. B.\nVocals - lead: C", "Writer(s): A B, C D\nSongwriters: A / B"),
        ("Letra y música: Ana", "Compositor(es): Ana / Bea\nProducido por: Max"),
        ("Paroles et musique : Léa", "Compositeur: Luc"),
        ("Слова: А. Б.\nМузыка: В. Г.", ""),
        ("Winter Road - Some One\nWritten by Some One", ""),
        ("Winter Road\nby Some One", ""),
        ("[ti:Winter Road][ar:Nobody]\nNobody: Winter Road (live)", ""),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_credits_are_no_lyrics(head, tail, timed):
    text = "\n".join([head, "I was walking: alone", "music by the sea", tail])
    if timed:
        lines = text.splitlines()
        text = "\n".join(
            line if line.startswith("[") else f"[00:{at:02d}.00]{line}"
            for at, line in enumerate(lines)
        )
    lyrics = cleaned(text)
    assert lyrics.text == "I was walking: alone\nmusic by the sea"
    assert codes(lyrics) == ["credits"]


def test_credits_of_unknown_roles_and_a_title_among_known_ones():
    lyrics = cleaned(
        "[00:00.00] 作词 : Ann\n[00:00.10]雪 Distance\n[00:00.20] 作曲 : Bo\n[00:00.40]E Bow：Cy\n"
        "[00:00.50]Double Bass: Di\n[00:00.60]ISRC XX-K23-08-016-11\n[00:05.00]女：我心里说：来吧\n"
        "[00:09.00]她说：再见"
    )
    assert lyrics.text == "我心里说：来吧\n她说：再见"
    assert codes(lyrics) == ["credits", "singers"]


def test_rows_of_json_are_credits():
    rows = '{"t":0,"c":[{"tx":"作词: "},{"tx":"Some One"}]}\n{"t":1000,"c":[{"tx":"作曲"}]}\n'
    lyrics = cleaned(rows + "[00:02.000]I was walking")
    assert lyrics.text == "I was walking"
    assert lyrics.notices == ["credits: left out rows of JSON (2): 作词: Some One | 作曲"]


@pytest.mark.parametrize(
    "text",
    [
        "She said: come with me\nWe both: yes\nAnd then: no",
        "Written by the hand of a child\nMusic by the sea",
        "By the river I sat down\nby your side I stay",
        "Yesterday\nall my troubles seemed so far away",
        "Run - run - run away\n\nI said run",
        "Words: they mean a thing to me\nla la la"[7:],
        "Solo\nme quedo solo\ncoro de ángeles",
        "Bridge\nover the river",
        "You might also like the way I move\nI might also like you",
        "lyrics in my head\nI forgot the lyrics",
        "embed me in your heart\nthe stars Embedded",
        "他说：我爱你\n你说：再见\n歌声在心中",
        "instrumental sounds of the night\nyou are instrumental",
        "I love you 2\ntimes two",
        "(ooh) carry me home (ooh)\n(carry me)",
        "Visit me tonight\nShare this with me",
        "Copy that\nthanks to you I am free",
        "F# is the key of my heart\n24/7 / 365",
        "The Rain - The Park\nand other things",
    ],
)
def test_what_is_sung_stays(text):
    lyrics = cleaned(text)
    assert (lyrics.text, lyrics.notices) == (text, [])


GENIUS = """12 ContributorsTranslationsEspañolTürkçeWinter Road Lyrics[Verse 1]
I was walking by the harbor
Counting boats along the bay
See Nobody LiveGet tickets as low as $50You might also like[Chorus: Nobody & Friends]
Rise in the blue
All that we knew7Embed"""


def test_a_page_of_genius():
    lyrics = cleaned(GENIUS)
    assert lyrics.text == (
        "I was walking by the harbor\nCounting boats along the bay\n\n"
        "Rise in the blue\nAll that we knew"
    )
    assert [heading[::2] for heading in lyrics.headings] == [
        ("Verse 1", 0),
        ("Chorus: Nobody & Friends", 2),
    ]
    assert codes(lyrics) == ["page-furniture"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "3 ContributorsWinter Road Lyrics“Winter Road” is a song … Read More [Verse 1]\n",
            "Embed",
        ),
        ("Winter Road Lyrics[Verse 1]\n", "1.2KEmbed"),
        ('"Winter Road" lyrics\n\nNobody Lyrics\n\n', "\n\nSubmit Corrections\nAZLyrics.com"),
        ('2 ContributorsX Lyrics[Testo di "Winter Road"]\n\n[Strofa 1]\n', "You might also like"),
        ("", "\n...\n\n******* This Lyrics is NOT for Commercial use *******\n(1409617829201)"),
        ("by RentAnAdviser.com\n", "\nwww.RentAnAdviser.com"),
        ("Downloaded from https://example.com/x\n", "\nLyrics © Some Music Publishing LLC"),
        ("", "\nLyrics licensed & provided by LyricFind\n© 2020 X"),
        ("", "\n未经著作权人许可 不得翻唱 翻录或使用\n以下歌词翻译由微信翻译提供"),
    ],
)
def test_page_furniture_is_no_lyrics(before, after):
    lyrics = cleaned(f"{before}I was walking\nby the harbor{after}")
    assert lyrics.text == "I was walking\nby the harbor"
    assert "page-furniture" in codes(lyrics)


@pytest.mark.parametrize(
    "text",
    [
        "纯音乐，请欣赏",
        "[00:00.00]此歌曲为没有填词的纯音乐，请您欣赏",
        "[00:00.00] 作曲 : B\n[00:05.00]純音樂請欣賞",
        "[Instrumental]",
        "(Instrumental)",
        "[00:00.00]Instrumental",
        "This song is an instrumental.",
        "インストゥルメンタル",
    ],
)
def test_a_file_that_says_that_nothing_is_sung(text):
    lyrics = cleaned(text)
    assert (lyrics.lines, lyrics.is_instrumental) == ([], True)
    assert "instrumental" in codes(lyrics)


@pytest.mark.parametrize("text", ["♪", "暂无歌词", "[00:01.00]...", "作曲 : B", "[Verse 1]", ""])
def test_without_lyrics_a_file_does_not_say_that_nothing_is_sung(text):
    lyrics = cleaned(text)
    assert (lyrics.lines, lyrics.is_instrumental) == ([], False)


def test_headings_are_labels_with_times():
    lyrics = cleaned(
        "[00:01.00][Verse 1: Ann]\n[00:02.00]I was walking\n[00:05.00](Instrumental)\n[Chorus x2]\n"
        "[00:08.00]rise in the blue\n[00:11.00]副歌\n[00:12.00][Bridge] oh well\n[00:15.00][Outro]"
    )
    assert lyrics.text == "I was walking\nrise in the blue\noh well"
    assert [line.end_seconds for line in lyrics.lines] == [5.0, 11.0, 15.0]
    assert lyrics.headings == [
        ("Verse 1: Ann", 1.0, 0),
        ("Instrumental", 5.0, 1),
        ("Chorus x2", 8.0, 1),
        ("副歌", 11.0, 2),
        ("Bridge", 12.0, 2),
        ("Outro", 15.0, None),
    ]
    assert lyrics.notices == []


def test_headings_of_plain_text():
    lyrics = cleaned("Verse 1\nI was walking\n\nChorus:\nRise\n\n(Refrain 2x)\nRise\n\nCoro: ven")
    assert lyrics.text == "I was walking\n\nRise\n\nRise\n\nven"
    assert [heading.text for heading in lyrics.headings] == [
        "Verse 1",
        "Chorus",
        "Refrain 2x",
        "Coro",
    ]


def test_marks_are_not_sung():
    lyrics = cleaned("[00:01.00]I love you (x2)\n[00:02.00]♪\n[00:03.00]男：月亮代表我的心\n(x3)")
    assert [line.text for line in lyrics.lines] == ["I love you", "月亮代表我的心"]
    assert lyrics.lines[0].end_seconds == 2.0, "where the ornament starts"
    assert codes(lyrics) == ["marks", "marks", "singers"]


def test_times_that_are_all_the_same_are_none():
    lyrics = cleaned("[00:00.00]I was walking\n[00:00.00]by the harbor\n[00:00.00]alone")
    assert not lyrics.timed_lines
    assert codes(lyrics) == ["times"]


def test_what_starts_before_the_end_stays():
    lyrics = cleaned("[00:01.00]I was\n[00:05.00]walking\nalone\n[00:06.00][Chorus]", 5.0)
    assert [(line.text, line.end_seconds) for line in lyrics.lines] == [("I was", 5.0)]
    assert (lyrics.lines_beyond_end, lyrics.headings) == (2, [])
    assert cleaned("I was\nwalking", 0.5).notices == []
