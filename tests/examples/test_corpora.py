import filecmp
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from examples.corpora import write_corpus
from examples.pieces import COMMON_ARTIST, make_piece, make_pieces
from examples.voice import RATE_HZ


def test_a_piece_is_a_function_of_its_number():
    one, other = make_piece(3, 0, 1.0), make_piece(3, 4, 1.0)
    np.testing.assert_array_equal(one.mix, other.mix)
    assert one.caption == other.caption
    assert one.mix.shape == (2, RATE_HZ)


def test_what_is_said_of_a_piece_is_heard():
    for piece in make_pieces(40, 6, 2.0):
        assert all(np.abs(stem).max() > 1e-3 for stem in piece.stems.values())
        assert len(piece.instruments) + piece.has_vocals == len(piece.stems)
        for name in piece.instruments:
            assert name in piece.caption
        assert ("a voice" in piece.caption) == piece.has_vocals
        assert piece.key in piece.other_caption
        # The centre of the spectrum lies below that of a bright piece, above that of a dark one.
        power = np.abs(np.fft.rfft(piece.mix[0])) ** 2
        hz = np.fft.rfftfreq(piece.mix.shape[1], 1 / RATE_HZ)
        above = power[hz > 2_000].sum() / power.sum()
        below = power[hz < 300].sum() / power.sum()
        assert above < 0.01 if piece.mood == "dark" else True
        assert below < 0.05 if piece.mood == "bright" else True


def test_corpora_share_recordings_artists_and_ids_as_they_are_told(tmp_path: Path):
    describer = write_corpus("song_describer", tmp_path / "a", 3, seconds=1.0, shared=1)
    jamendo = write_corpus("mtg_jamendo", tmp_path / "b", 3, seconds=1.0, shared=1)
    fma = write_corpus("fma", tmp_path / "c", 3, seconds=1.0, shared=1)
    shared = describer / "audio" / "00" / "1000000.2min.mp3"
    assert filecmp.cmp(shared, jamendo / "audio" / "00" / "1000000.mp3", shallow=False)
    softer = fma / "fma_small" / "000" / "000002.mp3"
    loud, soft = (soundfile.read(path)[0] for path in (shared, softer))
    assert np.corrcoef(loud[:, 0], soft[:, 0])[0, 1] > 0.99
    assert not filecmp.cmp(shared, softer, shallow=False)
    assert len({path.name[:7] for path in describer.rglob("*.mp3")}) == 3
    tables = [jamendo / "data" / "raw.meta.tsv", fma / "fma_metadata" / "tracks.csv"]
    for table in tables:
        assert table.read_text().count(COMMON_ARTIST) > 0
    assert "Alias 0" in tables[1].read_text()
    assert "Piece 0\t" in tables[0].read_text()
    assert len(list(describer.rglob("*.mp3"))) == 3


def test_the_command_writes_a_folder_per_corpus(tmp_path: Path):
    command = [sys.executable, "-m", "examples.corpora", str(tmp_path), "--datasets", "folder"]
    result = subprocess.run(
        [*command, "--count", "1", "--seconds", "1"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{tmp_path / 'folder'}: 1 songs\n"
    assert [path.suffix for path in sorted((tmp_path / "folder").rglob("*.*"))] == [".flac", ".txt"]
