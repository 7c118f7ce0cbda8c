# ruff: noqa: RUF001
import pytest

from tasks.song.lyric_files.encoding import decode

SPANISH = "Yo quería cantar una canción\nmañana será otro día, señora\nno vuelvas más"
RUSSIAN = "Расцветали яблони и груши,\nПоплыли туманы над рекой"
CHINESE = "月亮代表我的心\n你问我爱你有多深\n我爱你有几分"


@pytest.mark.parametrize(
    "text", [SPANISH, RUSSIAN, CHINESE, "夜に駆ける君の声\n沈む夕日を見ていた"]
)
@pytest.mark.parametrize("bad", [b"\xe1", b"\xff", b"\xc3", b"\x80", b"\xfe\x01"])
def test_one_wrong_byte_makes_no_other_code_page(text, bad):
    first, *rest = text.split("\n")
    data = "\n".join(rest).encode() + b"\nm" + bad + b"s\n" + first.encode()
    decoded, notices = decode(data)
    assert decoded.split("\n")[0] == rest[0]
    assert decoded.split("\n")[-1] == first
    assert decoded.count("\ufffd") == 1
    assert [notice.split(":")[0] for notice in notices] == ["bad-bytes"]


def test_a_last_character_that_is_cut():
    decoded, notices = decode(SPANISH.encode() + "é".encode()[:1])
    assert decoded == SPANISH + "\ufffd"
    assert len(notices) == 1


def test_quotes_of_cp1252_in_a_file_of_utf8():
    decoded, notices = decode("I don’t know, “dear” – déjà vu".encode("cp1252").replace(
        "déjà".encode("cp1252"), "déjà".encode()
    ))  # fmt: skip
    assert decoded == "I don’t know, “dear” – déjà vu"
    assert [notice.split(":")[0] for notice in notices] == ["bad-bytes"]


@pytest.mark.parametrize(
    ("text", "taken_for"),
    [
        (SPANISH.encode() + "don’t".encode(), "cp1252"),
        (RUSSIAN.encode("cp1251"), "latin-1"),
        (CHINESE.encode("gb18030"), "latin-1"),
    ],
)
def test_what_was_encoded_twice_is_restored(text, taken_for):
    decoded, notices = decode(text.decode(taken_for).encode())
    assert decoded.splitlines()[0] in SPANISH + RUSSIAN + CHINESE
    assert [notice.split(":")[0] for notice in notices] == ["encoded-twice"]


@pytest.mark.parametrize(
    "text",
    ["CORAÇÃO ÀS MÃOS\nNÃO É AMOR", "Ég á líf, yfir erfiðleikana ég svíf", "àéîöü", "Ã", "naïve",
     "Con đường xưa em đi vàng lên mái tóc thề"],
)  # fmt: skip
def test_letters_with_accents_were_not_encoded_twice(text):
    assert decode(text.encode()) == (text, [])


def test_a_code_page_is_a_guess_and_named():
    decoded, notices = decode("no vuelvas más a la ciudad, por favor".encode("cp1252"))
    assert "más" in decoded
    assert notices == [
        "encoding-guessed: the file is not UTF-8 and was read as cp1252, by how it then reads."
    ]


def test_utf16_that_ends_within_a_character():
    decoded, notices = decode("I was walking".encode("utf-16-le") + b"x")
    assert decoded == "I was walking"
    assert len(notices) == 1
