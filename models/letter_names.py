# ruff: noqa: RUF001
"""How letters are called where gruut has lexicons, in the phonemes of these lexicons.

gruut spells capitals in English alone, where it takes the letter A for the article; elsewhere it
reads B and K as sounds.
"""

from collections.abc import Mapping

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def _names(text: str, **others: str) -> dict[str, tuple[str, ...]]:
    """Phonemes by letter; `text` holds those of a to z, parted by slashes."""
    names = dict(zip(_ALPHABET, text.split("/"), strict=True)) | others
    return {letter: tuple(name.split()) for letter, name in names.items()}


LETTER_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en-us": _names(
        "eɪ/b i/s i/d i/i/ɛ f/d͡ʒ i/eɪ t͡ʃ/aɪ/d͡ʒ eɪ/k eɪ/ɛ l/ɛ m/ɛ n/oʊ/p i/k j u/ɑ ɹ/ɛ s/t i/j u/"
        "v i/d ʌ b ə l j u/ɛ k s/w aɪ/z i"
    ),
    "de-de": _names(
        "ʔ aː/b eː/t s eː/d eː/ʔ eː/ʔ ɛ f/ɡ eː/h aː/ʔ iː/j ɔ t/k aː/ʔ ɛ l/ʔ ɛ m/ʔ ɛ n/ʔ oː/p eː/"
        "k uː/ʔ ɛ ʁ/ʔ ɛ s/t eː/ʔ uː/f aʊ̯/v eː/ʔ ɪ k s/ʔ ʏ p s iː l ɔ n/t s ɛ t",
        ä="ʔ ɛː",
        ö="ʔ øː",
        ü="ʔ yː",
    ),
    "fr-fr": _names(
        "a/b e/s e/d e/ə/ɛ f/ʒ e/a ʃ/i/ʒ i/k a/ɛ l/ɛ m/ɛ n/o/p e/k y/ɛ ʁ/ɛ s/t e/y/v e/"
        "d u b l ə v e/i k s/i ɡ ʁ ɛ k/z ɛ d"
    ),
    "es-es": _names(
        "a/b e/θ e/d e/e/e f e/x e/a t͡ʃ e/i/x o t a/k a/e l e/e m e/e n e/o/p e/k u/e r e/e s e/"
        "t e/u/u b e/u b e d o b l e/e k i s/ʝ e/θ e t a",
        ñ="e ɲ e",
    ),
    "it-it": _names(
        "a/b i/t͡ʃ i/d i/e/ɛ f f e/d͡ʒ i/a k k a/i/i l u n ɡ a/k a p p a/ɛ l l e/ɛ m m e/ɛ n n e/o/"
        "p i/k u/ɛ r r e/ɛ s s e/t i/u/v u/d o p p j a v u/i k s/i p s i l o n/d͡z ɛ t a"
    ),
}

LOANS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("de-de", "dj"): ("d", "iː", "d", "ʒ", "eɪ̯"),
    ("es-es", "dj"): ("d", "i", "ʝ", "e", "i"),
    ("fr-fr", "dj"): ("d", "i", "d", "ʒ", "e"),
    ("it-it", "dj"): ("d", "i", "d͡ʒ", "e", "i"),
}
"""Initials that are called as in English."""
