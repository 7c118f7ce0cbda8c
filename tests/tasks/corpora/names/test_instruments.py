import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpora.names.instruments import (
    BASIC,
    FALSE_FRIENDS,
    INSTRUMENTS,
    MIXTURES,
    SYNONYMS,
    instrument_of,
    is_mixture,
    with_synonyms,
)

WORDS = [(instrument, word) for instrument, words in SYNONYMS.items() for word in words]


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        # The five stems of a public multitrack recording.
        ("bassguitar", "bass"),
        ("clav", "piano"),
        ("drums", "drum"),
        ("horns", "winds"),
        ("leadguitar", "guitar"),
        ("BASS_DRUM", "drum"),
        ("01 Gtr L.wav", "guitar"),
        ("GTRs_dbl", "guitar"),
        ("EGtr2", "guitar"),
        ("KickIn", "drum"),
        ("hi-hat 02", "drum"),
        ("Toms", "drum"),
        ("01-BassDI", "bass"),
        ("Double Bass", "bass"),
        ("Synth Bass", "bass"),
        ("bass clarinet", "winds"),
        ("Bassoon", "winds"),
        ("Bass Sax", "winds"),
        ("VoxFX", "vocals"),
        ("Backing Vocals", "vocals"),
        ("E.Piano", "piano"),
        ("Rhodes", "piano"),
        ("other_keys", "piano"),
        ("lead synth", "synth"),
        ("pads", "synth"),
        ("Violin II", "strings"),
        ("CONGA1", "perc"),
        ("SFX", "fx"),
        ("other", "other"),
        ("Guitarra Eléctrica", "guitar"),
        ("élec gtr", "guitar"),
        ("Brother - Kick", "drum"),
        ("Morgan_Monkeys_Gtr", "guitar"),
    ],
)
def test_names_tell_the_instrument(name, instrument):
    assert instrument_of(name) == instrument


@pytest.mark.parametrize(
    "name",
    [
        *("suffix", "custom", "bottom", "that", "monkey", "key", "sharp", "Thornton", "Mothers"),
        *("organic", "Windows", "ambassador", "doldrums", "saxony", "patched", "", "take 3"),
        "sub_ass",
    ],
)
def test_words_that_hold_an_instrument_by_chance_tell_none(name):
    assert instrument_of(name) is None


def test_the_references_names_are_all_known():
    reference = {
        "guitar": ["guitar", "guitars", "gtr"],
        "drum": ["drum", "drm"],
        "piano": ["piano", "keys"],
        "vocals": ["vocals", "vocal", "vox"],
        **{name: [name] for name in ("bass", "perc", "fx", "synth", "winds", "strings", "other")},
    }
    assert set(reference) == set(INSTRUMENTS) == set(SYNONYMS)
    for instrument, names in reference.items():
        assert {instrument_of(name) for name in names} == {instrument}
    assert {instrument_of(name) for name in ("guitar", "drum", "bass", "perc", "gtr", "drm")} | {
        instrument_of("piano")
    } == set(BASIC)


def test_no_word_has_two_meanings():
    words = [word for _, word in WORDS]
    assert len(words) == len(set(words))
    assert all(word.isalnum() and word == word.lower() for word in words)


@given(
    st.sampled_from(WORDS),
    st.sampled_from(["{}", "{}s", "01 {}", "{}_2", "{}.wav", "ddd-{}-L", "{}03", "My Zzz {} Ly"]),
    st.sampled_from([str.lower, str.upper, str.title]),
)
@settings(deadline=None)
def test_every_word_is_found_as_a_word_in_any_case(word, frame, case):
    assert instrument_of(frame.format(case(word[1]))) == word[0]


@given(st.sampled_from(WORDS), st.sampled_from("bdmqwxz"), st.sampled_from("bdmqwxz"))
@settings(deadline=None)
def test_short_words_inside_others_are_not_found(word, before, after):
    if len(word[1]) <= 3:
        assert instrument_of(before + word[1] + after) in (None, "bass", "vocals")
        assert instrument_of(f"{before * 3}{word[1]}{after * 3}") is None


@given(st.sampled_from(FALSE_FRIENDS), st.sampled_from(["", "s", "ed", "y"]))
@settings(deadline=None)
def test_false_friends_tell_nothing_and_hide_nothing(friend, ending):
    assert instrument_of(friend + ending) is None
    assert instrument_of(f"The {friend}{ending} 03 - gtr") == "guitar"


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_a_name(name):
    assert instrument_of(name) in (None, *INSTRUMENTS)
    assert is_mixture(name) in (True, False)


@pytest.mark.parametrize(
    "name", ["mixture", "Mix", "master", "Full Mix", "MyZone_FULL-MIX_v2", "instrumental", "Mix 3"]
)
def test_mixtures_are_no_stems(name):
    assert is_mixture(name)
    assert instrument_of(name) is None


@given(st.sampled_from(MIXTURES), st.sampled_from(WORDS))
@settings(deadline=None)
def test_a_mixture_is_never_taken_for_a_stem_of_its_title(mixture, word):
    assert is_mixture(f"{word[1]} man - {mixture}")
    assert instrument_of(f"{word[1]} man - {mixture}") is None


@pytest.mark.parametrize("name", ["Drum Mix", "remix", "mixer", "Guitar (master)"])
def test_a_mix_of_one_instrument_is_a_stem(name):
    assert not is_mixture(name)


def test_a_users_words_count_before_the_others():
    table = with_synonyms({"guitar": ["Tele-Caster", "keys"], "other": ["monkey"]})
    assert instrument_of("telecaster 1", table) == "guitar"
    assert instrument_of("Keys", table) == "guitar"
    assert instrument_of("monkey", table) == "other"
    assert instrument_of("pno", table) == "piano"
    assert with_synonyms({}) == SYNONYMS


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"banjo": ["banjo"]}, '"banjo" is no instrument; there are guitar, drum'),
        ({"guitar": ["--"]}, "no letter and no digit"),
        ({"guitar": ["tele"], "bass": ["Tele"]}, "cannot be both guitar and bass"),
    ],
)
def test_words_that_cannot_be_are_refused(extra, said):
    with pytest.raises(ValueError, match=said):
        with_synonyms(extra)
