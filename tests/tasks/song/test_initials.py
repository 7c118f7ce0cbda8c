# ruff: noqa: RUF001
import pytest

from tasks.song.initials import Reading, readings


def said(line: str, language: str = "en-us") -> str:
    """Write what is spelt with hyphens, and all else as it is read."""
    words = readings(line.split(), language)
    return " ".join(
        "".join("-".join(part.text) if part.is_spelt else part.text for part in word)
        for word in words
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("YMCA USA DJ", "Y-M-C-A U-S-A D-J"),
        ("WE ARE THE BMW BOYS", "we are the B-M-W boys"),
        ("I LOVE YOU", "i love you"),
        ("I LOVE you", "I love you"),
        ("LOVE", "love"),
        ("He's NOT my DJ", "He's not my D-J"),
        ("R.E.M and O.K", "R-E-M and O-K"),
        ("MADE IN U.S.A.", "made in U-S-A"),
        ("the DJs and the MC's TV", "the D-Js and the M-C's T-V"),
        ("AC/DC and R&B", "A-CD-C and R&B"),
        ("MP3 and U2 in 3D", "M-P3 and U2 in 3D"),
        ("THE 1ST AND 2ND", "the 1st and 2nd"),
        ("R E S P E C T", "R E S P E C T"),
        ("B-O-S-S but n-n-no", "B-O-S-S but n-n-no"),
        ("born in the US", "born in the U-S"),
        ("GIVE IT TO US", "give it to us"),
        ("LA LA LA", "la la la"),
        ("SHH HMM PSST MMM MR AND MRS", "shh hmm psst mmm mr and mrs"),
        ("the NRA and the KKK", "the N-R-A and the K-K-K"),
        ("KNOW WHY PSYCHO WRONG", "know why psycho wrong"),
        ("DON'T CAN'T I'M", "don't can't i'm"),
        ("play my tv dj", "play my t-v d-j"),
        ("part XIV", "part XIV"),
    ],
)
def test_english(line: str, expected: str) -> None:
    assert said(line) == expected


def test_letters_in_a_row_are_spelt_and_cries_are_not() -> None:
    assert all(word == [Reading(word[0].text, True)] for word in readings(list("ABC"), "en"))
    assert readings(["O", "O", "O"], "en") == [[Reading("o", False)]] * 3
    assert readings(["I", "am", "A", "B"], "en")[0] == [Reading("I", False)]


@pytest.mark.parametrize(
    ("line", "language", "expected"),
    [
        ("STRČ PRST SKRZ KRK", "cs", "strč prst skrz krk"),
        ("hraje MTV", "cs", "hraje M-T-V"),
        ("в СССР", "ru", "в С-С-С-Р"),
        ("IŞIK İKİ", "tr", "ışık iki"),
        ("él usa USA", "es-es", "él usa usa"),
        ("in den USA", "de-de", "in den U-S-A"),
        ("YMCA에서", "ko", "Y-M-C-A에서"),
        ("君と DJ", "ja", "君と D-J"),
    ],
)
def test_other_languages(line: str, language: str, expected: str) -> None:
    assert said(line, language) == expected
