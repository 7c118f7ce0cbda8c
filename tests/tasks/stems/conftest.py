import pytest

from tests.tasks.stems.studio import Prepared, prepare, write_song


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two prepared songs, of five stems in stereo and of three in mono."""
    source = tmp_path_factory.mktemp("studio") / "in"
    names = ["gtr L", "gtr R", "bass", "drums", "vox"]
    write_song(source / "Ana" / "Long", names, seed=20, seconds=3.0)
    write_song(
        source / "Bob" / "Short", ["guitar", "keys", "drums"], seed=21, seconds=2.0, channels=1
    )
    return prepare(source, source.parent / "prepared")
