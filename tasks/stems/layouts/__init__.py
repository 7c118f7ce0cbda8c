"""Layouts in which datasets of stems come; a new one is a file here and a line below."""

from collections.abc import Mapping

from tasks.stems.layouts import archives, folders, moisesdb, musdb18, musdb18_hq, slakh
from tasks.stems.layouts.layout import Layout

LAYOUTS: Mapping[str, Layout] = {
    "moisesdb": moisesdb.find,
    "slakh2100": slakh.find,
    "musdb18": musdb18.find,
    "musdb18-hq": musdb18_hq.find,
    "archives": archives.find,
    "folders": folders.find,
}
"""By name, the more specific first: what one claims, those after it do not get."""
