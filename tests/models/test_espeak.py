# ruff: noqa: RUF001
import subprocess
import sys
import unicodedata

import pytest

from models import adapters, espeak, registry


@pytest.fixture(scope="module")
def adapter():
    return adapters.load(registry.card("espeak-ng"))


def ipa(adapter, text, language):
    return ["".join(word) for word in adapter.speak(text, language)]


@pytest.mark.parametrize(
    ("tag", "voice"),
    [("en", "en-us"), ("EN-GB", "en-gb"), ("en-au", "en-us"), ("fr", "fr-fr"), ("fr-ca", "fr-fr"),
     ("zh", "cmn"), ("zh-hant-tw", "cmn"), ("zh-hk", None), ("no", "nb"), ("pt-br", "pt-br"),
     ("pt-pt", "pt"), ("iw", None), ("xx", None), ("fo", None), ("kl", None), ("th", None)],
)  # fmt: skip
def test_voices(adapter, tag, voice):
    assert adapter.language(tag) == voice


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("wlazł kotek na płotek i mruga", "pl"),
        ("meu coração não esquece", "pt-br"),
        ("아리랑 아리랑 아라리요", "ko"),
        ("さくら さくら", "ja"),
        ("ja må hon leva uti 100 år", "sv"),
        ("月亮代表我的心", "cmn"),
    ],
)
def test_phonemes_are_espeaks_own_without_stress(adapter, text, voice):
    from phonemizer.backend import EspeakBackend
    from phonemizer.separator import Separator

    own = EspeakBackend(voice).phonemize(
        [text], separator=Separator(phone="", word=" "), strip=True
    )[0]
    assert ipa(adapter, text, voice) == own.split()


def test_phonemes_are_apart_and_without_stress(adapter):
    assert adapter.speak("hello world", "en-us") == (
        ("h", "ə", "l", "oʊ"),
        ("w", "ɜː", "l", "d"),
    )


def test_words_in_another_language_carry_no_flags(adapter):
    assert ipa(adapter, "mon baby", "fr-fr") == ["mɔ̃", "beɪbi"]


@pytest.mark.parametrize(
    ("text", "voice"), [("привет", "en-us"), ("君を愛", "ja"), ("日本語", "en-us"), ("漢", "ko"),
     ("love", "ja"), ("熊", "cmn"), ("ভাৰতীয়", "as")],
)  # fmt: skip
def test_scripts_that_are_spelt_instead_of_read_have_no_phonemes(adapter, text, voice):
    assert adapter.speak(text, voice) == ((),)


@pytest.mark.parametrize(
    ("text", "voice", "phones"),
    [
        ("中国", "cmn", ["tʂʊŋ5", "kuo3"]),
        ("四", "cmn", ["sɹ\u03295"]),
        ("Việt", "vi", ["viɛ6t̪"]),
        ("Батыш", "ky", ["bɑt̪ɯʃ"]),
        ("Verden", "da", ["ʋɛɐ̯dən"]),
        ("mark", "is", ["marr̥ɡ"]),
        ("Briti", "et", ["pritʲi"]),
    ],
)
def test_codes_of_espeaks_own_become_ipa(adapter, text, voice, phones):
    assert ipa(adapter, text, voice) == phones


def test_what_is_no_ipa_is_no_phoneme(adapter):
    # The word for east comes back with a digit at its end.
    assert adapter.speak("شرق", "fa") == ((),)
    texts = {"ar": "الصوربية ليل", "pa": "ਭਾਰਤ ਰਾਤ", "ga": "Antigua grá", "ru": "юля люблю чай"}
    for voice, text in texts.items():
        for word in adapter.speak(text, voice):
            symbols = unicodedata.normalize("NFD", "".join(word))
            assert espeak.IPA_SYMBOLS.issuperset(symbols), (voice, word)


def test_what_crashed_espeak_does_no_harm():
    script = (
        "from models import adapters, registry\n"
        "speak = adapters.load(registry.card('espeak-ng')).speak\n"
        "print(speak('\u0332\u0349\u030a\u0315', 'da'), speak('\u0efe\u0ea8-\u0e05', 'hi'))\n"
        "print(speak('a' + 300 * '\u0301', 'da') == speak('a' + 4 * '\u0301', 'da'))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["((),) ((),)", "True"]


def test_initials_are_spelt(adapter):
    assert "".join(adapter.spell("DJ", "en-gb")) == "diːdʒeɪ"
    assert "".join(adapter.spell("SPD", "de")) == "ɛspeːdeː"
    assert adapter.spell("漢字", "ja") == ()


def test_a_voice_that_does_not_read_says_why(adapter):
    assert "code of its own" in adapter.unread("th-TH")
    assert "Jyutping" in adapter.unread("zh-hk")
    assert adapter.unread("pl") is None


def test_a_voice_has_one_backend_however_much_it_speaks(adapter):
    before = espeak._backend("cs")
    for number in range(3000):
        adapter.speak(f"slovo {number}", "cs")
    other = adapters.load(registry.card("espeak-ng"), device="cuda")
    other.speak("jiné slovo", "cs")
    assert espeak._backend("cs") is before
    assert espeak._backend.cache_info().currsize < 150


def test_every_voice_speaks_and_nothing_is_said_aside():
    script = (
        "from models import espeak\n"
        "voices = espeak._voices().values()\n"
        "spoken = [espeak._speak('1', voice) for voice in voices]\n"
        "print(len(spoken), sum(bool(words) for words in spoken))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr == ""
    voices, speaking = map(int, result.stdout.split())
    assert voices > 125
    assert speaking >= voices - 3  # Three know no numbers: Cherokee, Chuvash and Sindarin.
