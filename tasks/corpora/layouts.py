"""Layouts in which datasets of stems come; a new one is a file here and a line below."""

from collections.abc import Mapping, Sequence
from functools import partial

from tasks.corpora import (
    moisesdb,
    musdb18,
    musdb18_hq,
    prepared,
    slakh,
    song_archives,
    song_folders,
    source_folders,
    source_table,
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


def layouts_of_sources(sources: Sequence[str]) -> Mapping[str, Layout]:
    """Return the layouts of songs to learn separation from, by name, the more specific first.

    Parameters
    ----------
    sources
        Names of what is to be told apart: folders and columns are named after them.
    """
    return {
        "prepared": prepared.find,
        "table": partial(source_table.find, sources=sources),
        "source-folders": partial(source_folders.find, sources=sources),
        **LAYOUTS,
    }
