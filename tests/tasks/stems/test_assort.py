from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.storage import Storage
from tasks.corpora.names.instruments import BASIC
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.stems.assort import STEP, AssortConfig, Assortments, assort
from tasks.step import Tools, TrackError

TOOLS = Tools(Storage("prepared"), Storage("artifacts"))
KINDS = ("guitar", "bass", "drum", "piano", "vocals", "synth", "fx", "strings", "perc")


def song(*instruments: str) -> PreparedSong:
    stems = [
        PreparedStem(f"id{at}", name, name, f"{at}.opus", 2.0)
        for at, name in enumerate(instruments)
    ]
    return PreparedSong("song", "song.zip", stems=stems)


def chosen(
    track: PreparedSong, instrument: str = "guitar", apart: Sequence[str] = (), **choice: int
) -> list[dict]:
    """Assortments of a song; ``apart`` are pairs such as ``"id0 id3"``."""
    config = AssortConfig(instrument=instrument, choice=Assortments(**choice))
    compared = {"apart": [pair.split() for pair in apart]}
    rows: list[dict] = assort(track, {"keep_apart": compared}, config, TOOLS)["assortments"]
    return rows


def test_each_target_has_four_basic_and_four_random_assortments():
    track = song("guitar", "bass", "drum", "piano", "perc", "vocals", "synth", "guitar")
    rows = chosen(track)
    kinds = {stem.stem_id: stem.instrument for stem in track.stems}
    for target in ("id0", "id7"):
        of = [row for row in rows if row["target"] == target]
        assert [row["kind"] for row in of] == ["basic"] * 4 + ["random"] * 4
        for row in of[:4]:
            [companion] = row["companions"]
            assert kinds[companion] in BASIC
        assert all(1 <= len(row["companions"]) <= 3 for row in of[4:])
        assert len({tuple(row["companions"]) for row in of}) == 8


def test_a_small_song_has_as_many_as_there_are():
    rows = chosen(song("guitar", "bass", "vocals"))
    assert {(row["kind"], tuple(row["companions"])) for row in rows} == {
        ("basic", ("id1",)),
        ("random", ("id2",)),
        ("random", ("id1", "id2")),
    }


def test_every_choice_of_companions_is_possible():
    track = song("guitar", "bass", "drum", "vocals", "synth")
    seen = {
        tuple(row["companions"]) for seed in range(60) for row in chosen(track, seed=seed, basic=0)
    }
    others = ["id1", "id2", "id3", "id4"]
    assert seen == {each for size in (1, 2, 3) for each in combinations(others, size)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=2, max_size=12), st.integers(0, 1000))
def test_no_stem_accompanies_itself_and_no_assortment_comes_twice(instruments, seed):
    track = song("guitar", *instruments)
    rows = chosen(track, seed=seed)
    assert all(row["target"] not in row["companions"] for row in rows)
    assert all(len(set(row["companions"])) == len(row["companions"]) for row in rows)
    assert len({(row["target"], *row["companions"]) for row in rows}) == len(rows)
    assert chosen(track, seed=seed) == rows


def test_stems_of_which_one_is_in_the_other_are_never_together():
    track = song("guitar", "bass", "drum", "vocals", "synth")
    rows = [
        row for seed in range(40) for row in chosen(track, apart=["id2 id0", "id1 id4"], seed=seed)
    ]
    assert {row["companions"] and tuple(row["companions"]) for row in rows} == {
        *(("id1",), ("id3",), ("id4",)),
        *(("id1", "id3"), ("id3", "id4")),
    }


def test_a_target_that_is_in_all_others_has_no_companions():
    track = song("guitar", "bass", "drum")
    with pytest.raises(TrackError, match="since its 2 other stems hold it or are in it") as raised:
        chosen(track, apart=["id0 id1", "id0 id2"])
    assert raised.value.reason == "no-companions"


def test_other_seeds_and_other_stems_choose_otherwise():
    track = song("guitar", *KINDS)
    assert chosen(track, seed=1) != chosen(track, seed=2)
    assert chosen(replace(track, track_id="other")) != chosen(track)


def test_a_song_with_nothing_but_its_target_fails():
    with pytest.raises(TrackError) as raised:
        chosen(song("guitar"))
    assert raised.value.reason == "no-companions"


def test_names_of_instruments_enter_the_key_and_audio_alone_does_not():
    assert set(STEP.attributes) == {"track_id", "instruments"}
    one, other = song("guitar", "bass"), song("guitar", "synth")
    assert one.track_id == other.track_id
    assert one.instruments != other.instruments
