"""What every layout of the table keeps, on a song in its own arrangement."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.corpora.discover import discover
from tasks.corpora.layouts import LAYOUTS
from tests.tasks.corpora.test_layouts import MOISES_TRACKS, SLAKH_STEMS
from tests.tasks.stems.makers import (
    UUID,
    write_moisesdb,
    write_musdb18,
    write_musdb18_hq,
    write_slakh,
    write_stems,
    write_zipped_song,
)

MAKERS: dict[str, Callable[[Path], object]] = {
    "moisesdb": lambda folder: write_moisesdb(folder / UUID, MOISES_TRACKS),
    "slakh2100": lambda folder: write_slakh(folder / "Track00001", SLAKH_STEMS),
    "musdb18": lambda folder: write_musdb18(folder / "A - B.stem.mp4"),
    "musdb18-hq": lambda folder: write_musdb18_hq(folder / "test" / "C - D"),
    "archives": lambda folder: write_zipped_song(folder / "Band" / "Song.zip", ["a.wav", "b.wav"]),
    "folders": lambda folder: write_stems(folder / "Band" / "Song", ["a.wav", "b.wav"]),
}
"""Layout -> what writes one song in it below a folder."""


def test_every_layout_is_tried():
    assert MAKERS.keys() == LAYOUTS.keys()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_song_is_claimed_by_its_own_layout_alone(name: str, tmp_path: Path):
    MAKERS[name](tmp_path)
    found = discover(Storage(str(tmp_path)), None)
    [song] = found.songs
    assert (song.layout, found.failures) == (name, [])
    assert song.artist
    assert song.title
    assert song.archive or len(song.stems) >= 2


@pytest.mark.parametrize("name", LAYOUTS)
def test_ids_do_not_depend_on_where_a_corpus_lies(name: str, tmp_path: Path):
    MAKERS[name](tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "deeper" / "there")
    [here], [there] = (
        discover(Storage(str(tmp_path / place)), None).songs for place in ("here", "deeper")
    )
    assert here.track_id == there.track_id
    assert [(stem.name, stem.instrument, stem.stream) for stem in here.stems] == [
        (stem.name, stem.instrument, stem.stream) for stem in there.stems
    ]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_claims_only_what_it_was_shown(name: str, tmp_path: Path):
    MAKERS[name](tmp_path)
    source = Storage(str(tmp_path))
    paths = source.files()
    claim = LAYOUTS[name](source, paths)
    assert claim.songs
    assert claim.paths <= set(paths)
    for song in claim.songs:
        within = {song.path} if song.archive else {stem.path for stem in song.stems}
        assert within <= claim.paths
    empty = LAYOUTS[name](source, [])
    assert (empty.songs, empty.paths, empty.failures) == ([], set(), [])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_says_in_its_file_what_it_is(name: str):
    module = LAYOUTS[name].__module__  # type: ignore[attr-defined]
    assert module.startswith("tasks.corpora.")
    assert len((__import__(module, fromlist=["_"]).__doc__ or "").strip()) > 20
