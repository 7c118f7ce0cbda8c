import pytest

from models.hallucinations import is_invented


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        "Thank you so much for watching. Please subscribe.",
        "Subtitles by the Amara.org community",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF, 2020",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Subtítulos realizados por la comunidad de Amara.org",
        "Sottotitoli creati dalla comunità Amara.org",
        "Legendas pela comunidade Amara.org",
        "Субтитры сделал DimaTorzok",
        "ご視聴ありがとうございました",
        "[Music]",
        "(upbeat music) [Applause]",
        "♪ ♪",
        "",
    ],
)
def test_what_whisper_writes_where_nobody_speaks_is_known(text):
    assert is_invented(text)


@pytest.mark.parametrize(
    "text",
    [
        "soy un fantasma que se asusta de sí mismo",
        "Thank you for the music, the songs I'm singing",
        "I'm watching you. Thanks for watching!",
        "[Chorus] we are here",
        "la la la",
    ],
)
def test_lyrics_are_not(text):
    assert not is_invented(text)
