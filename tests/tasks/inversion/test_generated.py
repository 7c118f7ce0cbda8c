"""Pieces that are asked for, and the table of those there are."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage, StorageError
from tasks.inversion import generated
from tasks.inversion.piece import Piece, pieces


def row(file: str, **values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(generated.COLUMNS.names), "file": file, "seed": 1, **values}


def test_pieces_have_the_seeds_from_the_first_on():
    found = pieces(["a", "b", "a"], 3, 7)
    assert [(each.prompt, each.seed) for each in found] == [
        *(("a", seed) for seed in (7, 8, 9)),
        *(("b", seed) for seed in (7, 8, 9)),
    ]
    assert len({each.track_id for each in found}) == 6
    # More of them, and others, leave what there was.
    more = pieces(["a", "b", "c"], 5, 6)
    assert all(each in more for each in found)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a song in the style of <8bit>!", "a_song_in_the_style_of_8bit-3-"),
        ("../../etc/passwd", "etc_passwd-3-"),
        ("Żółty śpiew", "Żółty_śpiew-3-"),
        ("???", "piece-3-"),
        ("x" * 500, f"{'x' * 60}-3-"),
    ],
)
def test_files_are_called_by_prompt_and_seed(prompt: str, name: str):
    piece = Piece("id", prompt, prompt=prompt, seed=3)
    found = generated.file_name(piece, "key")
    assert found.startswith(name)
    assert found.endswith(".wav")
    assert len(found) == len(name) + len("01234567.wav")
    assert found != generated.file_name(piece, "of another length")


def test_a_table_keeps_what_earlier_runs_made_and_is_there(tmp_path: Path):
    output = Storage(str(tmp_path))
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    assert generated.write(output, [row("a.wav", prompt="old"), row("gone.wav")]) == 0
    assert generated.write(output, [row("b.wav", prompt='said "so", and', gain_db=-1.5)]) == 1
    assert generated.write(output, [row("a.wav", prompt="new")]) == 1
    rows = pq.read_table(tmp_path / generated.TABLE).to_pylist()
    assert [(each["file"], each["prompt"]) for each in rows] == [
        ("b.wav", 'said "so", and'),
        ("a.wav", "new"),
    ]
    lines = (tmp_path / generated.CSV).read_text().splitlines()
    assert lines[0].startswith('"prompt","seed","file"')
    assert lines[1].startswith('"said ""so"", and",1,"b.wav"')


def test_another_table_in_its_place_is_not_overwritten(tmp_path: Path):
    (tmp_path / generated.TABLE).write_bytes(b"my notes")
    with pytest.raises(StorageError, match="is no table of generated music: move it away"):
        generated.write(Storage(str(tmp_path)), [row("a.wav")])
    assert (tmp_path / generated.TABLE).read_bytes() == b"my notes"


def test_prompts_of_a_file(tmp_path: Path):
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeffcalm piano\n\n  loud <8bit> drums \r\n", encoding="utf-8")
    assert generated.read_prompts(path) == ["calm piano", "loud <8bit> drums"]
    path.write_text("\n")
    with pytest.raises(ValueError, match="holds no prompt"):
        generated.read_prompts(path)
    path.write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="it is not UTF-8"):
        generated.read_prompts(path)
    with pytest.raises(ValueError, match="No such file"):
        generated.read_prompts(tmp_path / "gone")
