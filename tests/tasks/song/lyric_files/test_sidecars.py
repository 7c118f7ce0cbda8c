import pytest

from tasks.song.lyric_files.sidecars import Sidecars, chosen, language_of
from tasks.step import TrackError

ALL = [
    "a/lyrics/song.txt",
    "a/song.en.lrc",
    "a/song.lrc",
    "a/song.mp3.lrc",
    "a/song.srt",
    "a/song.txt",
    "a/song.vtt",
    "lyrics/song.lrc",
]


def test_the_order_of_a_songs_lyrics_files():
    assert Sidecars(["a/Song.mp3", *ALL]).of("a/Song.mp3") == (
        "a/song.lrc",
        "a/song.srt",
        "a/song.vtt",
        "a/song.txt",
        "a/song.mp3.lrc",
        "a/song.en.lrc",
        "a/lyrics/song.txt",
        "lyrics/song.lrc",
    )


@pytest.mark.parametrize(
    "other",
    ["b/song.lrc", "a/song2.lrc", "a/song.old.txt", "a/song.md", "a/b/song.lrc", "song.lrc"],
)
def test_what_is_no_lyrics_of_a_song(other):
    assert Sidecars(["a/song.mp3", other]).of("a/song.mp3") == ()


def test_a_file_that_is_another_songs_own_is_not_lent():
    sidecars = Sidecars(["Dr.mp3", "Dr.no.mp3", "Dr.no.txt"])
    assert sidecars.of("Dr.mp3") == ()
    assert sidecars.of("Dr.no.mp3") == ("Dr.no.txt",)


@pytest.mark.parametrize(
    ("name", "tag"),
    [("x.en.lrc", "en"), ("x.pt-BR.srt", "pt"), ("x.JPN.srt", "ja"), ("x.lrc", None),
     ("x.mix.txt", None), ("en.lrc", None)],
)  # fmt: skip
def test_the_language_in_a_name(name, tag):
    assert language_of(name) == tag


def test_the_digest_of_several_files_is_of_their_names_and_bytes():
    digests = {"a.lrc": "1", "a.txt": "2", "b.txt": "2", "gone.txt": TrackError("missing", "")}
    assert chosen(["a.lrc"], digests) == ("a.lrc", "1", ())
    assert chosen(["gone.txt"], digests) == (None, None, ())
    several = chosen(["a.lrc", "a.txt", "b.txt", "gone.txt"], digests)
    assert several[::2] == ("a.lrc", ("a.txt",)), "b.txt is a copy of a.txt"
    assert chosen(["a.lrc", "a.txt"], digests | {"a.txt": "3"})[1] != several[1]
    assert chosen(["a.lrc", "b.txt"], digests)[1] != several[1]
