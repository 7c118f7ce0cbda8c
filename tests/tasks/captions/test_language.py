import pytest

from tasks.captions.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("This is a slow and sad piano ballad that could be played in a film.", "en"),
        ("The low quality recording features a soft female vocal over mellow strings.", "en"),
        ("Une chanson calme avec guitare acoustique et une voix de femme", "fr"),
        ("Ein ruhiges Stück mit Klavier und einer leisen Frauenstimme", "de"),
        ("Una canción alegre con guitarra y la voz de una mujer que canta", "es"),
        ("Спокойная песня с гитарой, которую поёт женщина", "ru"),  # noqa: RUF001
        ("ギターの静かな曲", "ja"),
        ("", None),
        ("techno", None),
        ("rock, pop", None),
        ("latin salsa cumbia", None),
        ("120 BPM 4/4 !!!", None),
    ],
)
def test_of_sentences_and_of_tags(text: str, language: str | None) -> None:
    assert language_of(text) == language
