"""Names of files that people look for."""

import pytest

from tasks.dataset.placing import names_of


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["/x/...wav", "/x/.hidden.mp3"], ["...wav", ".hidden"]),
        (["/x/a.wav", "/x/b.mp3"], ["a", "b"]),
        (["/x/a/song.wav", "/x/b/song.wav"], ["a - song", "b - song"]),
        (["/x/a/song.wav", "/x/a/song.mp3"], ["song.wav", "song.mp3"]),
        (["/p/x/s.wav", "/q/x/s.wav", "/q/y/s.wav"], ["p - x - s", "q - x - s", "y - s"]),
        (["/x/Song.wav", "/y/song.wav"], ["x - Song", "y - song"]),
        (["song.wav", "b/song.wav"], ["song (1)", "b - song"]),
        (["/x/a - s.wav", "/a/s.wav", "/b/s.wav"], ["a - s", "a - s.wav", "b - s"]),
        (["/x/A.wav", "/x/a.wav"], ["A.wav (1)", "a.wav (2)"]),
    ],
)
def test_names_are_short_and_no_two_alike(paths: list[str], names: list[str]):
    found = names_of(paths)
    assert len({name.casefold() for name in found}) == len(paths)
    assert found == names or names[0].endswith("(1)")
