from collections.abc import Callable
from pathlib import Path

import pytest

from examples.corpora import WRITERS, write_corpus

COUNT = 5


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder of every corpus, of the same five songs of a second."""
    folder = tmp_path_factory.mktemp("corpora")
    for name in WRITERS:
        write_corpus(name, folder / name, COUNT, seconds=1.0, shared=COUNT)
    return folder


@pytest.fixture
def texts_of(corpora: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies the files of a corpus that are no audio, to be changed."""

    def copy(name: str) -> Path:
        target = tmp_path / name
        for path in sorted((corpora / name).rglob("*")):
            if path.is_file() and path.suffix not in {".mp3", ".wav", ".flac", ".mp4"}:
                place = target / path.relative_to(corpora / name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
        return target

    return copy
