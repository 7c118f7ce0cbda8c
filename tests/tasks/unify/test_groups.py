import random

import pyarrow as pa

from tasks.unify.groups import groups
from tests.tasks.unify.corpora import entry, staged


def grouped(table: pa.Table, duplicates=()) -> set[frozenset[str]]:
    names = groups(table, duplicates).to_pylist()
    found: dict[str, set[str]] = {}
    for row_id, name in zip(table["id"].to_pylist(), names, strict=True):
        found.setdefault(name, set()).add(row_id)
    assert all(name == min(members) for name, members in found.items())
    return {frozenset(members) for members in found.values() if len(members) > 1}


def test_an_artist_is_one_in_all_corpora():
    table = staged(
        fma=[entry("1", artist="Björk"), entry("2", artist="Various Artists")],
        dali=[entry("1", artist="BJORK "), entry("2", artist="Various Artists")],
        folder=[entry("x", artist="björk"), entry("y")],
    )
    assert grouped(table) == {frozenset({"fma_1", "dali_1", "folder_x"})}


def test_ids_of_artists_and_recordings_are_shared():
    table = staged(
        mtg_jamendo=[
            entry("1", artist_id="jamendo:7", shared_ids=("jamendo:1",)),
            entry("2", artist_id="jamendo:8", shared_ids=("jamendo:2", "youtube:x")),
        ],
        song_describer=[
            entry("a", shared_ids=("jamendo:1",)),
            entry("d", artist_id="jamendo:9", artist="Under one name"),
        ],
        jamendo_max_caps=[entry("d", artist_id="jamendo:9", artist="Under another")],
        musiccaps=[entry("b", shared_ids=("youtube:x",)), entry("c", artist_id="fma:7")],
    )
    assert grouped(table) == {
        frozenset({"mtg_jamendo_1", "song_describer_a"}),
        frozenset({"mtg_jamendo_2", "musiccaps_b"}),
        frozenset({"song_describer_d", "jamendo_max_caps_d"}),
    }


def test_parts_of_one_file_stay_together():
    table = staged(
        a=[entry("1", audio="x.wav"), entry("2", audio="x.wav")], b=[entry("1", audio="x.wav")]
    )
    assert grouped(table) == {frozenset({"a_1", "a_2"})}


def test_files_that_sound_the_same_stay_together_along_a_chain():
    table = staged(a=[entry(str(number)) for number in range(6)])
    digests = pa.array(["p", "q", "r", "s", "p", None])
    table = table.set_column(table.schema.get_field_index("audio_digest"), "audio_digest", digests)
    assert grouped(table, [("q", "r"), ("p", "q"), ("s", "gone")]) == {
        frozenset({"a_0", "a_1", "a_2", "a_4"})
    }


def test_names_of_groups_do_not_depend_on_the_order():
    table = staged(a=[entry(str(at), artist=f"artist {at % 7}") for at in range(50)])
    before = dict(zip(table["id"].to_pylist(), groups(table).to_pylist(), strict=True))
    order = list(range(50))
    random.Random(0).shuffle(order)
    shuffled = table.take(order)
    assert before == dict(
        zip(shuffled["id"].to_pylist(), groups(shuffled).to_pylist(), strict=True)
    )
    assert len(set(before.values())) == 7
