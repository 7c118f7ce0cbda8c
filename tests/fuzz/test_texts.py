"""Damaged files of lyrics and of metadata."""

import random
from pathlib import Path

import numpy as np
import soundfile

from tasks.corpora.metadata import MetadataError, load_metadata
from tests.fuzz.carried import carried_out
from tests.fuzz.conftest import Count
from tests.fuzz.mutations import mutated

LYRICS, TABLES = 500, 500

LRC = """[ti:Winter road]
[offset:+500]
[00:01.00][00:04.00]Take me home tonight
[00:02.50]<00:02.50>oh <00:02.90>yeah
[00:05.00]Ça va, señor? Être là
"""
ULTRASTAR = """#TITLE:Winter road
#ARTIST:Ana
#BPM:240,5
#GAP:1000
: 0 2 0 Win
: 2 2 0 ter
* 8 4 2  road
- 14
F 16 4 0 yeah
E
"""
TEXTS = (
    LRC,
    "Take me home\n\nTonight we ride the winter road\n[Chorus]\nHome, home, home\n",
    ULTRASTAR,
    '{"t":0,"c":[{"tx":"作词: "},{"tx":"Ana"}]}\n[00:01.00]我们回家\n[00:02.00]今晚\n',
    "1\n00:00:01,000 --> 00:00:02,000\nTake me home\n\n2\n00:00:02,500 --> 00:00:03,000\nyeah\n",
)
TABLE = 'path,artist,title,genre,year\na.mp3,Ana,"Winter, road",rock|folk,1999\nb.mp3,Can,,,\n'
TABLES_OF_TRACKS = (
    TABLE,
    TABLE.replace(",", "\t"),
    TABLE.replace(",", ";"),
    "track_id,title\n1,Take me\n2,Home\n",
)
MAPPING = '{"a.mp3": {"artist": "Ana", "genres": ["rock"]}, "b": {"title": null, "year": 1}}'
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


def encoded(texts: tuple[str, ...]) -> list[bytes]:
    return [text.encode(encoding, "replace") for text in texts for encoding in ENCODINGS]


def test_lyrics_end_nothing_but_themselves(tmp_path: Path, count: Count):
    folder = tmp_path / "songs"
    folder.mkdir()
    rng = random.Random(12)
    for number in range(count(LYRICS)):
        wave = np.random.default_rng(number).uniform(-0.1, 0.1, 800)
        soundfile.write(folder / f"{number}.wav", wave, 8000)
        suffix = rng.choice((".lrc", ".txt"))
        (folder / f"{number}{suffix}").write_bytes(mutated(encoded(TEXTS), rng))
    carried = carried_out(folder, tmp_path, "probe", "lyrics", "phonemes")
    assert len(carried.songs) == count(LYRICS)
    assert len(carried.whole) > len(carried.songs) / 4


def test_tables_give_values_or_one_sentence(tmp_path: Path, count: Count):
    rng = random.Random(13)
    values = 0
    refused = []
    for number in range(count(TABLES)):
        is_table = rng.random() < 0.7
        path = tmp_path / f"{number}.{'csv' if is_table else 'json'}"
        texts = TABLES_OF_TRACKS if is_table else (MAPPING,)
        path.write_bytes(mutated(encoded(texts), rng))
        try:
            found = load_metadata(path) if is_table else load_metadata(mapping_json=path)
        except MetadataError as error:
            refused.append((path, str(error)))
        else:
            values += len(found)
            assert all(isinstance(value, str) for value in found.match("a.mp3").values())
    print(f"{count(TABLES)} tables: {values} rows, {len(refused)} refused")
    assert values
    assert refused
    for path, message in refused:
        assert str(path) in message
        assert "\n" not in message
