# ruff: noqa: RUF001
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks.song import lyrics, phonemes
from tasks.song.track import SongTrack
from tasks.step import Tools, TrackError


@pytest.fixture
def speak(tmp_path):
    tools = Tools(Storage(str(tmp_path / "source")), Storage(str(tmp_path / "artifacts")))

    def speak(text, **config):
        tools.source.write_bytes("song.txt", text.encode())
        track = SongTrack("a", "song.mp3", lyrics_path="song.txt", lyrics_digest="d")
        [row] = lyrics.STEP.run([track], {}, lyrics.LyricsConfig(), tools)
        [result] = phonemes.STEP.run(
            [track], {"lyrics": [row]}, phonemes.PhonemesConfig(**config), tools
        )
        if isinstance(result, TrackError):
            return result
        return pa.Table.from_pylist([result], schema=phonemes.STEP.columns).to_pylist()[0]

    return speak


def by_word(row):
    return {
        word: None if phones is None else "".join(phones)
        for word, phones in zip(row["word"], row["word_phonemes"], strict=True)
    }


def test_the_documented_example(speak):
    row = speak("[la:en]\nI woke up\nthis morning...")
    assert row["phonemes_ipa"] == "aɪ woʊk ʌp ðɪs mɔɹnɪŋ"
    assert row["line_ipa"] == ["aɪ woʊk ʌp", "ðɪs mɔɹnɪŋ"]
    assert row["word"] == ["I", "woke", "up", "this", "morning"]
    assert row["word_phonemes"][:2] == [["aɪ"], ["w", "oʊ", "k"]]
    assert (row["backend"], row["language"]) == ("gruut", "en-us")


@pytest.mark.parametrize(
    ("tag", "config", "backend", "language"),
    [
        ("es", {}, "gruut", "es-es"),
        ("es-ES", {}, "gruut", "es-es"),
        ("es-419", {}, "espeak-ng", "es-419"),
        ("en-GB", {}, "espeak-ng", "en-gb"),
        ("en-GB", {"backend": "gruut"}, "gruut", "en-us"),
        ("es", {"backend": "espeak"}, "espeak-ng", "es"),
        ("pl", {}, "espeak-ng", "pl"),
        ("es", {"language": "pt_BR"}, "espeak-ng", "pt-br"),
    ],
)
def test_the_backend_follows_the_language(speak, tag, config, backend, language):
    row = speak(f"[la:{tag}]\nla tristeza", **config)
    assert (row["backend"], row["language"]) == (backend, language)


@pytest.mark.parametrize("backend", ["gruut", "espeak"])
def test_everything_that_lyrics_hold_is_aligned_with_its_word(speak, backend):
    text = (
        '[la:en]\n"Don’t" stop, lovin\' me (x2) — ♪ oh-oh-oh!! \U0001f600\n'
        "the top of the world in 1999 & 24/7\n\nI LOVE YOU\n'cause 'hello' U.S.A. $20 100%"
    )
    row = speak(text, backend=backend)
    assert " ".join(row["word"]) == (
        "Don't stop lovin' me x2 oh-oh-oh the top of the world in 1999 & 24/7 I LOVE YOU "
        "'cause hello U.S.A $20 100%"
    )
    words = by_word(row)
    assert words["Don't"] == "doʊnt"
    assert words["lovin'"] == "lʌvɪn"
    assert words["x2"].startswith("ɛkst")
    assert words["oh-oh-oh"] == "oʊoʊoʊ"
    assert words["1999"].endswith("naɪntinaɪn")
    assert words["world"].startswith("w")
    assert words["in"] == "ɪn"
    assert words["&"] == "ænd"
    assert words["LOVE"] == "lʌv"
    assert words["U.S.A"].endswith("ɛseɪ")
    assert "dɑ" in words["$20"]
    assert words["100%"].endswith("sɛnt")
    assert len(row["line_ipa"]) == 4


def test_a_line_that_espeak_joins_is_spoken_word_by_word(speak):
    # "of the" becomes one word in espeak.
    assert [
        "".join(word)
        for word in speak("[la:en]\ntop of the world", backend="espeak")["word_phonemes"]
    ] == ["tɑːp", "ʌv", "ðə", "wɜːld"]


def test_liaison_is_heard_across_words(speak):
    assert by_word(speak("[la:fr]\nles amis"))["les"] == "lez"
    assert by_word(speak("[la:fr]\nles"))["les"] == "le"


def test_words_of_an_unreadable_script_are_null_and_the_others_stay(speak):
    row = speak("[la:en]\nhello привет world\n日本語")
    assert row["word_phonemes"][1] is None
    assert row["word_phonemes"][3] is None
    assert row["phonemes_ipa"] == "hɛloʊ wɚld"
    assert row["line_ipa"] == ["hɛloʊ wɚld", ""]


def test_a_word_with_a_damaged_byte_is_null(speak):
    row = speak("[la:es]\nno vuelvas m\N{REPLACEMENT CHARACTER}s \N{REPLACEMENT CHARACTER}a mar")
    assert [word for word, said in by_word(row).items() if said is None] == [
        "m\N{REPLACEMENT CHARACTER}s",
        "\N{REPLACEMENT CHARACTER}a",
    ]


def test_lyrics_of_which_no_word_can_be_read_fail(speak):
    assert speak("[la:ja]\n君愛").reason == "language-unsupported"


@pytest.mark.parametrize(
    ("text", "language", "initials"),
    [
        ("во поле береза стояла", "ru", "vpbs"),
        ("मेरा जूता है जापानी", "hi", "mɟhɟ"),
        ("σ'αγαπώ γιατί είσαι", "el", "sji"),
        ("月亮代表我的心", "zh", "j"),
    ],
)
def test_other_scripts(speak, text, language, initials):
    row = speak(text, language=language)
    assert row["backend"] == "espeak-ng"
    assert "".join(word[0][0] for word in row["word_phonemes"]) == initials
    assert row["word"] == text.split()


def test_initials_are_spelt_and_shouts_are_words(speak):
    words = by_word(speak("[la:en]\nYMCA, USA, DJ, OK\nWE ARE THE BMW BOYS\nI really LOVE the DJs"))
    assert words["YMCA"] == "waɪɛmsieɪ"
    assert words["USA"] == "juɛseɪ"
    assert words["DJ"] == "did͡ʒeɪ"
    assert words["BMW"] == "biɛmdʌbəlju"
    assert words["DJs"] == "did͡ʒeɪz"
    assert (words["ARE"], words["LOVE"], words["BOYS"]) == ("ɑɹ", "lʌv", "bɔɪz")


def test_initials_of_other_languages_are_spelt_in_them(speak):
    assert by_word(speak("[la:de]\nmein BMW"))["BMW"] == "beːʔɛmveː"
    assert by_word(speak("в СССР", language="ru"))["СССР"] == "ɛsɛsɛsɛr"
    assert by_word(speak("[la:tr]\nIŞIK IŞIK"))["IŞIK"] == "ɯʃɯk"


@pytest.mark.parametrize("backend", ["auto", "espeak"])
def test_thai_is_null_with_a_reason(speak, backend):
    error = speak("ฉันรักเธอทุกวันคืน\nอยากจะบอกให้เธอรู้", language="th", backend=backend)
    assert error.reason == "language-unsupported"
    assert "code of its own" in error.message


def test_kanji_are_null_with_advice_that_helps(speak):
    error = speak("夜に駆ける君の声\n沈む夕日を見ていた", language="ja")
    assert error.reason == "language-unsupported"
    assert "0 of 2" in error.message
    assert "kana" in error.message
    assert "--phonemes.language" not in error.message


def test_lyrics_of_which_less_than_half_is_read_fail(speak):
    assert speak("[la:en]\nhello привет мир\nлюблю").reason == "language-unsupported"


def test_gruut_alone_names_the_other_backend(speak):
    assert "--phonemes.backend auto" in speak("[la:pl]\nkot", backend="gruut").message


def test_no_lyrics_give_nulls(speak):
    assert set(speak("").values()) == {None}


def test_failures_say_what_to_do(speak):
    unknown = speak("la la la")
    assert unknown.reason == "language-unknown"
    assert "--phonemes.language" in unknown.message
    unsupported = speak("[la:xx]\nla la la")
    assert unsupported.reason == "language-unsupported"
    assert "'xx'" in unsupported.message
    assert speak("[la:pl]\nkot", backend="gruut").reason == "language-unsupported"


def test_a_file_without_line_ends_and_a_word_without_end_are_bounded(speak):
    row = speak("[la:en]\n" + "la " * 500 + "a" * 5000 + " it's")
    assert row["word_phonemes"][500] is None
    assert row["word_phonemes"][0] == row["word_phonemes"][499] == ["l", "ɑ"]
    assert row["word_phonemes"][501] == ["ɪ", "t", "s"]


@pytest.mark.parametrize(
    ("token", "word"),
    [("(hello)", "hello"), ("«l’amour»,", "l'amour"), ("'cause", "'cause"), ("'yes'", "yes"),
     ("rockin’!", "rockin'"), ("...100%", "100%"), ("$5.", "$5"), ("#love", "love"),
     ("¿qué?", "qué"), ("2nd,", "2nd"), ("&", "&"), ("歌、", "歌")],
)  # fmt: skip
def test_surrounding_punctuation(token, word):
    assert phonemes.strip_punctuation(token) == word


def test_models_enter_the_key():
    models = phonemes.STEP.models
    assert models(phonemes.PhonemesConfig()) == ("gruut", "espeak-ng")
    assert models(phonemes.PhonemesConfig(backend="espeak")) == ("espeak-ng",)


def test_no_system_program_is_needed(tmp_path):
    script = (
        "import shutil\n"
        "assert shutil.which('espeak-ng') is shutil.which('espeak') is shutil.which('ffmpeg')"
        " is None\n"
        "from models import adapters, registry\n"
        "print(adapters.load(registry.card('espeak-ng')).speak('dom', 'pl'))\n"
        "print(adapters.load(registry.card('gruut')).speak('casa', 'es-es'))\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PHONEMIZER")
    }
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "(('d', 'ɔ', 'm'),)",
        "(('k', 'a', 's', 'a'),)",
    ]
