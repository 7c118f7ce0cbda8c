import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.storage import Storage
from models.tiny.write import write
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.engine import preflight
from tasks.engine.preflight import Preflight, code_digest
from tasks.track import Track
from tasks.weights import Weights
from tests.conftest import write_tone
from tests.support.s3_server import bucket

__all__ = ["bucket"]


def question(tmp_path: Path, **changes) -> Preflight:
    (tmp_path / "songs").mkdir(exist_ok=True)
    values = {
        "code": code_digest(),
        "readable": [Storage(str(tmp_path / "songs"))],
        "writable": [Storage(str(tmp_path / "out"))],
        "weights": Weights(str(tmp_path / "models")),
        "models": [],
        **changes,
    }
    return Preflight(**values)


def asked(tmp_path: Path, **changes) -> list[str]:
    """What a worker on this very machine lacks."""
    one = question(tmp_path, **changes)
    with one.marking():
        reply = one()
        found = reply.lacks or one.unseen(reply)
        one.clean()
    return found


def test_a_worker_that_has_everything_lacks_nothing(tmp_path: Path):
    write(tmp_path / "models", "ecapa-voxceleb")
    assert asked(tmp_path, models=["ecapa-voxceleb"]) == []
    assert not list((tmp_path / "out").iterdir())


def test_a_bucket_that_is_not_there_is_said(bucket: str, tmp_path: Path):
    assert asked(tmp_path, readable=[Storage(bucket)]) == []
    lacks = asked(tmp_path, readable=[Storage("s3://nowhere/songs")])
    assert lacks == ["no access to s3://nowhere/songs"]


def test_everything_that_is_missing_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    reply = question(
        tmp_path,
        code="another",
        readable=[Storage(str(tmp_path / "elsewhere"))],
        writable=[Storage(str(tmp_path / "file"))],
        models=["htdemucs"],
    )()
    lacks = reply.lacks
    assert lacks == [
        "another version of the project's code",
        f"no access to {tmp_path}/elsewhere",
        f"no right to write to {tmp_path}/file",
        f"models in {tmp_path}/models: htdemucs (it is not there)",
    ]


@pytest.fixture
def two_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Two working directories, in which one relative path is two folders, as on two machines."""
    monkeypatch.setattr(preflight, "SEEN_SECONDS", 0.0)
    for side in ("here", "there"):
        write_tone(tmp_path / side / "songs" / "a.wav")
    return lambda side: monkeypatch.chdir(tmp_path / side)


def test_what_the_flow_writes_has_to_be_seen_by_the_worker(two_sides: Callable[[str], None]):
    two_sides("here")
    one = question(Path(), writable=[Storage("out")])
    with one.marking():
        two_sides("there")
        assert one().lacks == [f"out {preflight.NOT_SHARED}"]
        two_sides("here")
    assert not list(Path("out").iterdir())


def test_what_the_worker_writes_has_to_be_seen_by_the_flow(two_sides: Callable[[str], None]):
    two_sides("here")
    one = question(Path(), writable=[Storage("out")])
    with one.marking():
        two_sides("there")
        # As if the folder were mirrored in one direction.
        Path("out").mkdir()
        for mark in Path("../here/out").iterdir():
            shutil.copy(mark, "out")
        reply = one()
        assert reply.lacks == []
        two_sides("here")
        assert one.unseen(reply) == [f"out {preflight.NOT_SHARED}"]
        two_sides("there")
        one.clean()
        two_sides("here")
    assert len(list(Path("../there/out").iterdir())) == 1, "but for the copy of the test"


def test_a_worker_with_other_songs_is_told_of(two_sides: Callable[[str], None]):
    two_sides("here")
    source = Storage("songs")
    tracks = [Track("1", "a.wav"), Track("2", "gone.wav")]
    one = question(Path(), readable=[source], samples=preflight.samples(source, tracks))
    with one.marking():
        assert one().lacks == []
        write_tone(Path("songs/a.wav"), 220.0)
        [lack] = one().lacks
        one.clean()
    assert lack.startswith("songs holds other files there than here, such as a.wav")


def test_files_of_a_song_of_stems_are_sampled_where_its_path_is_a_folder(tmp_path: Path):
    write_tone(tmp_path / "band" / "song" / "bass.wav")
    stem = PreparedStem("1", "bass", "bass", "band/song/bass.wav", 1.0)
    song = PreparedSong("2", "band/song", stems=(stem,))
    [sample] = preflight.samples(Storage(str(tmp_path)), [song])
    assert sample.path == "band/song/bass.wav"
    assert sample.is_there()
