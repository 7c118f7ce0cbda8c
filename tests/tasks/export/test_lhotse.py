"""Exports for Lhotse, read by lhotse itself."""

import gzip
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from lhotse import CutSet, Recording
from lhotse.cut import Cut
from lhotse.qa import validate
from lhotse.serialization import deserialize_item

from blocks.storage import Storage
from tasks.dataset.manifest import write_manifest
from tasks.dataset.unified import COLUMNS
from tasks.export.described import Span
from tasks.export.targets.utterances import words_of_lines
from tests.tasks.export.conftest import RATE_HZ, Export, failures, noise, song, write_songs

SPLITS = {"train": 4, "validation": 1, "test": 1}


def read(folder: Path, split: str = "train") -> list[Cut]:
    """Cuts of a split; lhotse has found nothing wrong with them."""
    linked = folder / f"cuts_{split}.jsonl.gz"
    cuts = CutSet.from_file(linked) if linked.exists() else CutSet.from_shar(in_dir=folder / split)
    found = list(cuts.with_recording_path_prefix(folder) if linked.exists() else cuts)
    for cut in found:
        validate(cut, read_data=True)
    return found


def table(songs: Path, name: str = "tracks") -> list[dict[str, Any]]:
    return pq.read_table(songs.with_suffix("") / f"{name}.parquet").to_pylist()


def words_in(cut: Cut) -> list[dict[str, Any]]:
    """Words of all supervisions of a cut, as the table has them."""
    return [
        {
            "word": word.symbol,
            "start_time": word.start,
            "end_time": word.end,
            "alignment_confidence": word.score,
        }
        for supervision in cut.supervisions
        for word in supervision.alignment["word"]
    ]


def test_cuts_have_the_values_of_the_table_and_the_audio(songs: Path, export: Export) -> None:
    folder = export(songs, "lhotse")
    rows = {row["track_id"]: row for row in table(songs)}
    for split, count in SPLITS.items():
        cuts = read(folder, split)
        assert len(cuts) == count
        for cut in cuts:
            row = rows[cut.track_id]
            assert row["split"] == cut.dataset_split == split
            assert words_in(cut) == row["lyrics_words"]
            assert [
                {"text": each.text, "start_time": each.start, "end_time": each.end}
                for each in cut.supervisions
            ] == row["lyrics_lines"]
            assert {each.language for each in cut.supervisions} == {"en"}
            # Speakers are artists, by what names of one artist have in common.
            assert {each.speaker for each in cut.supervisions} == {row["group"]}
            expected = {
                "tempo_bpm": row["tempo"],
                "licence": row["license"],
                "title": row["title"],
                "group": row["group"],
                "lyrics": row["lyrics"],
                "genres": ["Folk", "Rock"],
                "key": "A minor",
            }
            assert {name: cut.custom[name] for name in expected} == expected
            assert "album" not in cut.custom
            number = int(row["track_id"], 16)
            assert np.array_equal(np.round(cut.load_audio()[0] * 32768), noise(number))


@pytest.mark.parametrize("how", ["flac", "link"])
def test_audio_is_that_of_the_song(songs: Path, export: Export, how: str) -> None:
    for number, cut in enumerate(read(export(songs, "lhotse", audio=how))):
        samples = cut.load_audio()
        assert np.array_equal(np.round(samples[0] * 32768), noise(number))
        assert (cut.recording.sampling_rate, cut.recording.num_samples) == (RATE_HZ, 40_000)


def test_opus_is_at_48_khz_and_as_long_as_the_song(songs: Path, export: Export) -> None:
    folder = export(songs, "lhotse", audio="opus", where="split = 'test'")
    [cut] = read(folder, "test")
    assert (cut.sampling_rate, cut.num_samples, cut.duration) == (48_000, 120_000, 2.5)
    assert cut.load_audio().shape == (1, 120_000)


def test_a_cut_of_vocals_is_heard_with_its_words(songs: Path, export: Export) -> None:
    [cut] = read(export(songs, "lhotse", vocals=True, where="split = 'test'"), "test")
    assert np.array_equal(np.round(cut.load_audio()[0] * 32768), noise(5) // 2)
    assert [each.text for each in cut.supervisions] == ["low sun", "rise"]


def test_segments_are_cuts_with_the_words_in_them(songs: Path, export: Export) -> None:
    folder = export(songs, "lhotse", segments=True, where="track_id LIKE '%3'")
    verse, chorus = read(folder)
    assert [each.caption for each in (verse, chorus)] == [
        "a verse of song 3",
        "a chorus of song 3",
    ]
    assert (chorus.duration, chorus.segment_idx, chorus.track_id) == (1.5, 1, f"{3:032x}")
    assert np.array_equal(np.round(chorus.load_audio()[0] * 32768), noise(3)[RATE_HZ:])
    [sung] = chorus.supervisions
    assert (sung.text, sung.start, sung.duration) == ("rise", 0.0, 1.5)
    assert words_in(verse) == table(songs)[3]["lyrics_words"][:2]
    # Times are from the beginning of the segment, which is at 1 s.
    assert [(word.start, word.end) for word in sung.alignment["word"]] == [(0.25, 0.75)]


def stereo(tmp_path: Path) -> Path:
    """Dataset of a song in stereo at 44.1 kHz, 2.5 s long but for a sample."""
    record = song(tmp_path, 0) | {"sample_rate": 44_100, "channels": 2}
    (tmp_path / "songs").mkdir(parents=True)
    channels = np.stack([np.resize(noise(0), 110_249), np.resize(noise(1), 110_249)], axis=1)
    soundfile.write(record["file_path"], channels, 44_100)
    return write_songs(tmp_path, [record])


def test_the_json_is_what_lhotse_writes(export: Export, tmp_path: Path) -> None:
    folder = export(stereo(tmp_path), "lhotse")
    with gzip.open(folder / "train" / "cuts.000000.jsonl.gz") as file:
        written = json.loads(file.read())
    with tarfile.open(folder / "train" / "recording.000000.tar") as tar:
        audio, recording = tar.getmembers()
        assert [audio.name, recording.name] == [f"{0:032x}.flac", f"{0:032x}.json"]
        member = tar.extractfile(recording)
        assert member is not None
        of_recording = json.loads(member.read())
    path = tmp_path / "songs" / "song-0.flac"
    of_file = Recording.from_file(path, recording_id=f"{0:032x}")
    own = of_file.to_dict()
    own["sources"][0] |= {"type": "shar", "source": ""}
    assert of_recording == own
    assert written["recording"] == own
    cut = deserialize_item(json.loads(json.dumps(written)))
    assert json.loads(json.dumps(cut.to_dict())) == written
    whole = of_file.to_cut().to_dict() | {"recording": own}
    del whole["supervisions"]
    assert {name: written[name] for name in whole} == whole
    assert [each["channel"] for each in written["supervisions"]] == [[0, 1], [0, 1]]
    # Nothing of what is known hides behind what a cut has anyway.
    assert not [name for name in written["custom"] if hasattr(type(cut), name)]


def test_the_card_says_how_it_is_loaded(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how in ("copy", "link"):
        folder = export(stereo(tmp_path / how), "lhotse", output=tmp_path / how / "out", audio=how)
        monkeypatch.chdir(folder)
        blocks = (folder / "README.md").read_text().split("```python\n")[1:]
        said: dict[str, Any] = {}
        for block in blocks:
            exec(block.split("```")[0].replace("path/of/this/folder", str(folder)), said)
        lines = list(said["lines"])
        assert [each.supervisions[0].text for each in lines] == ["low sun", "rise"]
        assert lines[1].load_audio().shape == (1, 8_000)


def timed(
    lines: Sequence[tuple[str, float | None, float | None]], name: str
) -> list[dict[str, Any]]:
    return [{name: text, "start_time": start, "end_time": end} for text, start, end in lines]


def test_supervisions_are_made_of_what_times_there_are(export: Export, tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    lines = [("one", 0.25, None), ("low sun", 0.5, None), ("rise", 1.25, None), ("end", 2.0, None)]
    words = [("low", 0.75, 1.0), ("sun", 1.0, 1.125), ("rise", 1.25, 1.5)]
    changes: list[dict[str, Any]] = [
        {"lyrics_lines": timed(lines, "text"), "lyrics_words": timed(words, "word")},
        {"lyrics_lines": timed([("low sun", None, None)], "text"), "lyrics_words": None},
        {"lyrics": None, "lyrics_lines": None, "lyrics_words": None},
    ]
    for word in changes[0]["lyrics_words"]:
        word["alignment_confidence"] = None
    records = [song(tmp_path, number) | each for number, each in enumerate(changes)]
    for record in records:
        # Shorter than the table says, by a sample.
        soundfile.write(record["file_path"], noise(0)[:-1], RATE_HZ)
    of_lrc, untimed, without = read(export(write_songs(tmp_path, records), "lhotse"))
    length = round(39_999 / RATE_HZ, 8)
    # A line of LRC has no end: it ends with its words, or where the next one begins.
    assert [(each.text, each.start, each.end) for each in of_lrc.supervisions] == [
        ("one", 0.25, 0.5),
        ("low sun", 0.5, 1.125),
        ("rise", 1.25, 1.5),
        ("end", 2.0, length),
    ]
    [sung] = untimed.supervisions
    assert (sung.text, sung.start, sung.end) == ("low sun rise", 0.0, length)
    assert (sung.alignment, untimed.lyrics) == (None, "low sun\nrise")
    assert (without.supervisions, "lyrics" in without.custom) == ([], False)


def test_a_part_of_a_file_that_is_copied_is_a_cut_of_it(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    row = dict.fromkeys(COLUMNS.names) | {
        "id": "corpus_1",
        "audio_path": str(songs.parent / "songs" / "song-0.flac"),
        "caption": "a quiet bar",
        "duration": 2.5,
        "split": "train",
        "evaluation_only": False,
        "start_seconds": 1.0,
        "end_seconds": 2.25,
    }
    beyond = row | {"id": "corpus_2", "start_seconds": 2.5, "end_seconds": 3.0}
    pq.write_table(pa.Table.from_pylist([row, beyond], COLUMNS), tmp_path / "unified.parquet")
    write_manifest(Storage(str(tmp_path)), {"fingerprint": "unified"})
    folder = export(tmp_path, "lhotse", output=tmp_path / "out")
    [cut] = read(folder)
    assert (cut.start, cut.duration, cut.recording.duration) == (1.0, 1.25, 2.5)
    assert np.array_equal(np.round(cut.load_audio()[0] * 32768), noise(0)[16_000:36_000])
    assert (cut.caption, cut.row_id, cut.supervisions) == ("a quiet bar", "corpus_1", [])
    assert [(each["track_id"], each["reason"]) for each in failures(folder)] == [
        ("corpus_2", "too-short")
    ]


def test_words_go_with_the_line_that_has_them_whatever_its_time() -> None:
    lines = [Span("la la", 1.0, 2.0), Span("oh", 2.0, 3.0), Span("la sun", 3.0, 4.0)]
    # The second word is late and the last line's first one early.
    words = [Span(text, at, at + 0.1) for text, at in [("la", 1.0), ("la", 2.1), ("la", 2.9)]]
    sun = Span("sun", 3.5, 4.0)
    assert words_of_lines(lines, [*words, sun]) == [(words[0], words[1]), (), (words[2], sun)]


def test_a_shard_whose_songs_are_all_lost_is_empty(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    lost = {"file_path": str(tmp_path / "lost.flac")}
    records = [song(songs.parent, 0), song(songs.parent, 5) | lost]
    folder = export(write_songs(tmp_path, records), "lhotse", output=tmp_path / "out")
    assert [each["reason"] for each in failures(folder)] == ["missing"]
    assert (len(read(folder)), read(folder, "test")) == (1, [])


def test_the_same_rows_are_the_same_bytes(
    songs: Path, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((folder / "train").iterdir())}

    options: dict[str, Any] = {"segments": True, "where": "track_id LIKE '%3'"}
    first = export(songs, "lhotse", **options, output=tmp_path / "first")
    # gzip and tar would note the time.
    monkeypatch.setattr("time.time", lambda: 2e9)
    second = export(songs, "lhotse", **options, output=tmp_path / "second")
    assert files(first) == files(second)
