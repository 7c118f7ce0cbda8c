import csv
import io
import json
import tempfile
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpora.metadata import MetadataError, MetadataTable, load_metadata

FMA_TOP = ["", "album", "album", "artist", "set", "track", "track", "track", "track", "track"]
FMA_SUB = ["", "id", "title", "name", "subset", "genre_top", "genres", "license", "tags", "title"]


def write_csv(path: Path, rows: list[list[object]], **options: str) -> Path:
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
        csv.writer(file, **options).writerows(rows)
    return path


def fma_tracks(path: Path, *rows: list[object]) -> Path:
    index_name: list[object] = ["track_id", *[""] * (len(FMA_TOP) - 1)]
    return write_csv(path, [list(FMA_TOP), list(FMA_SUB), index_name, *rows])


@pytest.fixture
def genres_csv(tmp_path: Path) -> Path:
    return write_csv(
        tmp_path / "genres.csv",
        [
            ["genre_id", "#tracks", "parent", "title", "top_level"],
            [12, 32923, 0, "Rock", 12],
            [66, 5432, 12, "Indie-Rock", 12],
            [236, 3472, 15, "IDM", 15],
        ],
    )


def test_reads_fma_tracks_with_two_header_rows(tmp_path: Path, genres_csv: Path) -> None:
    path = fma_tracks(
        tmp_path / "tracks.csv",
        [10, 1, "Constant\nHitmaker", "Vile", "small", "Pop", "[12]", "by-nc", "[]", "Freeway"],
        [11, 2, "B", "Other", "small", "", "[66, 12]", "by", "['lo-fi', 'home']", "Two"],
    )
    table = load_metadata(path, genres_csv)
    assert table.match("000/000010.mp3") == {
        "artist": "Vile",
        "title": "Freeway",
        "album": "Constant\nHitmaker",
        "genre": "Pop",
        "genres": "Pop, Rock",
        "license": "by-nc",
        "album_id": "1",
    }
    # Without genre_top the first of `genres` is the main one.
    second = table.match("000011.mp3")
    assert (second["genre"], second["genres"]) == ("Indie-Rock", "Indie-Rock, Rock")
    assert second["tags"] == "lo-fi, home"
    assert table.match("000012.mp3") == {}


def test_reads_flat_fma_table_and_its_three_ways_of_writing_genres(
    tmp_path: Path, genres_csv: Path
) -> None:
    header = ["track_id", "artist_name", "album_id", "track_file", "track_genres", "track_title"]
    objects = "[{'genre_id': '66', 'genre_title': 'Indie', 'genre_url': 'http://x'}]"
    path = write_csv(
        tmp_path / "raw.csv",
        [
            [*header, "genre"],
            [7, "A", "3.0", "music/a/song.mp3", "{236, 66}", "One", 12],
            [8, "B", "4.0", "music/b/song.mp3", objects, "[untitled]", ""],
        ],
    )
    table = load_metadata(path, genres_csv)
    first = table.match("000007.mp3")
    assert first["genre"] == "Rock"
    assert first["genres"] == "Rock, Indie-Rock, IDM"
    assert first["album_id"] == "3"
    assert table.match("music/b/song.mp3")["genre"] == "Indie"
    assert table.match("8.mp3")["title"] == "[untitled]"
    # Numbers without a table of names are no genre.
    assert "genre" not in load_metadata(path).match("7.mp3")


def test_reads_jamendo_rows_with_any_number_of_tags(tmp_path: Path) -> None:
    path = tmp_path / "moodtheme.tsv"
    path.write_bytes(
        b"TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\r\n"
        b"track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tmood/theme---film\r\n"
        b"track_0003346\tartist_000517\talbum_000521\t46/3346.mp3\t195.0\t"
        b"genre---rock\tgenre---pop\tinstrument---piano\tmood/theme---calm\r\n"
    )
    table = load_metadata(path)
    assert table.match("48/948.mp3")["mood"] == "film"
    expected = {
        "artist_id": "artist_000517",
        "album_id": "album_000521",
        "genre": "rock",
        "genres": "rock, pop",
        "mood": "calm",
        "instruments": "piano",
        "tags": "rock, pop, piano, calm",
    }
    assert table.match("46/3346.mp3") == expected
    # The corpus' low-rate copies, and an id of its own style.
    assert table.match("anywhere/3346.low.mp3") == expected
    assert table.match("track_0003346.mp3") == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_reads_plain_tables(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = write_csv(
        tmp_path / "songs.csv",
        [["File Name", "Artist", "Title", "Genre"], ["été.mp3", "Björk", "Ça, là", "Pop"]],
        delimiter=delimiter,
        encoding=encoding,
    )
    expected = {"artist": "Björk", "title": "Ça, là", "genre": "Pop", "genres": "Pop"}
    table = load_metadata(path)
    assert table.match("any/été.flac") == expected
    # macOS hands out file names with the accents split off.
    assert table.match(unicodedata.normalize("NFD", "été.mp3")) == expected


def test_matches_by_path_then_name_then_stem_then_id(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "t.csv",
        [
            ["path", "title"],
            ["music/a/01.mp3", "a1"],
            ["music/b/01.mp3", "b1"],
            ["./c/02.wav", "c2"],
            ["d\\Mr. X.wav", "x"],
            ["50", "fifty"],
            ["e/take.v2", "v2"],
        ],
    )
    table = load_metadata(path)
    titles = {
        "music/a/01.mp3": "a1",
        "b/01.mp3": "b1",
        "root/music/b/01.mp3": "b1",
        "c/02.mp3": "c2",
        "elsewhere/02.wav": "c2",
        "Mr. X.mp3": "x",
        "000050.mp3": "fifty",
        "e/take.v2.mp3": "v2",
    }
    assert {name: table.match(name).get("title") for name in titles} == titles
    # Two rows share this file name: neither is a guess worth making.
    assert table.match("other/01.mp3") == {}


def test_rows_that_say_the_same_are_no_conflict(tmp_path: Path) -> None:
    # Tables of captions repeat a track, one row per caption.
    path = write_csv(
        tmp_path / "captions.csv",
        [["caption_id", "track_id", "artist", "caption"], [1, 10, "A", "x"], [2, 10, "A", "y"]],
    )
    assert load_metadata(path).match("00/10.2min.mp3") == {"artist": "A"}


def test_mapping_goes_over_the_table(tmp_path: Path, genres_csv: Path) -> None:
    tracks = write_csv(
        tmp_path / "t.csv", [["track_id", "artist", "title"], [10, "Old", "Kept"], [11, "B", "C"]]
    )
    mapping = tmp_path / "m.json"
    mapping.write_text(
        json.dumps(
            {
                "000/000010.mp3": {"artist": "New", "genre": 66, "title": None},
                "000011": {"Genre": ["Folk", "Blues"]},
                "only/this/x.mp3": {"artist": "X"},
            }
        ),
        encoding="utf-8-sig",
    )
    table = load_metadata(tracks, genres_csv, mapping)
    assert table.match("000/000010.mp3") == {
        "artist": "New",
        "title": "Kept",
        "genre": "Indie-Rock",
        "genres": "Indie-Rock",
    }
    # The folder in the key is part of it.
    assert table.match("111/000010.mp3")["artist"] == "Old"
    assert table.match("000011.wav")["genre"] == "Folk, Blues"
    assert table.match("other/x.mp3") == {}
    assert table.match("root/only/this/x.mp3") == {"artist": "X"}


def test_no_files_match_nothing() -> None:
    assert load_metadata().match("a.mp3") == {}


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "empty"),
        (b"artist,title\nA,B\n", "names a file"),
        (b"path,title\n", "no rows"),
        (b"path,title\na.mp3,One,extra\n", "line 2 has 3 cells where the header has 2"),
        (b"path,title\na.mp3,One,1\nb.mp3,Two,2\n", "line 2 has 3 cells"),
        (b"ID3\x04\x00\x00\x00\x01binary", "not a text file"),
    ],
)
def test_malformed_tables_name_file_cause_and_remedy(
    tmp_path: Path, content: bytes, cause: str
) -> None:
    path = tmp_path / "songs.csv"
    path.write_bytes(content)
    with pytest.raises(MetadataError) as error:
        load_metadata(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert cause in message
    assert "\n" not in message
    assert "; " in message  # the remedy


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ('{"a.mp3": {"artist": "A",}}', "line 1, column 26"),
        ('{\n "a.mp3" {}}', "line 2, column 10"),
        ("[1, 2]", "one JSON object"),
        ('{"a.mp3": "A"}', "'a.mp3' is not a JSON object"),
        ('{"a.mp3": {"artist": {"name": "A"}}}', "'artist' of 'a.mp3'"),
        ('{"a.mp3": {"artits": "A"}}', "none of the fields of 'a.mp3'"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_malformed_mappings_name_the_place(tmp_path: Path, content: str, cause: str) -> None:
    path = tmp_path / "mapping.json"
    path.write_text(content)
    with pytest.raises(MetadataError) as error:
        load_metadata(mapping_json=path)
    assert str(error.value).startswith(str(path))
    assert cause in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["nan", "NaN", "NULL", "null", "None", "N/A", "n/a", "NA", "<NA>", "#N/A", "-", "\\N", " "],
)
def test_what_programs_write_for_nothing_is_nothing(tmp_path: Path, text: str) -> None:
    path = write_csv(
        tmp_path / "t.csv",
        [["filename", "title", "artist", "artist_name", "genre", "genres", "tags"],
         ["a.mp3", text, text, "Ann", text, repr([text, "rock"]), text]],
    )  # fmt: skip
    mapping = tmp_path / "m.json"
    mapping.write_text(json.dumps({"b.mp3": {"artist": "Bob", "genre": text, "album": text}}))
    table = load_metadata(path, mapping_json=mapping)
    assert table.match("a.mp3") == {"artist": "Ann", "genre": "rock", "genres": "rock"}
    assert table.match("b.mp3") == {"artist": "Bob"}


def test_words_that_people_write_are_names_but_no_genres(tmp_path: Path) -> None:
    header = ["filename", "title", "artist", "genre"]
    path = write_csv(tmp_path / "t.csv", [header, ["a.mp3", "Null", "NONE", "none"]])
    assert load_metadata(path).match("a.mp3") == {"artist": "NONE", "title": "Null"}


def test_not_a_number_in_json_is_nothing(tmp_path: Path) -> None:
    mapping = tmp_path / "m.json"
    mapping.write_text('{"a.mp3": {"artist": "A", "genre": NaN, "tags": [null, "x"]}}')
    assert load_metadata(mapping_json=mapping).match("a.mp3") == {"artist": "A", "tags": "x"}


def titles(path: Path, *names: str) -> list[str]:
    table = load_metadata(path)
    return [table.match(name).get("title", "") for name in names]


def test_quotation_marks_in_titles_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(
        'TRACK_ID\tTRACK_NAME\tARTIST_NAME\n1\t"Untitled" (live)\tOne\n2\t12" mix\tTwo\n'
        '3\t"Heroes\tThree\n4\t"Low"\tFour\n'
    )
    assert titles(path, "1.mp3", "2.mp3", "3.mp3", "4.mp3") == [
        '"Untitled" (live)', '12" mix', '"Heroes', '"Low"',
    ]  # fmt: skip
    [notice] = load_metadata(path).notices
    assert "quotation marks" in notice
    path = tmp_path / "t.csv"
    path.write_text(
        'path,title,artist\n1.mp3,"Untitled" (live),"A, B"\n2.mp3,"Heroes,C\n3.mp3,x,D\n'
    )
    assert titles(path, "1.mp3", "2.mp3", "3.mp3") == ['"Untitled" (live)', '"Heroes', "x"]
    assert load_metadata(path).match("1.mp3")["artist"] == "A, B"


def test_a_lone_quotation_mark_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('path\ttitle\n1.mp3\t"Heroes\n2.mp3\tLow"\n3.mp3\tLodger\n')
    assert titles(path, "1.mp3", "2.mp3", "3.mp3") == ['"Heroes', 'Low"', "Lodger"]


def test_quotes_that_match_are_quotes_in_a_tsv_too(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('path\ttitle\n1.mp3\t"Say ""Hi"""\n2.mp3\t"Low"\n')
    assert titles(path, "1.mp3", "2.mp3") == ['Say "Hi"', "Low"]
    assert load_metadata(path).notices == ()


@pytest.mark.parametrize(
    ("encoding", "title"),
    [("cp1252", "Ça “va” Œuvre"), ("utf-16", "Été №5 夜"), ("utf-16-le", "Été"),
     ("utf-16-be", "Été"), ("cp1251", "Подмосковные вечера и другие песни"), ("utf-8-sig", "夜")],
)  # fmt: skip
@pytest.mark.parametrize("separator", [";", "\t"])
def test_code_pages_of_spreadsheets(
    tmp_path: Path, encoding: str, title: str, separator: str
) -> None:
    path = tmp_path / "t.txt"
    rows = [["Artist, all", "File Name", "Title"], ["Ann, Bob", "a.mp3", title]]
    path.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    assert titles(path, "a.mp3") == [title]
    assert len(load_metadata(path).notices) == (encoding in ("cp1252", "cp1251"))


def test_one_wrong_byte_does_not_change_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "sep=;\r\npath;title\r\n1.mp3;Canción número única\r\n2.mp3;m"
    path.write_bytes(rows.encode() + b"\xe1s\r\n")
    assert titles(path, "1.mp3", "2.mp3") == ["Canción número única", "m\ufffds"]
    assert "1 bytes are wrong" in load_metadata(path).notices[0]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "t.csv",
        [["path", "artist", "title", "Artist"], ["a.mp3", "", "One", "Ann"], ["b.mp3", "Bob"],
         ["c.mp3", "C", "x", "y", "surplus"], ["a.mp3", "Other", "One", ""], ["", "", "lost", ""],
         ["d.mp3", "Dan", "Four", "", "", ""]],
    )  # fmt: skip
    table = load_metadata(path)
    assert table.match("a.mp3") == {"artist": "Ann", "title": "One"}
    assert table.match("b.mp3") == {"artist": "Bob"}
    assert table.match("c.mp3") == {}
    assert table.match("d.mp3") == {"artist": "Dan", "title": "Four"}
    said = "\n".join(table.notices)
    for part in ("called artist", "1 rows are left out", "line 4", "1 rows have fewer", "line 3",
                 "1 files have several rows", "a.mp3", "1 of its rows name no file"):  # fmt: skip
        assert part in said


def test_half_a_character_never_leaves_a_mapping(tmp_path: Path) -> None:
    mapping = tmp_path / "m.json"
    half = '{"artist": "\\ud83d x", "genre": "[\'\\\\ud83d\']"}'
    mapping.write_text(f'{{"a.mp3": {half}, "a.mp3": {{"title": "T"}}}}')
    table = load_metadata(mapping_json=mapping)
    assert table.match("a.mp3") == {"title": "T"}
    assert "'a.mp3' stands there several times" in table.notices[0]
    mapping.write_text(f'{{"a.mp3": {half}}}')
    " ".join(load_metadata(mapping_json=mapping).match("a.mp3").values()).encode()


PIECES = [
    b"path", b"title", b"genre", b"tags", b"track_id", b"artist", b"a.mp3", b"nan", b'"', b'""',
    b",", b"\t", b";", b"|", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\x81",
    "é".encode(), b"[1, 2]", b"{[1]: 2}", b"['\\ud83d']", b"sep=;", b"12", b"/" * 5000, b"{", b"}",
    b":", b'"a": {', b"9" * 5000, b"\\", b"mood/theme---calm",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
        st.lists(st.sampled_from(PIECES), max_size=30).map(
            lambda pieces: b"path,title,genre\n" + b"".join(pieces)
        ),
    )
)
def test_any_bytes_give_a_table_or_one_sentence(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table")
        path.write_bytes(content)
        for given_as in ("tracks_csv", "genres_csv", "mapping_json"):
            table, message = MetadataTable(), None
            try:
                table = load_metadata(**{given_as: path})
            except MetadataError as error:
                message = str(error)
            if message is not None:
                assert message.startswith(f"{path}: ")
                assert "\n" not in message
            for value in table.match("a.mp3").values():
                value.encode()
            "".join(table.notices).encode()


def test_missing_files_and_wrong_genre_tables(tmp_path: Path) -> None:
    for arguments in ({"tracks_csv": tmp_path / "no"}, {"genres_csv": tmp_path / "no"}):
        with pytest.raises(MetadataError, match="does not exist"):
            load_metadata(**arguments)
    with pytest.raises(MetadataError, match="Is a directory"):
        load_metadata(mapping_json=tmp_path)
    wrong = write_csv(tmp_path / "g.csv", [["genre_id", "title"], ["rock", "Rock"]])
    with pytest.raises(MetadataError, match="genre_id"):
        load_metadata(genres_csv=wrong)


def test_a_hundred_thousand_rows_load_in_seconds(tmp_path: Path) -> None:
    buffer = io.StringIO()
    buffer.write("path,artist,title,genre\n")
    for number in range(100_000):
        folder = f"{number // 1000:03d}"
        buffer.write(f"{folder}/{number:06d}.mp3,Artist {number % 997},Title,Rock\n")
    path = tmp_path / "many.csv"
    path.write_text(buffer.getvalue())
    start = time.process_time()
    table = load_metadata(path)
    assert time.process_time() - start < 5
    assert table.match("099/099999.mp3")["artist"] == f"Artist {99_999 % 997}"
