"""What a network learnt from is known beside it, and said where it is scored on that."""

from pathlib import Path

from tasks.separator import learnt
from tasks.separator.store import read
from tasks.separator.training_song import TrainingSong
from tests.tasks.separator.small_store import small_store


def test_songs_that_a_network_knows_are_said(tmp_path: Path):
    store = read(small_store(tmp_path / "store"))
    model = tmp_path / "model"
    model.mkdir()
    learnt.write(model, store)
    songs = [TrainingSong(song.track_id, song.path) for song in store.songs]
    known = {song.track_id for song in store.songs if song.split != "test"}
    others = [TrainingSong("another", "another"), TrainingSong("more", "more")]
    addresses = {"net": str(model), "spleeter": "spleeter", "gone": str(tmp_path / "gone.pt")}
    [sentence] = learnt.said(addresses, [*songs, *others])
    assert sentence.startswith(f"net has learnt from {len(known)} songs of these {len(songs) + 2}:")
    assert learnt.said(addresses, others) == []


def test_what_cannot_be_read_says_nothing(tmp_path: Path):
    song = TrainingSong("a", "a")
    for content in ("junk", "[]", '{"train": ["a"]}'):
        (tmp_path / learnt.FILE).write_text(content)
        assert learnt.said({"net": str(tmp_path)}, [song]) == []
