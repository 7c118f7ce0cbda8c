"""The corpora that can be unified: one row each."""

from collections.abc import Mapping

from tasks.corpora.captioned import fma, mtg_jamendo, song_describer
from tasks.corpora.captioned.entry import Corpus

_ROWS = (
    Corpus(
        "song_describer",
        "Song Describer",
        song_describer.read,
        "CC-BY-SA-4.0",
        "https://doi.org/10.5281/zenodo.10072001",
    ),
    Corpus("fma", "FMA", fma.read, "CC-BY-4.0", "https://github.com/mdeff/fma"),
    Corpus(
        "mtg_jamendo",
        "MTG-Jamendo",
        mtg_jamendo.read,
        "CC-BY-NC-SA-4.0",
        "https://mtg.github.io/mtg-jamendo-dataset/",
    ),
)

CORPORA: Mapping[str, Corpus] = {corpus.name: corpus for corpus in _ROWS}
"""Corpora by their names, in the order in which they are read by default."""
