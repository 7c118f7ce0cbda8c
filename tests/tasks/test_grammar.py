import pytest

from tasks.grammar import article

# Written by hand.
A = """
track,unique,uniform,universal,usual,useful,utopian,ukulele,UK Garage,US,European,euphoric,euro,
one-man,once,Ugandan,Uruguayan,house,hip-hop,Hip-Hop,harp,Yiddish,World,1990s,90s,70s,100,110,12-string,7-string,
81st/x,punk,POP,SKA,XYZ/no
"""
AN = """
upbeat,Electronic,IDM,R&B,RnB,R'n'B,EDM,MPB,LP,FM,NYC,80s,'80s,8-bit,11,18,1800s,11th,hour,honest,
honourable,heir,urban,uplifting,underground,unusual,uninspired,unidentified,unmixed,Irish,Élan,
A cappella,a cappella,E-bow,F,x-rated,S-Bahn,oud,organ,Old-Time,ambient,idyllic,oneiric,88-key
"""


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\n", "").split(",") if "/" not in word]


@pytest.mark.parametrize("word", _words(A))
def test_a(word: str) -> None:
    assert article(word) == "a"


@pytest.mark.parametrize("word", _words(AN))
def test_an(word: str) -> None:
    assert article(word) == "an"


def test_the_first_word_decides() -> None:
    assert article("calm IDM track") == "a"
    assert article("IDM and calm track") == "an"
