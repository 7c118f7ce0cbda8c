"""Damaged audio through probe, separate and features."""

import random
from pathlib import Path

from tests.fuzz.audio_samples import samples
from tests.fuzz.carried import carried_out
from tests.fuzz.conftest import Count
from tests.fuzz.mutations import mutated

FILES = 2000


def test_no_damage_ends_anything_but_its_own_file(tmp_path: Path, count: Count):
    folder = tmp_path / "songs"
    folder.mkdir()
    valid = samples()
    rng = random.Random(10)
    for number in range(count(FILES)):
        (folder / f"{number:05}.mp3").write_bytes(mutated(valid, rng))
    carried = carried_out(folder, tmp_path, "probe", "separate", "features")
    found = [*carried.songs, *carried.duplicates, *carried.failures]
    assert sorted(found) == sorted(path.name for path in folder.iterdir())
    assert len(carried.whole) > len(found) / 10, "damage that leaves nothing to read tests little"
