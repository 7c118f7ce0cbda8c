"""Layouts in which datasets of stems come; a new one is a file here and a line below."""

from collections.abc import Mapping

from tasks.corpora import (
    moisesdb,
    musdb18,
    musdb18_hq,
    slakh,
    song_archives,
    song_folders,
)
from tasks.corpora.layout import Layout

LAYOUTS: Mapping[str, Layout] = {
    "moisesdb": moisesdb.find,
    "slakh2100": slakh.find,
    "musdb18": musdb18.find,
    "musdb18-hq": musdb18_hq.find,
    "archives": song_archives.find,
    "folders": song_folders.find,
}
"""By name, the more specific first: what one claims, those after it do not get."""
