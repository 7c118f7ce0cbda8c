import pytest

from tests.tasks.song.lyric_files.test_cleaning import cleaned, codes


def told(lyrics):
    return [(line.text, line.translation) for line in lyrics.lines]


ENGLISH = ["We walk along the river every night", "And count the lights that shine upon the bay"]
CHINESE = ["我们每晚沿着河边走", "数着海湾上闪亮的灯光"]
JAPANESE = ["夜に駆ける君の声", "沈む夕日を見ていた"]
ROMAJI = ["yoru ni kakeru kimi no koe", "shizumu yuuhi wo mite ita"]


def timed(*columns):
    return "\n".join(
        f"[00:{1 + 3 * at:02d}.00]{line}"
        for at, lines in enumerate(zip(*columns, strict=True))
        for line in lines
    )


def test_a_translation_at_the_same_time():
    lyrics = cleaned(timed(ENGLISH, CHINESE))
    assert told(lyrics) == list(zip(ENGLISH, CHINESE, strict=True))
    assert [(line.start_seconds, line.end_seconds) for line in lyrics.lines] == [(1, 4), (4, None)]
    assert codes(lyrics) == ["translation"]


def test_sung_is_the_language_that_the_file_names():
    lyrics = cleaned(f"[la:zh]\n{timed(ENGLISH, CHINESE)}")
    assert told(lyrics) == list(zip(CHINESE, ENGLISH, strict=True))


def test_translations_behind_all_lines_or_without_times():
    behind = timed(ENGLISH) + "\n" + timed(CHINESE)
    untimed = f"[00:01.00]{ENGLISH[0]}\n{CHINESE[0]}\n[00:04.00]{ENGLISH[1]}\n{CHINESE[1]}"
    for text in (behind, untimed):
        assert told(cleaned(text)) == list(zip(ENGLISH, CHINESE, strict=True))


def test_a_translation_with_the_time_of_the_next_line():
    text = (
        f"[00:01.00]{ENGLISH[0]}\n[00:04.00]{CHINESE[0]}\n[00:04.00]{ENGLISH[1]}\n"
        f"[00:07.00]{CHINESE[1]}\n[00:07.00]oh my love\n[00:10.00]哦我的爱"
    )
    assert told(cleaned(text)) == [*zip(ENGLISH, CHINESE, strict=True), ("oh my love", "哦我的爱")]


@pytest.mark.parametrize("columns", [(JAPANESE, ROMAJI), (ROMAJI, JAPANESE)])
def test_a_romanisation_is_neither_sung_nor_a_translation(columns):
    lyrics = cleaned(timed(*columns))
    assert told(lyrics) == [(line, None) for line in JAPANESE]
    assert codes(lyrics) == ["romanisation"]


def test_a_translation_beside_a_romanisation():
    lyrics = cleaned(timed(JAPANESE, ROMAJI, ENGLISH))
    assert told(lyrics) == list(zip(JAPANESE, ENGLISH, strict=True))
    assert codes(lyrics) == ["translation", "romanisation"]


def test_a_translation_in_the_same_script_is_told_by_its_language():
    spanish = ["Yo quiero cantar una canción de amor", "mañana será otro día", "la niña soñaba"]
    english = ["I want to sing a song of love", "tomorrow will be another day", "the girl dreamt"]
    assert told(cleaned(timed(spanish, english))) == list(zip(spanish, english, strict=True))


def test_a_translation_in_the_same_line():
    first = timed([f"{line} ({other})" for line, other in zip(ENGLISH, CHINESE, strict=True)])
    second = "\n".join(f"{line} / {other}" for line, other in zip(ENGLISH, CHINESE, strict=True))
    for text in (first, second):
        assert told(cleaned(text)) == list(zip(ENGLISH, CHINESE, strict=True))


def test_translations_in_turn_in_plain_text():
    pairs = list(zip(ENGLISH * 2, CHINESE * 2, strict=True))
    assert told(cleaned("\n".join(line for pair in pairs for line in pair))) == pairs


@pytest.mark.parametrize(
    "text",
    [
        timed(["I was walking by the sea", "counting boats"], ["oh oh walking", "ooh counting"]),
        "[00:01.00]Oh my 사랑\n[00:02.00]너를 사랑해\n[00:03.00]I love you\n[00:04.00]영원히",
        "Oh my 사랑\n너를 사랑해\nI love you\n영원히 함께",
        "[00:01.00]사랑해\n[00:01.00](I love you)\n[00:02.00]너를\n[00:03.00]영원히\n[00:04]함께",
        "너를 사랑해 (love you)\n영원히 함께\n내 마음속에 (baby)\n그대",
    ],
)
def test_what_may_be_sung_by_a_second_voice_stays(text):
    lyrics = cleaned(text)
    assert len(lyrics.lines) == len(text.splitlines())
    assert lyrics.notices == []
