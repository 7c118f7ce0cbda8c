"""From corpora to the files of a dataset, without Prefect."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile

from blocks.storage import Storage
from tasks.chat import ChatTools
from tasks.corpora.captioned.entry import Entry, Tag
from tasks.dataset import unified
from tasks.dataset.digests import Digests
from tasks.embed import fingerprint
from tasks.embed.fingerprint import FingerprintConfig
from tasks.engine.plan import plan, run_here
from tasks.engine.stage import Stage
from tasks.unify import texts
from tasks.unify.assemble import Assembled, assemble
from tasks.unify.gather import Wanted, gather
from tests.tasks.stems.studio import RATE_HZ, melody
from tests.tasks.unify.corpora import corpus, entry

SECONDS = 13.0


def unify(
    folder: Path,
    stages: Sequence[Stage] | None = None,
    wanted: Wanted | None = None,
    **corpora: Sequence[Entry],
) -> Assembled:
    found = gather(
        [(corpus(name, rows), folder / name) for name, rows in corpora.items()],
        wanted or Wanted(),
        None,
    )
    source, outputs = Storage("/"), Storage(str(folder / "out"))
    digests = Digests(source, None, {}).of(found.table["audio_path"].to_pylist())
    found.digests = {path: str(digest) for path, digest in digests.items()}
    tracks = texts.tracks(found.table, found.digests, 4)
    stages = [Stage(fingerprint.STEP, FingerprintConfig())] if stages is None else stages
    planned = plan(
        stages,
        tracks if stages else [],
        outputs.below("steps"),
        ChatTools(source, outputs),
        run_id="test",
        workers=1,
    )
    run_here(planned)
    return assemble(
        planned.results,
        found,
        folder / "unified.json",
        Storage(str(folder / "unified")),
        seed=42,
        captions=4,
        options={},
    )


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "unified" / "unified.parquet").to_pylist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(path: Path, seed: int, seconds: float = SECONDS) -> None:
    soundfile.write(path, melody(seed, seconds), RATE_HZ, subtype="PCM_16")


def test_one_recording_under_two_names_is_in_one_split(folder: Path):
    write(folder / "a" / "1.wav", seed=1)
    # The same song at another level, from another second on, in another codec.
    soundfile.write(folder / "b" / "other.ogg", 0.5 * melody(1, SECONDS)[RATE_HZ:], RATE_HZ)
    for number in range(2, 5):
        write(folder / "a" / f"{number}.wav", seed=number)
    rows = {
        "a": [entry(str(number)) for number in range(1, 5)],
        "b": [entry("other", audio="other.ogg", title="Another name", artist="Somebody")],
    }
    made = unify(folder, **rows)
    group = {row["id"]: row["group"] for row in rows_of(folder)}
    assert group["a_1"] == group["b_other"]
    assert len(set(group.values())) == 4
    assert "1 pair of files are the same recording" in made.notices[0]
    # With the guard off, it is two.
    unify(folder, stages=[], **rows)
    group = {row["id"]: row["group"] for row in rows_of(folder)}
    assert group["a_1"] != group["b_other"]


def test_what_cannot_be_decoded_to_its_end_is_no_row(folder: Path):
    write(folder / "a" / "1.wav", seed=1, seconds=2.0)
    soundfile.write(folder / "a" / "2.flac", melody(2, 2.0), RATE_HZ)
    data = (folder / "a" / "2.flac").read_bytes()
    # The header says two seconds, and no frame of them can be read.
    (folder / "a" / "2.flac").write_bytes(data[:200] + bytes(len(data) - 200))
    made = unify(folder, a=[entry("1"), entry("2", audio="2.flac")])
    assert [row["id"] for row in rows_of(folder)] == ["a_1"]
    (failure,) = made.failures
    assert failure["track_id"] == "a_2"
    assert failure["in_dataset"] is False
    assert failure["message"]


def test_the_files_of_a_dataset(folder: Path):
    for number in range(3):
        write(folder / "a" / f"{number}.wav", seed=number, seconds=1.0)
    shutil.copy(folder / "a" / "0.wav", folder / "b" / "0.wav")
    human = ("A quiet thing", "Ein leises Stück")
    made = unify(
        folder,
        a=[
            entry("0", artist="A", title="T", licence="CC-BY-4.0"),
            entry("1", tags=(*entry("").tags, Tag("other", "weird"))),
            entry("2", audio="gone.wav"),
        ],
        b=[entry("0", captions=human, evaluation_only=True)],
    )
    written = json.loads((folder / "unified.json").read_text())
    assert [list(row)[:10] for row in written] == 3 * [list(unified.REFERENCE_FIELDS)]
    first, second, third = written
    assert first["id"] == "a_0"
    assert first["audio_path"] == str(folder / "a" / "0.wav")
    assert first["caption"] == "A calm Rock track featuring guitar"
    assert first["duration"] == pytest.approx(1.0)
    assert (first["artist"], first["title"], first["license"]) == ("A", "T", "CC-BY-4.0")
    assert second["tags"] == ["Rock", "calm", "guitar", "weird"]
    assert (third["caption"], third["alt_captions"]) == (human[0], [human[1]])
    # The file of two rows is in one split, and that is for testing.
    assert first["split"] == third["split"] == "test"

    table = pq.read_table(folder / "unified" / "unified.parquet")
    assert table.schema.equals(unified.COLUMNS)
    for row, same in zip(table.to_pylist(), written, strict=True):
        assert all(row[name] == same[name] for name in same)
        captions = [row["caption"], *row["alt_captions"]]
        assert len(captions) == len(row["caption_styles"]) == len(row["caption_sources"])
        assert len(set(captions)) == len(captions)
        for caption, sources in zip(captions, row["caption_sources"], strict=True):
            for phrase in sources:
                assert phrase["text"].casefold() in caption.casefold()
                assert all(row[column] is not None for column in phrase["columns"])
    assert table["caption_styles"].to_pylist()[2] == ["human", "human"]

    removed = pq.read_table(folder / "unified" / "removed.parquet").to_pylist()
    assert [(row["id"], row["reason"]) for row in removed] == [("a_2", "missing")]
    manifest = json.loads((folder / "unified" / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == 3
    assert manifest["counts"]["datasets"]["a"]["found"] == 3
    assert manifest["counts"]["datasets"]["a"]["removed"] == {"missing": 1}
    report = (folder / "unified" / "report.html").read_text()
    assert "A calm Rock track featuring guitar" in report
    assert made.composition.rows == 3


def test_a_dataset_of_many_rows_is_written_in_parts(folder: Path, monkeypatch):
    from tasks.unify import write as writing

    rows = [entry(str(number), artist=f"artist {number}") for number in range(10)]
    unify(folder, [], Wanted(check_audio=False), a=rows)
    before = (folder / "unified.json").read_bytes()
    monkeypatch.setattr(writing, "CHUNK_ROWS", 3)
    unify(folder, [], Wanted(check_audio=False), a=rows)
    assert (folder / "unified.json").read_bytes() == before
    assert len(rows_of(folder)) == 10


def test_captions_that_were_refused_stay_as_they_were(folder: Path):
    rows = [entry("1"), entry("2")]
    found = gather([(corpus("a", rows), folder / "a")], Wanted(check_audio=False), None)
    composed = list(texts.captions(found.table, 2))
    answer = {"captions": ["Rewritten.", composed[0][1].text], "refused": [None, "says jazz"]}
    first, second = texts.captions(found.table, 2, {"a_1": answer})
    assert [(each.text, each.style) for each in first] == [
        ("Rewritten.", "llm-writing"),
        (composed[0][1].text, "summary"),
    ]
    assert second == composed[1]


def test_the_same_rows_are_the_same_bytes_in_any_order_of_corpora(folder: Path):
    a = [entry(str(number), artist=f"artist {number}") for number in range(30)]
    b = [entry(str(number), artist=f"artist {number * 2}") for number in range(30)]
    wanted = Wanted(check_audio=False, max_samples=20, stratify_by="dataset")
    unify(folder, [], wanted, a=a, b=b)
    first = {row["id"]: row for row in rows_of(folder)}
    unify(folder, [], wanted, b=b[::-1], a=a)
    assert {row["id"]: row for row in rows_of(folder)} == first
