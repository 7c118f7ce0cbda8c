# ruff: noqa: RUF001
import logging
import threading

import pytest

from models import adapters, registry
from models.gruut import PACKAGED_LANGUAGES


@pytest.fixture(scope="module")
def adapter():
    return adapters.load(registry.card("gruut"))


def ipa(adapter, text, language):
    return ["".join(word) for word in adapter.speak(text, language)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I read a book and record the record blorptastic", "en-us"),
        ("la tristeza es muy extraña ni palpita en el recuerdo zzyq", "es-es"),
        ("les amis et les enfants ont des idées", "fr-fr"),
        ("was soll das sein wenn nicht ich", "de-de"),
        ("la città che non dorme mai", "it-it"),
    ],
)
def test_phonemes_are_gruuts_own_without_stress(adapter, text, language):
    import gruut

    expected = [
        tuple(phone.strip("ˈˌ") for phone in word.phonemes)
        for sentence in gruut.sentences(text, lang=language)
        for word in sentence
    ]
    assert list(adapter.speak(text, language)) == expected


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en-us"), ("en-au", "en-us"), ("de-at", "de-de"), ("fr-fr", "fr-fr"), ("pl", None),
     ("sv", None), ("xx", None)],
)  # fmt: skip
def test_languages_are_those_whose_lexicon_is_installed(adapter, tag, language):
    assert adapter.language(tag) == language


def test_every_packaged_language_is_there(adapter):
    assert [adapter.language(language) for language in PACKAGED_LANGUAGES] == [*PACKAGED_LANGUAGES]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("I woke up this morning", "en-us", ["aɪ", "woʊk", "ʌp", "ðɪs", "mɔɹnɪŋ"]),
        ("1999", "en-us", ["naɪntin", "naɪnti", "naɪn"]),
        ("x2", "en-us", ["ɛks", "tu"]),
        ("24/7", "en-us", ["twɛnti", "fɔɹ", "sɛvən"]),
        ("lovin' walkin'", "en-us", ["lʌvɪn", "wɔkɪn"]),
        ("café", "en-us", ["kæfeɪ"]),
        ("U.S.A", "en-us", ["ju", "ɛs", "eɪ"]),
        ("9" * 40, "en-us", ["naɪn"] * 40),
        ("je ne sais pas ce que", "fr-fr", ["ʒə", "nə", "sɛ", "pa", "sə", "kə"]),
        ("weiß euch gut", "de-de", ["vaeːs", "ɔʏ̯ç", "ɡuːt"]),
        ("привет", "en-us", [""]),
    ],
)
def test_words_that_gruut_alone_gets_wrong(adapter, text, language, expected):
    assert ipa(adapter, text, language) == expected


@pytest.mark.parametrize(
    ("letters", "language", "expected"),
    [("ABC", "en-us", "eɪbisi"), ("BMW", "de-de", "beːʔɛmveː"), ("dj", "fr-fr", "didʒe"),
     ("Ñ", "es-es", "eɲe"), ("TV", "it-it", "tivu"), ("СССР", "en-us", "")],
)  # fmt: skip
def test_initials_are_spelt(adapter, letters, language, expected):
    assert "".join(adapter.spell(letters, language)) == expected


def test_every_letter_has_a_name_in_every_packaged_language(adapter):
    for language in PACKAGED_LANGUAGES:
        assert adapter.spell("ABCDEFGHIJKLMNOPQRSTUVWXYZ", language)


def test_what_was_said_before_changes_nothing(adapter):
    # gruut 2.4.0 keeps the liaison of "les amis" in its lexicon.
    assert ipa(adapter, "les amis", "fr-fr") == ["lez", "ami"]
    assert ipa(adapter, "les", "fr-fr") == ["le"]


def test_it_speaks_in_any_thread(adapter):
    results = []
    thread = threading.Thread(target=lambda: results.append(ipa(adapter, "otro hilo", "es-es")))
    assert ipa(adapter, "un hilo", "es-es") == ["un", "ilo"]
    thread.start()
    thread.join()
    assert results == [["otɾo", "ilo"]]


def test_it_is_silent(adapter, caplog, capfd):
    with caplog.at_level(logging.DEBUG, logger="root"):
        adapter.speak("日本語 zzzzq", "it-it")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
