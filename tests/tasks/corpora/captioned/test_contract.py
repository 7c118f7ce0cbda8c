"""What every corpus of the table keeps, on songs in its true layout."""

import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.corpora import WRITERS
from examples.corpus_files import LICENCES
from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, TagKind
from tasks.corpora.captioned.known import CORPORA
from tasks.corpora.captioned.licences import spdx
from tasks.corpora.captioned.places import SIGNS
from tests.tasks.corpora.captioned.conftest import COUNT
from tests.tasks.corpora.captioned.reading import read

NAMES = list(CORPORA)
STATES_LICENCES = {"jamendo_max_caps", "fma", "mtg_jamendo", "clotho"}
HAS_CAPTIONS = {"song_describer", "jamendo_max_caps", "clotho", "musicbench", "musiccaps"}
VOICES = {"female", "male", "mixed", "child", "vocal", "instrumental"}


def test_every_corpus_is_tried():
    assert set(NAMES) == set(WRITERS)
    assert all(corpus.name == name for name, corpus in CORPORA.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_typed(name: str, corpora: Path):
    entries, dropped = read(name, corpora / name)
    for entry in entries:
        check(entry)
        assert (corpora / name / entry.audio).is_file()
    for each in dropped:
        check(each)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_dropped_without_a_reason(name: str, corpora: Path):
    entries, dropped = read(name, corpora / name)
    # JamendoMaxCaps has the last track twice.
    rows = COUNT + (name == "jamendo_max_caps")
    assert len(entries) + sum(not each.is_notice for each in dropped) == rows
    assert len(entries) == COUNT


@pytest.mark.parametrize("name", NAMES)
def test_entries_tell_the_truth_of_the_songs(name: str, corpora: Path):
    entries, _ = read(name, corpora / name)
    assert all(entry.captions for entry in entries) or name not in HAS_CAPTIONS
    assert any(entry.captions or entry.tags for entry in entries)
    if name in STATES_LICENCES:
        assert {spdx(entry.licence) for entry in entries} == {
            "CC-BY-3.0",
            "CC-BY-NC-SA-3.0",
            "CC-BY-SA-3.0",
        }
    assert len(LICENCES) == 3


@pytest.mark.parametrize("name", NAMES)
def test_rows_stay_the_same_when_a_corpus_is_moved(name: str, corpora: Path, tmp_path: Path):
    here = read(name, corpora / name)
    ids = [entry.native_id for entry in here[0]]
    assert len(set(ids)) == len(ids)
    assert read(name, corpora / name) == here
    shutil.copytree(corpora / name, tmp_path / "deeper" / "there")
    assert read(name, tmp_path / "deeper" / "there") == here


@pytest.mark.parametrize("name", [name for name in NAMES if name != "folder"])
def test_a_folder_of_another_corpus_is_named(name: str, corpora: Path):
    for other in NAMES:
        if other != name:
            with pytest.raises(CorpusError) as caught:
                read(name, corpora / other)
            assert_one_sentence(str(caught.value))
            if other in SIGNS and other != "musdb18":
                assert f"looks like {other}" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_and_none_are_told(name: str, tmp_path: Path):
    for folder, words in ((tmp_path, "is empty"), (tmp_path / "none", "is no folder")):
        with pytest.raises(CorpusError, match=words) as caught:
            read(name, folder)
        assert_one_sentence(str(caught.value))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"folder", "musdb18"}])
def test_what_is_still_packed_is_told(name: str, tmp_path: Path):
    (tmp_path / "archive.zip.part").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"archive\.zip\.part: unpack"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"folder", "musdb18"}])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(data=st.data())
def test_damage_ends_in_what_is_counted(name: str, texts_of, data: st.DataObject):
    folder = texts_of(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = min(len(content), start + data.draw(st.integers(0, 40)))
    new = data.draw(
        st.sampled_from([b'"', b"\n", b"\t", b",", b"[", b"\0", b"\xff\xfe", b"null", b"1e999"])
        | st.binary(max_size=8)
    )
    path.write_bytes(content[:start] + new + content[end:])
    try:
        rows = list(CORPORA[name].read(folder))
    except CorpusError:
        return
    for row in rows:
        check(row)
    ids = [row.native_id for row in rows if isinstance(row, Entry)]
    assert len(set(ids)) == len(ids)


def check(row: Entry | Dropped) -> None:
    """Assert that the row is what its contract says."""
    if isinstance(row, Dropped):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.reason)
        assert row.where
        assert_one_sentence(row.sentence)
        return
    assert row.native_id
    assert row.audio
    assert not row.audio.startswith(("/", "./"))
    assert "\\" not in row.audio
    for texts in (row.captions, row.shared_ids, row.measured.sections):
        assert isinstance(texts, tuple)
        assert all(isinstance(each, str) and each == each.strip() != "" for each in texts)
    assert len(set(row.captions)) == len(row.captions)
    assert len(set(row.tags)) == len(row.tags)
    for tag in row.tags:
        assert tag.kind in get_args(TagKind)
        assert tag.value == tag.value.strip() != ""
        assert tag.kind != "voice" or tag.value in VOICES
        assert tag.kind != "speed" or tag.value in {"slow", "medium", "fast"}
    for kind in ("voice", "speed"):
        assert sum(tag.kind == kind for tag in row.tags) <= 1
    for number in (row.duration_seconds, row.measured.tempo_bpm):
        assert number is None or 0 < number < 1e6
    assert row.measured.key is None or re.fullmatch(r"[A-G][#b]? (major|minor)", row.measured.key)
    for name in (row.artist, row.title, row.album, row.licence, row.language):
        assert name is None or name == name.strip() != ""
    for shared in (*row.shared_ids, *filter(None, (row.artist_id, row.album_id))):
        assert re.fullmatch(r"(jamendo|youtube|freesound|fma):[\w-]+", shared)
    assert row.split in (None, "train", "validation", "test")


def assert_one_sentence(sentence: str) -> None:
    """Assert that it is a sentence with an end, on one line."""
    assert sentence.endswith(".")
    assert "\n" not in sentence
