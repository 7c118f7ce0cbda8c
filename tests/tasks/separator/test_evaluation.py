import base64
import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage
from tasks.dataset.failures import failure, read_failures
from tasks.separator import evaluation
from tasks.separator.evaluation import COLUMNS, Scored
from tasks.separator.score import SCORE
from tasks.separator.score_report import WORST
from tasks.separator.training_song import TrainingSong
from tasks.step import Row
from tests.tasks.song.test_report import Page

SOURCES = ("vocals", "other")


def score(source: str, si_sdr_db: float | None, **more: Any) -> Row:
    return dict.fromkeys(field.name for field in SCORE) | {
        "source": source,
        "reference_is_silent": si_sdr_db is None,
        "estimate_is_silent": False,
        "si_sdr_db": si_sdr_db,
        "si_sdr_of_mixture_db": -3.0,
        "bss_sdr_db": si_sdr_db,
        **more,
    }


def excerpt(number: int) -> Row:
    return {
        "worst_start_seconds": 61.0,
        "worst_si_sdr_db": float(number - 20),
        "worst_estimate_path": f"excerpts/{number}-estimate.mp3",
        "worst_reference_path": f"excerpts/{number}-reference.mp3",
    }


def scored(candidate: str, values: list[float | None], **more: Any) -> Scored:
    songs = [
        TrainingSong(f"id-{at}", f"songs/{at}", artist="<b>", title=f"Song {at}", split="test")
        for at in range(len(values))
    ]
    rows = [
        {
            "candidate": candidate,
            "duration_seconds": 1_800.0,
            "scores": [
                score("vocals", value, **(excerpt(at) if candidate == "net-1" else {})),
                score("other", 1.0, **more),
            ],
        }
        for at, value in enumerate(values)
    ]
    made_by = [
        {"step": name, "step_version": 1, "config": {"candidate": candidate}, "models": []}
        for name in ("decode", "score")
    ]
    broken = failure("x", "songs/broken", "decode", "undecodable", "It is.", in_dataset=False)
    flat = evaluation.rows_of(zip(songs, rows, strict=True))
    return Scored(candidate, flat, [broken], made_by, {"decode": 2.0, "score": 5.0})


@pytest.fixture
def written(tmp_path):
    """What an evaluation of a network and the mixture leaves behind."""
    outputs = Storage(str(tmp_path / "outputs"))
    for number in range(12):
        outputs.write_bytes(f"excerpts/{number}-estimate.mp3", b"estimate %d" % number)
        if number != 3:
            outputs.write_bytes(f"excerpts/{number}-reference.mp3", b"reference")
    network = scored("net-1", [float(value) for value in range(12)])
    done = evaluation.write(
        Storage(str(tmp_path)),
        [network, scored("mixture", [-3.0, None])],
        [failure(None, "a.txt", "discover", "archive", "It is one.", in_dataset=False)],
        sources=SOURCES,
        seed=1,
        addresses={"net-1": "runs/<net>"},
        said=["12 songs of <it>."],
        outputs=outputs,
    )
    return tmp_path, done


def test_the_table_has_a_row_per_candidate_song_and_source(written):
    folder, _ = written
    found = pq.read_table(folder / evaluation.SCORES)
    assert found.schema.equals(COLUMNS)
    assert found.num_rows == 28
    row = found.to_pylist()[2]
    assert (row["candidate"], row["title"], row["source"]) == ("net-1", "Song 1", "vocals")
    assert (row["si_sdr_db"], row["si_sdr_improvement_db"]) == (1.0, 4.0)


def test_the_summary_says_what_was_scored_and_how_sure_it_is(written):
    folder, done = written
    summary = json.loads((folder / evaluation.SUMMARY).read_bytes())
    assert summary == done.summary
    assert (summary["songs"], summary["failed"], summary["audio_hours"]) == (12, 2, 6.0)
    lines = {(each["candidate"], each["source"]): each for each in summary["results"]}
    mean = lines["net-1", "vocals"]["metrics"]["si_sdr_db"]["mean"]
    assert mean["value"] == 5.5
    assert mean["low"] < 5.5 < mean["high"]
    assert lines["mixture", "vocals"]["silent_references"] == 1
    # Of both candidates the same file.
    assert [row["file_path"] for row in read_failures(Storage(str(folder)))] == [
        "a.txt",
        "songs/broken",
    ]


def test_the_terminal_shows_a_line_per_source_and_candidate(written):
    _, done = written
    lines = done.text.splitlines()
    assert lines[0] == "12 songs of <it>."
    assert lines[1].split()[:3] == ["source", "candidate", "songs"]
    assert [line.split()[:3] for line in lines[2:4]] == [
        ["vocals", "net-1", "12"],
        ["vocals", "mixture", "1"],
    ]
    assert lines[-2].startswith("1 source silent")
    assert lines[-1] == "2 files failed (archive 1, undecodable 1)"


def test_the_page_lets_hear_the_worst_excerpts_of_the_separators(written):
    folder, _ = written
    html = (folder / evaluation.REPORT).read_text()
    page = Page(html)
    assert "runs/<net>" in page.texts
    assert "<b>:" not in html
    sounds = [
        base64.b64decode(part.partition('"')[0])
        for part in html.split("data:audio/mpeg;base64,")[1:]
    ]
    estimates = [each for each in sounds if each != b"reference"]
    assert estimates == [b"estimate %d" % number for number in range(WORST)]
    assert len(sounds) == 2 * WORST - 1
    assert html.count("not stored any more") == 1
    assert "At 1:01, SI-SDR -20.00 dB" in html
    # Three plots for each of two sources and their mean, and a histogram.
    assert html.count("<svg") == 10
    assert html.count("score, ") == 2


def test_nothing_scored_is_a_page_too(tmp_path):
    done = evaluation.write(
        Storage(str(tmp_path)),
        [],
        [],
        sources=SOURCES,
        seed=1,
        addresses={},
        said=[],
        outputs=Storage(str(tmp_path)),
    )
    assert done.summary["results"] == []
    assert (tmp_path / evaluation.REPORT).exists()
