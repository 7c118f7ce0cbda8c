"""Files to songs, by folders and names."""

import time
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpora.names.arrange import SeveralSongsError, arranged, as_one_song, titles_in_doubt
from tasks.corpora.names.instruments import read_names


def songs(*paths: str) -> dict[tuple[str, str], list[str]]:
    return {(each.folder, each.title): list(each.paths.values()) for each in arranged(paths)}


def test_folders_of_instruments_are_one_song():
    names = ["Drums/Kick", "Drums/Snare", "Guitars/Gtr 1", "Bass/DI", "Mix/Song"]
    assert songs(*(f"Artist/Song/{name}.wav" for name in names)) == {("Artist/Song", ""): names}
    numbered = [f"{part}/{number:02d}" for part in ("Drums", "02 Bass", "Vox") for number in (1, 2)]
    assert songs(*(f"Song/{name}.wav" for name in numbered)) == {("Song", ""): numbered}
    assert songs("S/Drums/Close/01.wav", "S/Gtrs/01.wav", "S/Vox.wav") == {
        ("S", ""): ["Drums/Close/01", "Gtrs/01", "Vox"]
    }


def test_folders_of_one_instrument_hold_a_file_for_each_song():
    assert songs("vocals/songA.wav", "vocals/songB.wav", "drums/songA.wav") == {
        ("", "songA"): ["vocals/songA", "drums/songA"],
        ("", "songB"): ["vocals/songB"],
    }
    titles, parts = ("Bass Hunter", "Piano Man"), ("drums", "no_drums", "vocals")
    found = songs(*(f"c/{part}/{title}.wav" for title, part in product(titles, parts)))
    assert list(found) == [("c", title) for title in titles]
    named = songs(*(f"{k}/{s}_{k}.wav" for s in ("One X", "Two X") for k in ("bass", "vocals")))
    assert list(named) == [("", "One X"), ("", "Two X")]
    many = songs(*(f"{k}/{n:03d}.wav" for n in range(8) for k in ("bass", "vocals")))
    assert len(many) == 8


def test_songs_that_are_named_like_instruments_stay_songs():
    stems = ("vocals", "bass", "drums")
    paths = [f"Artist/{song}/{stem}.wav" for song in ("Strings", "Bass") for stem in stems]
    assert list(songs(*paths)) == [("Artist/Bass", ""), ("Artist/Strings", "")]
    assert list(songs(*paths[:3])) == [("Artist/Strings", "")]
    assert list(songs("Piano/Song X/violin.wav", "Piano/Song X/cello.wav")) == [
        ("Piano/Song X", "")
    ]


@pytest.mark.parametrize(
    "form",
    [
        "{n}_{s}_({k})",
        "{s}_{k}",
        "{s} - {k}",
        "{k}_{s}",
        "{n:02d} {s} {k}",
        "{s}-{k}-Cmaj-120bpm-440hz",
    ],
)
def test_songs_in_one_folder_are_told_by_their_titles(form: str):
    titles = ("Piano Love", "Song 2", "Song 3")
    kinds = ("Vocals", "Bass", "Instrumental")
    paths = [
        f"out/{form.format(n=number, s=title, k=kind)}.wav"
        for number, title in enumerate(titles, 1)
        for kind in kinds
    ]
    found = songs(*paths)
    assert list(found) == [("out", title) for title in titles]
    assert {len(each) for each in found.values()} == {3}


def test_the_mix_of_a_song_and_what_is_of_none_are_kept():
    paths = [f"{s}_({k}).wav" for s in ("Alpha", "Beta") for k in ("Vocals", "Drums")]
    assert songs("Alpha.wav", "cover.wav", *paths) == {
        ("", ""): ["cover"],
        ("", "Alpha"): ["Alpha", "Alpha_(Drums)", "Alpha_(Vocals)"],
        ("", "Beta"): ["Beta_(Drums)", "Beta_(Vocals)"],
    }


@pytest.mark.parametrize(
    "names",
    [
        ["Lead Vox", "Lead Gtr", "Rhythm Gtr", "Rhythm Keys", "Verse Gtr", "Chorus Gtr"],
        ["Night Gtr 1", "Night Gtr 2", "Night Bass 1", "Night Bass 2"],
        ["Night Lead Gtr", "Night Lead Vox", "Night Rhythm Gtr", "Night Rhythm Vox"],
        ["01_Kick", "02_Snare", "03_OH L", "04_Bass", "05_BVs 1", "06_BVs 2"],
        ["Vox 1", "Vox 2", "Gtr 1", "Gtr 2"],
        ["Kick Drum In", "Kick Drum Out", "Snare Drum Top", "Bass DI", "Bass Amp"],
        ["drums_1", "drums_2", "guitar", "rhythm", "vocals", "song", "crowd"],
    ],
)
def test_one_song_is_not_split(names: list[str]):
    assert len(songs(*(f"A/Song/{name}.wav" for name in names))) == 1
    assert titles_in_doubt(names) == ()


def test_players_names_are_in_doubt():
    names = ["John Vox", "John Gtr", "Paul Vox", "Paul Bass", "Ringo Drums"]
    assert len(songs(*(f"A/Song/{name}.wav" for name in names))) == 1
    assert titles_in_doubt(names) == ("John", "Paul")
    amplifiers = [f"{amp} {kind}" for amp in ("Marshall", "Fender") for kind in ("Gtr", "Bass")]
    names = [*amplifiers, "Kick", "Snare", "Lead Vox", "BGV"]
    assert as_one_song(f"{name}.wav" for name in names).doubt == ("Fender", "Marshall")


@pytest.mark.parametrize(
    "paths",
    [
        [f"{s}/{s}_{k}.wav" for s in ("Gamma", "Delta") for k in ("bass", "vocals", "guitar")],
        [f"{s}_{k}.wav" for s in ("Gamma", "Delta") for k in ("bass", "vocals", "guitar")],
        [f"Album/{s}/{k}.wav" for s in ("One", "Two") for k in ("Drums", "Bass")],
        [f"{k}/{s}.wav" for s in ("Gamma", "Delta") for k in ("bass", "vocals")],
    ],
)
def test_an_archive_of_several_songs_is_none(paths: list[str]):
    with pytest.raises(SeveralSongsError):
        as_one_song(paths)


def test_an_archive_is_one_song_whatever_folders_it_has():
    paths = ["Song/Drums/01.wav", "Song/Drums/02.wav", "Song/Vox/01.wav", "Song/extra/Gtr.wav"]
    assert set(as_one_song(paths).paths.values()) == {
        *("Drums/01", "Drums/02", "Vox/01", "extra/Gtr")
    }
    assert list(as_one_song(["Song/Drums/01.wav", "Song/Drums/02.wav"]).paths.values()) == [
        *("Drums/01", "Drums/02")
    ]


PARTS = st.sampled_from(
    ["Drums", "no_vocals", "01", "Alpha", "mix", "Bass Love", "ソ", "&", "w", "songA", "-", " "]
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(" ".join) | st.text(
    st.characters(exclude_characters="/"), min_size=1, max_size=8
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, min_size=1, max_size=8, unique=True))
@settings(deadline=None)
def test_no_file_is_lost_or_in_two_songs(paths: list[str]):
    files = [f"{path}.wav" for path in paths]
    groups = arranged(files)
    assert sorted(path for group in groups for path in group.paths) == sorted(files)
    assert all(len(read_names(list(group.paths.values()))) == len(group.paths) for group in groups)
    titles_in_doubt(paths)
    with suppress(SeveralSongsError):
        assert set(as_one_song(files).paths) == set(files)


def test_names_that_are_made_to_keep_the_program_busy_do_not():
    start = time.perf_counter()
    names = [f"{' '.join('ab'[bit == '1'] for bit in f'{at:b}')} bass x" * 8 for at in range(500)]
    read_names(names)
    arranged(f"{name}.wav" for name in names)
    assert time.perf_counter() - start < 20
