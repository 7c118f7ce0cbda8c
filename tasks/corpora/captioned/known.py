"""The corpora that can be unified: one row each."""

from collections.abc import Mapping

from tasks.corpora.captioned import (
    clotho,
    dali,
    fma,
    folder,
    jamendo_max_caps,
    mtg_jamendo,
    musdb18,
    musicbench,
    musiccaps,
    song_describer,
    songmill,
)
from tasks.corpora.captioned.entry import Corpus

_HUB = "https://huggingface.co/datasets"
_DOI = "https://doi.org/10.5281"
_ROWS = (
    Corpus(
        "song_describer",
        "Song Describer",
        song_describer.read,
        "CC-BY-SA-4.0",
        f"{_DOI}/zenodo.10072001",
    ),
    Corpus(
        "jamendo_max_caps",
        "JamendoMaxCaps",
        jamendo_max_caps.read,
        "CC-BY-SA-3.0",
        f"{_HUB}/amaai-lab/JamendoMaxCaps",
    ),
    Corpus("fma", "FMA", fma.read, "CC-BY-4.0", "https://github.com/mdeff/fma"),
    Corpus(
        "mtg_jamendo",
        "MTG-Jamendo",
        mtg_jamendo.read,
        "CC-BY-NC-SA-4.0",
        "https://mtg.github.io/mtg-jamendo-dataset/",
    ),
    Corpus(
        "clotho",
        "Clotho",
        clotho.read,
        "Of Tampere University: non-commercial, with attribution",
        f"{_DOI}/zenodo.4783391",
    ),
    Corpus(
        "musicbench", "MusicBench", musicbench.read, "CC-BY-SA-3.0", f"{_HUB}/amaai-lab/MusicBench"
    ),
    Corpus("musiccaps", "MusicCaps", musiccaps.read, "CC-BY-SA-4.0", f"{_HUB}/google/MusicCaps"),
    Corpus("dali", "DALI", dali.read, "AFL-3.0", "https://github.com/gabolsgabs/DALI"),
    Corpus(
        "musdb18",
        "MUSDB18",
        musdb18.read,
        "For educational purposes only",
        f"{_DOI}/zenodo.1117372",
    ),
    Corpus(
        "folder",
        "Folder with texts beside the audio",
        folder.read,
        "As its owner says",
        "docs/unify.md",
    ),
    Corpus(
        "songmill",
        "Dataset of build-dataset",
        songmill.read,
        "As its owner says",
        "docs/dataset.md",
    ),
)

CORPORA: Mapping[str, Corpus] = {corpus.name: corpus for corpus in _ROWS}
"""Corpora by their names, in the order in which they are read by default."""
