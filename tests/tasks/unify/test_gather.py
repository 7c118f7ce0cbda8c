from pathlib import Path

import pytest
import soundfile

from tasks.corpora.captioned.entry import Dropped, Tag
from tasks.unify.gather import Gathered, Wanted, gather
from tests.tasks.unify.corpora import corpus, entry
from tests.tasks.unify.test_headers import RATE_HZ, noise

NOTHING = (Tag("other", "xyz"),)


def gathered(wanted: Wanted, folder: Path | None = None, **corpora) -> Gathered:
    found = [
        (corpus(name, rows), (folder or Path("/corpora")) / name) for name, rows in corpora.items()
    ]
    return gather(found, wanted, None)


def kept(found: Gathered) -> list[str]:
    return found.table["id"].to_pylist()


def reasons(found: Gathered) -> dict[str, str]:
    """Reason by id of what was left out."""
    rows = found.removals.table().to_pylist()
    return {str(row["id"]): row["reason"] for row in rows if not row["in_dataset"]}


UNCHECKED = {"check_audio": False}


def test_every_row_is_kept_or_counted_with_a_reason():
    found = gathered(
        Wanted(min_duration=10, max_duration=100, max_samples=1, **UNCHECKED),
        a=[
            entry("1", duration_seconds=5.0),
            entry("2", duration_seconds=50.0),
            entry("3", duration_seconds=500.0),
            entry("4"),
            entry("5", duration_seconds=60.0, tags=NOTHING),
            entry("6", duration_seconds=60.0),
            Dropped("malformed-row", "a.csv:7", "Line 7 has 3 cells, not 5.", "7"),
            Dropped("wrong-duration", "a.csv:2", "Its stated duration is wrong.", "2", True),
        ],
    )
    assert reasons(found) | dict.fromkeys(kept(found), "kept") == {
        "a_1": "too-short",
        "a_2": "not-sampled" if kept(found) == ["a_6"] else "kept",
        "a_3": "too-long",
        "a_4": "unknown-duration",
        "a_5": "no-caption",
        "a_6": "not-sampled" if kept(found) == ["a_2"] else "kept",
        "a_7": "malformed-row",
    }
    assert found.found == {"a": 6}
    remarks = [row for row in found.removals.table().to_pylist() if row["in_dataset"]]
    assert [(row["id"], row["reason"]) for row in remarks] == [("a_2", "wrong-duration")]


def test_a_sample_is_as_asked_though_rows_have_no_captions():
    rows = [entry(str(at), tags=NOTHING if at % 2 else entry("").tags) for at in range(100)]
    found = gathered(Wanted(max_samples=40, **UNCHECKED), a=rows)
    assert len(kept(found)) == 40


def test_licences_that_were_not_asked_for_are_left_out():
    rows = [
        entry("1", licence="http://creativecommons.org/licenses/by/4.0/"),
        entry("2", licence="http://creativecommons.org/licenses/by-nc/4.0/"),
        entry("3", licence="all mine"),
        entry("4"),
    ]
    wanted = Wanted(is_licence_wanted=lambda name: name == "CC-BY-4.0", **UNCHECKED)
    found = gathered(wanted, a=rows)
    assert kept(found) == ["a_1"]
    assert set(reasons(found).values()) == {"licence"}
    said = {row["id"]: row["message"] for row in found.removals.table().to_pylist()}
    assert said["a_3"] == "Its licence (all mine) is not one that was asked for."
    assert said["a_4"] == "Its licence (not stated) is not one that was asked for."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    for name, seconds in (("1", 3.0), ("2", 6.0)):
        soundfile.write(tmp_path / "a" / f"{name}.wav", noise(seconds).T, RATE_HZ)
    (tmp_path / "a" / "3.wav").write_text("not audio at all" * 100)
    return tmp_path


def test_durations_are_those_of_the_headers(folder: Path):
    rows = [
        entry("1", duration_seconds=999.0),
        entry("2"),
        entry("2-part", audio="2.wav", start_seconds=1.0, end_seconds=3.0),
        entry("2-end", audio="2.wav", start_seconds=4.0, end_seconds=14.0),
        entry("2-beyond", audio="2.wav", start_seconds=10.0, end_seconds=20.0),
        entry("3", duration_seconds=3.0),
        entry("4", duration_seconds=3.0),
    ]
    found = gathered(Wanted(), folder, a=rows)
    lengths = dict(zip(kept(found), found.table["duration"].to_pylist(), strict=True))
    assert lengths == {
        "a_1": pytest.approx(3.0),
        "a_2": pytest.approx(6.0),
        "a_2-part": pytest.approx(2.0),
        "a_2-end": pytest.approx(2.0),
    }
    assert reasons(found) == {"a_2-beyond": "beyond-end", "a_3": "not-audio", "a_4": "missing"}
    said = {row["id"]: row["message"] for row in found.removals.table().to_pylist()}
    assert said["a_4"] == f"{folder}/a/4.wav is not there."


def test_of_voices_that_exclude_each_other_none_is_said():
    tags = (*entry("").tags, Tag("voice", "instrumental"), Tag("voice", "female"))
    found = gathered(Wanted(**UNCHECKED), a=[entry("1", tags=tags)])
    assert found.table["voice"].to_pylist() == [None]
    assert found.table["tags"].to_pylist() == [["Rock", "calm", "guitar", "instrumental", "female"]]


def test_captions_in_another_language_stay_and_are_remarked():
    german = (
        "Ein ruhiges St\u00fcck mit Klavier und einer leisen Stimme, wie am fr\u00fchen Morgen.",
    )
    english = ("A calm piece with a piano and a soft voice, as in the early morning.",)
    rows = [
        entry("1", captions=german),
        entry("2", captions=english),
        entry("3", captions=german, language="en"),
        entry("4"),
    ]
    found = gathered(Wanted(**UNCHECKED), a=rows)
    assert found.table["language"].to_pylist() == ["de", "en", "en", None]
    remarks = found.removals.table().to_pylist()
    assert [(each["id"], each["reason"], each["in_dataset"]) for each in remarks] == [
        ("a_1", "other-language", True)
    ]
