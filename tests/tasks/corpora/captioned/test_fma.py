"""FMA: its two tables, its subsets, and rows that are known to be wrong."""

import csv
from pathlib import Path

import pytest

from tasks.corpora.captioned.entry import CorpusError, Tag
from tasks.corpora.captioned.licences import spdx
from tests.tasks.corpora.captioned.reading import read, reasons

# fmt: off
COLUMNS = [
    *(("album", name) for name in ("id", "information", "tags", "title")),
    *(("artist", name) for name in ("bio", "id", "name")),
    ("set", "split"), ("set", "subset"),
    *(("track", name) for name in ("duration", "genre_top", "genres", "license", "tags", "title")),
]
# fmt: on
ROW = {
    ("album", "id"): "1",
    ("album", "title"): "AWOL",
    ("artist", "bio"): '<p>Of "Newark",\nN.J.</p>',
    ("artist", "id"): "1",
    ("artist", "name"): "Björk, & Sons",
    ("set", "split"): "training",
    ("set", "subset"): "small",
    ("track", "duration"): "168",
    ("track", "genre_top"): "Hip-Hop",
    ("track", "genres"): "[21, 10]",
    ("track", "license"): "Attribution-NonCommercial-ShareAlike 3.0 International",
    ("track", "tags"): "['calm', 'acoustic guitar', \"don't\", 'Pop']",
    ("track", "title"): "Food",
}


def write(folder: Path, rows: dict[str, dict[tuple[str, str], str]], audio: str = "") -> Path:
    """tracks.csv of some rows by their ids, genres.csv, and a folder of audio."""
    metadata = folder / "fma_metadata"
    metadata.mkdir(parents=True)
    with (metadata / "tracks.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["", *(group for group, _ in COLUMNS)])
        table.writerow(["", *(name for _, name in COLUMNS)])
        table.writerow(["track_id", *[""] * len(COLUMNS)])
        for number, cells in rows.items():
            table.writerow([number, *({**ROW, **cells}.get(column, "") for column in COLUMNS)])
    (metadata / "genres.csv").write_text(
        "genre_id,#tracks,parent,title,top_level\n10,13845,0,Pop,10\n21,8389,0,Hip-Hop,21\n"
    )
    if audio:
        (folder / audio).mkdir()
    return folder


def test_a_row_of_tracks_csv(tmp_path: Path):
    [entry], dropped = read("fma", write(tmp_path, {"2": {}}, "fma_full"))
    assert dropped == []
    assert (entry.native_id, entry.audio) == ("2", "fma_full/000/000002.mp3")
    assert (entry.artist, entry.title, entry.album) == ("Björk, & Sons", "Food", "AWOL")
    assert (entry.artist_id, entry.album_id) == ("fma:1", "fma:1")
    assert (entry.duration_seconds, entry.split) == (168.0, "train")
    assert spdx(entry.licence) == "CC-BY-NC-SA-3.0"
    assert entry.tags == (
        Tag("genre", "Hip-Hop"),
        Tag("genre", "Pop"),
        Tag("mood", "calm"),
        Tag("instrument", "acoustic guitar"),
        Tag("other", "don't"),
    )


def test_of_clips_only_the_subset_counts_and_no_clip_is_longer_than_30_seconds(tmp_path: Path):
    rows = {
        str(number): {("set", "subset"): subset}
        for number, subset in ((5, "small"), (10, "medium"), (20, "large"))
    }
    entries, dropped = read("fma", write(tmp_path, rows, "fma_medium"))
    assert [entry.native_id for entry in entries] == ["5", "10"]
    assert {entry.duration_seconds for entry in entries} == {30.0}
    assert [(each.reason, each.native_id) for each in dropped] == [("other-subset", "20")]


def test_tracks_that_are_known_to_be_wrong(tmp_path: Path):
    entries, dropped = read("fma", write(tmp_path, {"99134": {}, "1486": {}, "3": {}}, "fma_small"))
    assert [(entry.native_id, entry.duration_seconds) for entry in entries] == [
        ("1486", None),
        ("3", 30.0),
    ]
    assert [(each.reason, each.native_id, each.is_notice) for each in dropped] == [
        ("known-missing-audio", "99134", False),
        ("known-wrong-duration", "1486", True),
    ]


def test_rows_that_are_none_are_counted_with_their_lines(tmp_path: Path):
    folder = write(tmp_path, {"2": {}, "x": {}, "3": {("track", "tags"): "[oops"}}, "fma_small")
    table = folder / "fma_metadata" / "tracks.csv"
    table.write_text(table.read_text("utf-8-sig") + "7,too,short\n" + "2" + "," * 15 + "\n")
    entries, dropped = read("fma", folder)
    assert [entry.native_id for entry in entries] == ["2", "3"]
    # A bio of two lines makes each row one of two.
    assert [(each.reason, each.where.rpartition(":")[2]) for each in dropped] == [
        ("malformed-row", "6"),
        ("unreadable-tags", "8"),
        ("malformed-row", "10"),
        ("repeated-id", "11"),
    ]


def test_a_table_that_is_not_fmas(tmp_path: Path):
    (tmp_path / "tracks.csv").write_text("track_id,title\n1,a\n2,b\n3,c\n")
    with pytest.raises(CorpusError, match=r"not FMA's tracks\.csv"):
        read("fma", tmp_path)


def test_without_audio_there_are_entries_and_a_notice(tmp_path: Path):
    entries, dropped = read("fma", write(tmp_path, {"2": {("set", "subset"): "large"}}))
    assert [entry.audio for entry in entries] == ["fma_full/000/000002.mp3"]
    assert reasons(dropped) == {"no-audio-folder": 1}


def test_rows_of_raw_tracks(tmp_path: Path):
    # Rows of FMA's metadata (Defferrard et al., CC BY 4.0), with the columns that are read.
    (tmp_path / "raw_tracks.csv").write_text(
        "track_id,album_id,album_title,artist_id,artist_name,license_title,license_url,tags,"
        "track_duration,track_genres,track_instrumental,track_title\n"
        "89433,14927.0,Beat Scene Routine,14552,deef,"
        "Attribution-NonCommercial-ShareAlike 3.0 International,"
        "http://creativecommons.org/licenses/by-nc-sa/3.0/,\"['idm', 'bass']\",05:30,"
        '"{1, 76, 236}",1,nostalgia of an ex-gangsta-rapper\n'
        "20296,4570.0,Sikhara Live on KBOO's Sounds Unsound,1464,Sikhara,"
        "Attribution-Noncommercial-Share Alike 3.0 United States,"
        "http://creativecommons.org/licenses/by-nc-sa/3.0/us/,[],04:27,"
        "\"[{'genre_id': '38', 'genre_title': 'Experimental', 'genre_url': 'x'}]\",0,Part 3\n"
    )
    (tmp_path / "genres.csv").write_text("genre_id,title\n1,Avant-Garde\n236,IDM\n")
    (first, second), _ = read("fma", tmp_path)
    assert first.tags == (
        Tag("genre", "Avant-Garde"),
        Tag("genre", "IDM"),
        Tag("instrument", "bass"),
        Tag("voice", "instrumental"),
    )
    assert (first.duration_seconds, first.album_id) == (330.0, "fma:14927")
    assert second.tags == (Tag("genre", "Experimental"),)
    assert [spdx(each.licence) for each in (first, second)] == ["CC-BY-NC-SA-3.0"] * 2
