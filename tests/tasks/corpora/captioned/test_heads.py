"""The first rows of real metadata are read without loss."""

import ast
import csv
from collections import Counter
from pathlib import Path

from tasks.corpora.captioned.entry import Entry
from tasks.corpora.captioned.known import CORPORA
from tasks.corpora.captioned.licences import spdx

HEADS = Path(__file__).with_name("heads")


def read(name: str) -> list[Entry]:
    found = list(CORPORA[name].read(HEADS / name))
    # That the audio is not there is all there is to say.
    assert [each.reason for each in found if not isinstance(each, Entry)] == ["no-audio-folder"]
    return [each for each in found if isinstance(each, Entry)]


def rows(path: str) -> list[dict[str, str]]:
    with open(HEADS / path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_fma_as_its_site_gave_it():
    entries, raw = read("fma"), rows("fma/raw_tracks.csv")
    assert [entry.native_id for entry in entries] == [row["track_id"] for row in raw]
    assert len(entries) == 78
    assert [entry.title for entry in entries] == [row["track_title"].strip() for row in raw]
    titles = {row["genre_id"]: row["title"] for row in rows("fma/genres.csv")}
    for entry, row in zip(entries, raw, strict=True):
        said = {tag.value for tag in entry.tags}
        genres = ast.literal_eval(row["track_genres"] or "[]")
        assert {titles[str(genre)] for genre in genres} <= said
    assert Counter(spdx(entry.licence) for entry in entries) == {
        **{"CC-BY-NC-SA-3.0": 27, "CC-BY-4.0": 17, "CC-BY-3.0": 14, "CC-BY-NC-4.0": 4},
        **{"CC-BY-NC-ND-3.0": 3, "CC-BY-2.0": 3, "CC-BY-NC-ND-4.0": 2, "CC-BY-ND-3.0": 2},
        **{"CC-BY-NC-3.0": 2, "CC-BY-SA-3.0": 2, "CC-PDM-1.0": 2},
    }


def test_musiccaps():
    entries, raw = read("musiccaps"), rows("musiccaps/musiccaps-public.csv")
    assert [entry.captions for entry in entries] == [
        (" ".join(row["caption"].split()),) for row in raw
    ]
    assert len(entries) == 59
    evaluated = [row["is_audioset_eval"] == "True" for row in raw]
    assert [entry.evaluation_only for entry in entries] == evaluated
    assert sum(evaluated) == 32
    aspects = [set(ast.literal_eval(row["aspect_list"])) for row in raw]
    assert sum(map(len, aspects)) == 551
    # Sixteen say of a voice what another aspect of the row has said.
    assert sum(len(entry.tags) for entry in entries) == 551 - 16
