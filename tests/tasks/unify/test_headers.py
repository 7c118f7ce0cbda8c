import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from tasks import audio
from tasks.unify import headers

RATE_HZ = 22_050


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(
        (1, round(seconds * RATE_HZ)), np.float32
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "a.mp3").write_bytes(audio.mp3(noise(3.0), RATE_HZ))
    for name in ("b.wav", "c.flac", "d.ogg"):
        soundfile.write(tmp_path / name, noise(2.0).T, RATE_HZ)
    (tmp_path / "e.mp3").write_bytes(b"")
    (tmp_path / "f.mp3").write_text("<html>Not found</html>" * 100)
    # What a player shows, but with another name: the content counts.
    (tmp_path / "g.wav").write_bytes((tmp_path / "c.flac").read_bytes())
    return {path.name: str(path) for path in sorted(tmp_path.iterdir())}


def test_lengths_and_reasons(files: dict[str, str], tmp_path: Path):
    paths = [*files.values(), str(tmp_path / "h.mp3"), str(tmp_path / "b.wav" / "x.mp3")]
    found = list(headers.read(paths, None))
    assert [each.seconds for each in found] == [
        *(pytest.approx(3.0, abs=1e-3), pytest.approx(2.0), pytest.approx(2.0)),
        *(pytest.approx(2.0, abs=1e-3), None, None, pytest.approx(2.0), None, None),
    ]
    assert [each.reason for each in found if each.reason] == [
        *("empty", "not-audio", "missing", "missing"),
    ]
    assert "not-audio" not in str(found[5].message)


def test_an_mp3_that_does_not_state_its_length_is_gone_through(tmp_path: Path):
    whole = audio.mp3(noise(3.0), RATE_HZ)
    at = whole.index(b"Info") if b"Info" in whole else whole.index(b"Xing")
    (tmp_path / "a.mp3").write_bytes(whole[:at] + b"\0\0\0\0" + whole[at + 4 :])
    (found,) = headers.read([str(tmp_path / "a.mp3")], None)
    # Delay and padding of the encoder are part of it then.
    assert found.seconds == pytest.approx(3.0, abs=0.15)


def test_headers_are_remembered_by_content(files: dict[str, str], tmp_path: Path, monkeypatch):
    memory = Storage(str(tmp_path / "memory"))
    before = list(headers.read(list(files.values()), memory))
    moved = tmp_path / "moved"
    moved.mkdir()
    for name, path in files.items():
        os.rename(path, moved / name)

    def opened(*args: object) -> headers.Header:
        raise AssertionError("a file was opened again")

    monkeypatch.setattr(headers, "_opened", opened)
    assert list(headers.read([str(moved / name) for name in files], memory)) == before


def test_a_file_that_differs_in_its_middle_alone_is_another(tmp_path: Path):
    """Recordings of one length that begin and end in silence are not taken for each other."""
    for name, seconds in (("a.wav", 20.0), ("b.wav", 20.0)):
        signal = noise(seconds, seed=ord(name[0]))[0]
        signal[: 5 * RATE_HZ] = signal[-5 * RATE_HZ :] = 0
        soundfile.write(tmp_path / name, signal, RATE_HZ)
    memory = Storage(str(tmp_path / "memory"))
    list(headers.read([str(tmp_path / "a.wav"), str(tmp_path / "b.wav")], memory))
    with memory.reading(headers.HEADERS) as path:
        import pyarrow.parquet as pq

        assert pq.read_metadata(path).num_rows == 2


def test_a_damaged_memory_is_none(files: dict[str, str], tmp_path: Path):
    memory = Storage(str(tmp_path / "memory"))
    memory.write_bytes(headers.HEADERS, b"PAR1 no table")
    assert next(headers.read([files["b.wav"]], memory)).seconds == pytest.approx(2.0)
