"""prepare-embeddings as users run it, and its parts in this process."""

import json
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from blocks.storage import Storage
from flows import cli, prepare_embeddings, run
from flows.cli import UsageError
from flows.prepare_embeddings import PREPARE
from flows.prepare_embeddings_params import PrepareEmbeddingsParams
from models import packages
from models.hashed_ngrams import HashedNgrams
from models.tiny.write import write as write_tiny
from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry
from tasks.dataset import embeddings
from tasks.dataset.failures import read_failures
from tasks.dsp.sound_statistics import DIMENSIONS, statistics
from tasks.dsp.spectral import frame_features
from tasks.engine.plan import run_here
from tests.flows.conftest import environment
from tests.support import prefect_server
from tests.support.commands import ROOT, TIMEOUT_SECONDS, Forked
from tests.support.tones import RATE_HZ, held

FLOW = ROOT / "flows" / "prepare_embeddings.py"


def write_wav(path, pitch, seconds=1.2):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, held([pitch, pitch + 4], seconds), RATE_HZ, subtype="FLOAT")
    return str(path)


def row(folder, number, **values):
    blank = {
        "id": f"fma_{number}",
        "audio_path": write_wav(folder / f"{number}.wav", 50 + number),
        "caption": f"A song at pitch {number}",
        "alt_captions": [f"pitch {number}", "A song"],
        "duration": 1.2,
        "dataset": "fma",
        "artist": f"Artist {number}",
        "title": f"Title {number}",
    }
    return blank | values


@pytest.fixture
def music(tmp_path):
    """Rows: eight files, two rows that share one, a part of one, and one that is not there."""
    folder = tmp_path / "music"
    rows = [row(folder, number) for number in range(8)]
    shared = rows[0]["audio_path"]
    rows += [
        row(folder, 8) | {"audio_path": shared, "artist": "Somebody else", "split": "test"},
        row(folder, 9) | {"audio_path": shared, "start_seconds": 0.5, "end_seconds": 1.1},
        row(folder, 10) | {"audio_path": str(folder / "gone.wav")},
    ]
    path = tmp_path / "unified.json"
    path.write_text(json.dumps(rows))
    return SimpleNamespace(path=path, rows=rows, folder=folder, output=tmp_path / "embeddings")


def embed(music, **values):
    """Embed in this process, without a server."""
    given = {"dataset_file": music.path, "output_dir": music.output, "encoders": ["mel"]}
    params = PrepareEmbeddingsParams.model_validate(
        given | {"text_encoder": "hashed", "workers": 1} | values
    )
    planned, survey = run.prepare(PREPARE, params)
    pending = planned.pending
    run_here(planned)
    done = PREPARE.conclude(params, planned.results, survey)
    return SimpleNamespace(
        params=params, pending=pending, done=done, file=music.output / "embeddings.h5"
    )


def test_embeddings_are_of_the_rows_that_they_say(music):
    made = embed(music)
    found = embeddings.read(made.file)
    assert list(found.items["id"]) == [f"fma_{number}" for number in range(10)]
    assert found.items["audio_path"][8] == music.rows[0]["audio_path"]
    assert found.items["title"][3] == "Title 3"
    mel = found.audio["mel"]
    assert mel.embedding.shape == (10, DIMENSIONS)
    assert mel.item.tolist() == list(range(10))
    for number in (0, 3, 7):
        samples, _ = soundfile.read(music.rows[number]["audio_path"], dtype="float32")
        expected = statistics(frame_features([samples], RATE_HZ))
        assert np.abs(mel.embedding[number] - expected).max() < 1e-5
    # Two rows of one file, and one of a part of it.
    assert np.array_equal(mel.embedding[8], mel.embedding[0])
    assert np.abs(mel.embedding[9] - mel.embedding[0]).max() > 1e-3
    texts = [text for each in music.rows[:10] for text in (each["caption"], *each["alt_captions"])]
    assert list(found.caption_text) == texts
    assert found.caption_item.tolist() == [at for at in range(10) for _ in range(3)]
    assert found.caption_is_main.tolist() == [True, False, False] * 10
    expected = np.stack(list(HashedNgrams().embed_text(texts)))
    assert np.array_equal(found.text["hashed"].embedding, expected)
    assert mel.attributes["licence"] == "none: no weights"


def test_the_table_says_the_same(music):
    found = embeddings.read(embed(music, windows=True).file, windows=True)
    table = pq.ParquetFile(music.output / "embeddings.parquet").read().to_pylist()
    assert [each["id"] for each in table] == list(found.items["id"])
    assert [each["split"] for each in table] == list(found.items["split"])
    assert table[2]["captions"] == ["A song at pitch 2", "pitch 2", "A song"]
    for at, each in enumerate(table):
        assert np.array_equal(np.float32(each["mel"]), found.audio["mel"].embedding[at])
        (window,) = each["mel_windows"]
        assert np.array_equal(np.float32(window), np.float32(each["mel"]))
        assert each["mel_window_start_seconds"] == [0.0]
    assert found.audio["mel"].window_item.tolist() == list(range(10))


def test_rows_of_one_file_and_one_artist_are_in_one_split(music):
    found = embeddings.read(embed(music).file)
    by_id = dict(zip(found.items["id"], found.items["split"], strict=True))
    # The file of fma_0 has a row of the test.
    assert by_id["fma_0"] == by_id["fma_8"] == by_id["fma_9"] == "test"
    assert set(by_id.values()) == {"train", "validation", "test"}
    groups = dict(zip(found.items["id"], found.items["group"], strict=True))
    assert groups["fma_0"] == groups["fma_8"] == groups["fma_9"] != groups["fma_1"]


def test_what_cannot_be_read_is_listed_and_takes_nothing_else(music):
    (music.folder / "2.wav").write_bytes(b"no audio at all")
    soundfile.write(music.folder / "3.wav", np.zeros(RATE_HZ), RATE_HZ)
    made = embed(music, encoders=["mel"])
    failures = read_failures(Storage(str(music.output)))
    assert {(each["track_id"], each["step"], each["reason"]) for each in failures} == {
        ("fma_10", "audio", "missing"),
        ("fma_2", "mel", "not-audio"),
        ("fma_3", "mel", "silent"),
    }
    assert not any(each["in_dataset"] for each in failures)
    found = embeddings.read(made.file)
    assert found.audio["mel"].item.tolist() == [0, 1, 4, 5, 6, 7, 8, 9]
    assert made.done.counts == {"tracks": 8, "captions": 30, "audio_files": 8, "failed": 3}
    assert "3 rows failed (missing 1, not-audio 1, silent 1)" in made.done.summary


def test_nothing_is_computed_or_written_twice(music):
    first = embed(music)
    before = (first.file.stat().st_mtime_ns, first.file.stat().st_ino)
    splits = embeddings.read(first.file).items["split"]
    again = embed(music)
    assert again.pending.total() == 0
    assert (again.file.stat().st_mtime_ns, again.file.stat().st_ino) == before
    # Another seed splits otherwise, of the same rows of steps.
    other = embed(music, seed=3)
    assert other.pending.total() == 0
    assert embeddings.read(other.file).items["split"] != splits
    assert (other.file.stat().st_mtime_ns, other.file.stat().st_ino) != before


def test_further_encoders_are_added_to_those_there(music, tmp_path, monkeypatch):
    write_tiny(tmp_path / "models", "encodec-24khz")
    mel = embeddings.read(embed(music).file).audio["mel"]
    made = embed(music, encoders=["latent"], models_dir=str(tmp_path / "models"))
    assert set(made.pending) == {"latent", "captions_hashed"}
    found = embeddings.read(made.file)
    assert set(found.audio) == {"mel", "latent"}
    assert np.array_equal(found.audio["mel"].embedding, mel.embedding)
    assert found.audio["latent"].attributes["revision"].startswith("tiny-")
    content = made.done.content
    assert set(content["encoders"]["audio"]) == {"mel", "latent"}
    again = embed(music)
    assert again.done.content == content, "it has all of this already"
    # Not once the audio behind the rows is another: what is old is not mixed with it.
    write_wav(music.folder / "1.wav", 90)
    assert set(embeddings.read(embed(music).file).audio) == {"mel"}


def test_embeddings_of_another_dataset_stay_unless_it_is_asked_for(music):
    made = embed(music)
    size = made.file.stat().st_size
    with pytest.raises(UsageError, match=r"holds embeddings of 10 rows that are not .*--continue"):
        embed(music, sample_size=4)
    assert made.file.stat().st_size == size
    smaller = embed(music, sample_size=4, go_on=True)
    assert smaller.pending.total() == 0, "nothing finished is lost"
    assert len(embeddings.read(smaller.file)) == 4 - smaller.done.counts["failed"]
    made.file.write_bytes(b"something else")
    with pytest.raises(UsageError, match="no HDF5 file, or a damaged one"):
        embed(music, sample_size=4)


def test_rows_are_chosen_by_duration(music):
    music.rows[1]["duration"], music.rows[2]["duration"] = 0.4, 99.0
    music.path.write_text(json.dumps(music.rows))
    made = embed(music, min_duration=1, max_duration=60)
    assert "2 rows left out by duration." in made.done.summary
    assert {"fma_1", "fma_2"}.isdisjoint(embeddings.read(made.file).items["id"])
    with pytest.raises(UsageError, match="None of the 11 rows"):
        embed(music, min_duration=200)
    with pytest.raises(ValueError, match="--min_duration is more than --max_duration"):
        embed(music, min_duration=20, max_duration=10)


def test_captions_in_clap_s_space_go_with_its_sounds(music, tmp_path):
    for name in ("clap-music-and-speech", "minilm-l6"):
        write_tiny(tmp_path / "models", name)
    made = embed(music, encoders=["clap"], text_encoder="auto", models_dir=str(tmp_path / "models"))
    found = embeddings.read(made.file)
    assert set(found.text) == {"minilm", "clap"}
    assert found.text["clap"].embedding.shape == (30, found.audio["clap"].embedding.shape[1])


def test_what_stands_in_for_minilm_is_said(music, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(packages, "folder", lambda card: None)
    made = embed(music, text_encoder="auto", models_dir=str(tmp_path / "nothing"))
    assert "Captions are embedded by hashed n-grams" in capsys.readouterr().out
    said = made.done.content["text_encoder"]
    assert (said["asked"], said["used"]) == ("auto", "hashed")
    assert "MiniLM is not there" in said["why"]
    assert embeddings.read(made.file).provenance["text_encoder"] == said
    with pytest.raises(UsageError, match=r"minilm-l6.*; or embed captions without weights"):
        embed(music, text_encoder="minilm", models_dir=str(tmp_path / "nothing"), go_on=True)


def test_a_model_that_is_not_there_has_a_remedy(music, tmp_path, monkeypatch):
    nothing = str(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"muq-large-msd .* pull .*--encoders mel\."):
        embed(music, encoders=["muq"], models_dir=nothing)
    monkeypatch.delenv("SONGMILL_TRUST_CODE", raising=False)
    with pytest.raises(UsageError, match=r"mert-v1-95m runs code .*SONGMILL_TRUST_CODE"):
        embed(music, encoders=["mert"], models_dir=nothing)
    assert PrepareEmbeddingsParams().encoders == ("muq",)


def test_audio_that_is_nowhere_is_one_sentence(music):
    for each in music.rows:
        each["audio_path"] = f"/nowhere/{each['id']}.mp3"
    music.path.write_text(json.dumps(music.rows))
    with pytest.raises(UsageError, match=r"None of the audio files of the 11 rows .* not there"):
        embed(music)


def test_the_reference_s_options_are_those_of_the_command(monkeypatch):
    line = "--dataset-file d.json --output-dir out --batch-size 32 --sample-size 5 --min-duration 1"
    line += " --max-duration 9 --use-musicbench --encoders muq mel --windows --continue"
    params = cli.parse(PrepareEmbeddingsParams, line.split())
    assert (params.batch_size, params.sample_size, params.encoders) == (32, 5, ("muq", "mel"))
    assert params.use_musicbench
    assert params.windows
    assert params.go_on


def known(entries):
    def read(folder):
        if not folder.is_dir():
            raise CorpusError(f"{folder} is no MusicBench: it is not there.")
        yield from entries

    return SimpleNamespace(CORPORA={"musicbench": SimpleNamespace(read=read)})


def test_musicbench_is_read_by_its_corpus(music, monkeypatch):
    entries = [
        Entry("a_1", "1.wav", ("One", "Another"), shared_ids=("youtube:x",), split="train"),
        Entry("a_2", "2.wav", ("Two",), duration_seconds=1.2, shared_ids=("youtube:x",)),
        Entry("a_3", "3.wav", (), split="test"),
        Entry("a_4", "gone.wav", ("Four",), split="test"),
        Dropped("malformed-row", "train.json:7", "Row 7 is none.", "a_7"),
    ]
    monkeypatch.setattr(prepare_embeddings, "CORPORA", known(entries).CORPORA)
    made = embed(music, use_musicbench=True, musicbench_dir=music.folder)
    found = embeddings.read(made.file)
    assert list(found.items["id"]) == ["musicbench_a_1", "musicbench_a_2"]
    assert list(found.items["split"]) == ["train", "train"]
    assert found.items["duration"] == pytest.approx([1.2, 1.2])
    assert list(found.caption_text) == ["One", "Another", "Two"]
    assert made.done.content["failures_by_reason"] == {
        "empty-caption": 1,
        "malformed-row": 1,
        "missing": 1,
    }
    with pytest.raises(UsageError, match="is no MusicBench"):
        embed(music, use_musicbench=True, musicbench_dir=music.folder / "nothing")


def start(path, output):
    arguments = ["--dataset-file", path, "--output-dir", output]
    arguments += ["--encoders", "mel", "--text-encoder", "hashed", "--workers", "1"]
    variables = environment(**prefect_server.variables())
    return Forked(FLOW, arguments, ROOT, variables, new_session=True)


def test_a_killed_run_goes_on_without_a_row_lost_or_doubled(tmp_path):
    folder = tmp_path / "music"
    rows = [row(folder, number) for number in range(2 * 32 + 6)]
    path = tmp_path / "unified.json"
    path.write_text(json.dumps(rows))
    killed = tmp_path / "killed"
    running = start(path, killed)
    tables = killed / "checkpoints" / "steps" / "mel"
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not list(tables.glob("[!.]*.parquet")):
        assert running.poll() is None, running.finished()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.finished()
    assert not (killed / "embeddings.h5").exists(), "killed too late"
    finished = {part: part.stat().st_mtime_ns for part in tables.glob("[!.]*.parquet")}
    kept = {key for part in finished for key in _keys(part)}
    assert 0 < len(kept) < len(rows)

    embed(SimpleNamespace(path=path, output=killed), go_on=True)
    assert {part: part.stat().st_mtime_ns for part in finished} == finished
    keys = [key for part in tables.glob("[!.]*.parquet") for key in _keys(part)]
    assert len(keys) == len(set(keys)) == len(rows)

    reference = tmp_path / "whole"
    embed(SimpleNamespace(path=path, output=reference))
    ours, whole = (embeddings.read(place / "embeddings.h5") for place in (killed, reference))
    assert list(ours.items["id"]) == [each["id"] for each in rows]
    assert dict(ours.items) == dict(whole.items)
    for kind, encoder in (("audio", "mel"), ("text", "hashed")):
        one, other = getattr(ours, kind)[encoder], getattr(whole, kind)[encoder]
        assert np.array_equal(one.embedding, other.embedding)
        assert np.array_equal(one.item, other.item)


def _keys(part):
    return pq.ParquetFile(part).read(columns=["key"])["key"].to_pylist()
