import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.captions.compose import compose
from tasks.captions.contradictions import contradictions
from tasks.captions.facts import Facts
from tests.tasks.captions.some_facts import facts

FACTS = Facts(
    genres=("Indie-Rock", "Electronic"),
    moods=("calm",),
    instruments=("electric guitar", "drums", "synthesizer"),
    themes=("film",),
    voice="female",
    key="F# minor",
    metre="3/4",
    tempo_bpm=113.2,
    sections=("intro", "verse"),
)
NOTHING = Facts()


@pytest.mark.parametrize(
    "text",
    [
        "A calm rock track with guitar, synths and drums.",
        "Electronic indie rock at around 113 BPM, in F sharp minor.",
        "An indie-rock song in Gb minor with a steady beat of 115 beats per minute",
        "At 112 bpm a woman sings over an electric guitar and a drum kit.",
        "In a minor key, with percussion and a soft female voice, in 3/4.",
        "Female vocals drift over shimmering electric guitars, at a tempo of 113.",
        "A hit, in F♯ minor, about to begin; a major moment for her voice.",
        "F#m, 3/4, film",
        "Keyboards and singing of a lady",
    ],
)
def test_what_the_facts_support_is_let_through(text: str) -> None:
    assert contradictions(text, FACTS) == []


@pytest.mark.parametrize(
    ("text", "facts", "sentence"),
    [
        ("Calm, at 120 BPM", FACTS, "it states 120 BPM, and the tempo is 113.2 BPM"),
        ("around 110 bpm", FACTS, "it states 110 BPM"),
        ("100-113 BPM", FACTS, "it states 100 BPM"),
        ("BPM: 90", FACTS, "it states 90 BPM"),
        ("a tempo of 90", FACTS, "it states 90 BPM"),
        ("at 96.5 beats per minute", NOTHING, "it states 96.5 BPM, and no tempo is known"),
        ("one hundred BPM", FACTS, "a tempo that cannot be read"),
        ("in A minor", FACTS, "'A minor', and the key is F# minor"),
        ("in F# major", FACTS, "'F# major', and the key is F# minor"),
        ("in G flat major", FACTS, "'G flat major', and the key is F# minor"),
        ("in bb minor", FACTS, "'bb minor', and the key is F# minor"),
        ("the key of Bb, with guitar", FACTS, "and the key is F# minor"),
        ("in Eb", FACTS, "and the key is F# minor"),
        ("It is in E-flat.", FACTS, "and the key is F# minor"),
        ("in Am", FACTS, "'Am', and the key is F# minor"),
        ("in a major key", FACTS, "and the key is F# minor"),
        ("D Dorian", FACTS, "'D Dorian', and the key is F# minor"),
        ("in C major", NOTHING, "'C major', and no key is known"),
        ("in 4/4", FACTS, "it states 4/4, and the metre is 3/4"),
        ("rock with a cello", FACTS, "it names 'cello', which is no instrument"),
        ("rock with acoustic guitar", FACTS, "it names 'acoustic guitar'"),
        ("guitars and trumpets", FACTS, "it names 'trumpets'"),
        ("a jazz piece", FACTS, "it names 'jazz', which is no genre"),
        ("electronic dance music", FACTS, "it names 'electronic dance music'"),
        ("drum & bass", FACTS, "it names 'drum & bass'"),
        ("with strings", FACTS, "it names 'strings'"),
        ("a man sings", FACTS, "a male voice, and the voice is female"),
        ("with male vocals", FACTS, "a male voice"),
        ("with a children's choir", FACTS, "a child voice"),
        ("without vocals", FACTS, "no voice, and the voice is female"),
        ("an instrumental track", FACTS, "no voice"),
        ("a female voice", Facts(voice="instrumental"), "a female voice"),
        ("her voice", Facts(voice="vocal"), "a female voice"),
        ("with vocals", NOTHING, "a vocal voice, and the voice is not known"),
        ("a slow piece", Facts(speed="fast"), "it says 'slow'"),
        ("a slow piece", Facts(tempo_bpm=150.0), "it says 'slow'"),
        ("fast", NOTHING, "it says 'fast'"),
        ("a sound of the 1980s", FACTS, "it has '1980s'"),
        ("with 2 parts", FACTS, "it has '2'"),
    ],
)
def test_what_they_do_not_support_is_found(text: str, facts: Facts, sentence: str) -> None:
    problems = contradictions(text, facts)
    assert any(sentence in problem for problem in problems), problems


def test_what_is_general_is_supported_by_what_is_particular() -> None:
    strings = Facts(instruments=("violin", "cello"), voice="instrumental")
    assert contradictions("Strings, without any voices", strings) == []
    assert contradictions("Brass", strings) != []
    assert contradictions("a guitar", Facts(instruments=("guitar",))) == []
    assert contradictions("an electric guitar", Facts(instruments=("guitar",))) != []


def test_a_mood_before_a_genre_is_no_other_genre() -> None:
    assert contradictions("smooth jazz", Facts(("Jazz",), ("smooth",))) == []
    assert contradictions("smooth jazz", Facts(("Jazz",), ("calm",))) != []


def test_a_tempo_may_be_off_by_two_percent() -> None:
    facts = Facts(tempo_bpm=100.0)
    assert contradictions("102 BPM", facts) == contradictions("98 BPM", facts) == []
    assert contradictions("103 BPM", facts) != []
    assert contradictions("97 BPM", facts) != []


def test_all_that_is_wrong_is_said() -> None:
    problems = contradictions("Jazz in C major at 90 BPM with a male voice and a harp", FACTS)
    assert len(problems) == 5


def test_values_with_numbers_are_known() -> None:
    assert contradictions("An 80s anthem", Facts(genres=("80s",))) == []
    century = Facts(genres=("Classical", "20th Century Classical"), speed="medium")
    assert contradictions("Mid-tempo 20th Century Classical music", century) == []


@settings(max_examples=300)
@given(facts, st.text(max_size=3))
def test_templates_do_not_contradict_their_own_facts(known: Facts, seed: str) -> None:
    for caption in compose(known, seed):
        assert contradictions(caption.text, known) == [], caption.text


def test_a_decade_is_no_tempo() -> None:
    known = Facts(genres=("80s",), speed="medium")
    assert contradictions("A mid-tempo 80s track", known) == []
