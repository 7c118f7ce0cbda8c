import pytest

from tasks.captions.check import unsupported
from tasks.captions.facts import Facts
from tasks.pieces import Phrase

FACTS = Facts(
    genres=("Rock",),
    moods=("energetic",),
    instruments=("bass guitar", "guitar"),
    voice="female",
    key="F# minor",
    metre="3/4",
    tempo_bpm=112.7,
    sections=("intro", "verse", "verse"),
)
ROCK = Phrase("Rock", ("genres",))


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("A Rock track", [ROCK]),
        ("Rock", [ROCK]),
        (
            "Energetic music featuring guitar and bass guitar",
            [
                Phrase("energetic", ("moods",)),
                Phrase("guitar", ("instruments",)),
                Phrase("bass guitar", ("instruments",)),
            ],
        ),
        (
            "A track in F# minor at 113 BPM in 3/4, with a female voice",
            [
                Phrase("F# minor", ("key",)),
                Phrase("113 BPM", ("tempo_bpm",)),
                Phrase("3/4", ("metre",)),
                Phrase("female voice", ("voice",)),
            ],
        ),
        (
            "Sections: intro, verses",
            [Phrase("intro", ("sections",)), Phrase("verses", ("sections",))],
        ),
    ],
)
def test_supported(text: str, phrases: list[Phrase]) -> None:
    assert unsupported(text, phrases, FACTS) == []


@pytest.mark.parametrize(
    ("text", "phrases", "problem"),
    [
        ("A loud Rock track", [ROCK], "'loud' comes from no column"),
        ("A Rock track in 1999", [ROCK], "'1999' comes from no column"),
        ("A Rock Rock track", [ROCK], "'Rock' comes from no column"),
        ("A Rock track", [], "'Rock' comes from no column"),
        ("A Rocky track", [ROCK], "the phrase 'Rock' does not stand in it"),
        ("A Jazz track", [Phrase("Jazz", ("genres",))], "'Jazz' is not what genres says"),
        ("A Rock track", [Phrase("Rock", ("moods",))], "'Rock' is not what moods says"),
        ("A Rock track", [Phrase("Rock", ())], "'Rock' names no column"),
        ("A Rock track", [Phrase("Rock", ("tags",))], "names tags, which is no column"),
        ("At 114 BPM", [Phrase("114 BPM", ("tempo_bpm",))], "is not what tempo_bpm says"),
        ("In G minor", [Phrase("G minor", ("key",))], "is not what key says"),
        ("In 4/4", [Phrase("4/4", ("metre",))], "is not what metre says"),
        ("A male voice", [Phrase("male voice", ("voice",))], "is not what voice says"),
        ("A fast track", [Phrase("fast", ("speed",))], "is not what speed says (None)"),
        ("Intros", [Phrase("intros", ("sections",))], "is not what sections says"),
    ],
)
def test_unsupported(text: str, phrases: list[Phrase], problem: str) -> None:
    problems = unsupported(text, phrases, FACTS)
    assert any(problem in each for each in problems), problems


def test_all_problems_are_named() -> None:
    problems = unsupported("A famous Jazz hit", [Phrase("Jazz", ("genres",))], FACTS)
    assert len(problems) == 3
