"""prepare-concepts: what is refused before any work, and what a run leaves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from examples.concepts import make_8bit, make_pads
from examples.voice import RATE_HZ
from flows import prepare_concepts, run
from flows.cli import FailedTracksError, UsageError, parse
from flows.prepare_concepts import PREPARE
from flows.prepare_concepts_params import PrepareConceptsParams
from flows.run import Conclusion
from models.tiny.write import write as write_tiny
from tasks.dataset.failures import read_failures
from tasks.dataset.manifest import read_manifest
from tasks.engine.plan import run_here
from tasks.inversion import concepts
from tasks.song import dataset
from tasks.song.dataset import Paths
from tests.support.shared import made_once


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of two concepts, and a tiny EnCodec."""

    def make(folder: Path) -> None:
        for number in range(2):
            write(folder / f"music/8bit/{number}.wav", make_8bit(number, 11.0))
            write(folder / f"music/pads/{number}.flac", make_pads(number, 6.0))
        write_tiny(folder / "models", "encodec-32khz")

    return made_once(tmp_path_factory, "concepts", make)


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with what was made."""
    for name in ("music", "models"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, signal: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, RATE_HZ)


def params(*arguments: str) -> PrepareConceptsParams:
    return parse(PrepareConceptsParams, [*arguments, "--models_dir", "models", "--workers", "1"])


def carried_out(asked: PrepareConceptsParams) -> tuple[Conclusion, int]:
    """What a run concludes, without Prefect, and how many results it computed."""
    planned, survey = run.prepare(PREPARE, asked)
    pending = planned.pending.total()
    run_here(planned)
    return prepare_concepts.conclude(asked, planned.results, survey), pending


def test_a_run_leaves_a_dataset_and_the_next_computes_nothing(folder: Path):
    done, pending = carried_out(params("mine", "music"))
    assert pending == 8
    assert done.summary.splitlines() == [
        "2 concepts: 3 segments of 5 s to train, 3 to validate: data/input/mine",
        "Report: data/input/mine/report.html",
        "8bit: 2 recordings, 2 segments to train, 2 to validate",
        "pads: 2 recordings, 1 segment to train, 1 to validate",
    ]
    place = folder / "data" / "input" / "mine"
    found = concepts.read(str(place))
    assert found.names == ("8bit", "pads")
    train, validation = found.segments("train"), found.segments("validation")
    assert {each.track_id for each in train}.isdisjoint(each.track_id for each in validation)
    for each in (*train, *validation):
        assert found.codes(each).shape == (found.codec["codebooks"], 250)
        audio, rate_hz = soundfile.read(place / each.audio_path)
        assert (rate_hz, audio.shape, each.duration_seconds) == (32_000, (160_000,), 5.0)
    manifest = read_manifest(Storage(str(place)))
    assert manifest is not None
    assert manifest["codec"]["revision"].startswith("tiny-")
    assert manifest["decoders"] == {"libsndfile": 4}
    before = place.joinpath("manifest.json").read_bytes()
    again, pending = carried_out(params("mine", "music"))
    assert (again.summary, pending) == (done.summary, 0)
    assert place.joinpath("manifest.json").read_bytes() == before
    # What is stored is needed only where a file of the dataset is not there.
    for path in place.glob("checkpoints/segments/*/*.wav"):
        path.unlink()
    carried_out(params("mine", "music"))
    (place / train[0].audio_path).unlink()
    with pytest.raises(FailedTracksError, match=r"gone \(.*0000.wav\): delete data/input/mine/ch"):
        carried_out(params("mine", "music"))


@pytest.fixture
def odd(folder: Path) -> Path:
    """Concepts with all that is wrong with recordings."""
    source = folder / "odd"
    song = make_8bit(0, 11.0)
    write(source / "8bit/a/song.wav", song)
    write(source / "8bit/b/song.wav", make_8bit(1, 11.0))
    (source / "8bit/copy.wav").write_bytes((source / "8bit/a/song.wav").read_bytes())
    (source / "8bit/cover.jpg").write_bytes(b"no audio")
    (source / "8bit/broken.mp3").write_bytes(b"no audio")
    write(source / "loose.wav", song[: 6 * RATE_HZ])
    (source / "empty").mkdir()
    write(source / "loop/loop.wav", np.tile(make_8bit(3, 2.0), 6))
    write(source / "short/short.wav", song[: 4 * RATE_HZ])
    return source


def test_what_is_bad_is_said_and_the_rest_is_prepared(odd: Path, folder: Path):
    done, pending = carried_out(params("mine", "odd"))
    assert pending == 10
    place = Storage("data/input/mine")
    assert concepts.read(place.address).names == ("8bit", "loop")
    assert sorted(
        (each["reason"], Path(each["file_path"]).name) for each in read_failures(place)
    ) == [
        ("empty-concept", "empty"),
        ("no-concept", "loose.wav"),
        ("not-audio", "broken.mp3"),
        ("nothing-left", "short"),
        ("too-short", "short.wav"),
    ]
    assert done.summary.splitlines()[2:] == [
        "8bit: 2 recordings, 2 segments to train, 2 to validate; left out: 1 copy of other files",
        "loop: 1 recording, 1 segment to train, 0 to validate; left out: 1 repeated",
        "Nothing validates loop, which has 1 segment of one recording: add another one.",
        "Passed over: 1 .jpg",
        "5 files failed (empty-concept 1, no-concept 1, not-audio 1, nothing-left 1, too-short 1): "
        "data/input/mine/failures.jsonl",
    ]
    names = {path.name for path in Path("data/input/mine/data").rglob("*.wav")}
    assert "a - song-00005.wav" in names
    # Another recording less, and its files are gone; a file that somebody removed is there again.
    (odd / "loop" / "loop.wav").unlink()
    gone = Path("data/input/mine/data/train/8bit/encoded")
    removed = next(gone.iterdir())
    removed.unlink()
    again, pending = carried_out(params("mine", "odd"))
    assert again.counts["concepts"] == 1
    assert pending == 3  # what failed is tried again, broken.mp3 in both steps
    assert removed.is_file()
    assert not list(Path("data/input/mine/data/train/loop").rglob("*.wav"))


def test_where_nothing_is_left_that_is_said_and_an_earlier_dataset_stays(odd: Path, folder: Path):
    carried_out(params("mine", "music"))
    (folder / "bad").mkdir()
    (folder / "bad" / "short").symlink_to(odd / "short")
    done, _ = carried_out(params("mine", "bad"))
    assert done.nothing_made is not None
    assert done.nothing_made.startswith("Nothing is left of short: ")
    assert "is 4.0 s long, and a segment 5 s" in done.nothing_made
    assert concepts.read("data/input/mine").names == ("8bit", "pads")


def test_what_is_measured_enters_the_metadata(folder: Path):
    write(folder / "one/8bit/song.wav", make_8bit(0, 6.0))
    done, _ = carried_out(params("mine", "one", "--describe", "--segment_seconds", "1"))
    segment, *_ = concepts.read("data/input/mine").segments("train")
    row, *_ = json.loads(Path("data/input/mine/metadata_train.json").read_text())
    assert segment.description is not None
    assert segment.description.startswith(f"{row['tempo_bpm']:.0f} BPM, {row['key']}, ")
    assert done.summary.splitlines()[2:] == [
        "8bit: 1 recording, 4 segments to train, 1 to validate; left out: 1 between training and "
        "validation",
        "8bit comes from one recording: its last 1 segment validates, one segment apart from those "
        "that train. The validation says more with another recording.",
    ]


def write_songs(folder: Path, paths: Sequence[Path]) -> None:
    """A dataset of songs, as far as concepts are made of it."""
    from tasks.dataset.digests import Digests

    ids = Digests(Storage("/"), None, {}).of(map(str, paths))
    records = [
        {
            "track_id": ids[str(path)],
            "file_path": str(path),
            "tempo": 120.0 + 40 * number,
            "dominant_key": "A",
            "mode": "minor",
            "tags": [
                {"tag": "female voice", "kind": "voice", "score": 0.9, "model": "m"},
                {"tag": "rock", "kind": "genre", "score": 0.8, "model": "m"},
            ],
            "segments": [
                {"segment_idx": at, "start_time": 5.5 * at, "end_time": 5.5 * at + 5.5}
                for at in range(2)
            ],
        }
        for number, path in enumerate(paths)
    ]
    dataset.write(Paths(folder / "out" / "songs.json"), records)


def test_concepts_are_made_of_tracks_and_segments_of_a_dataset(folder: Path, made: Path):
    write_songs(folder, [made / f"music/8bit/{number}.wav" for number in range(2)])
    shared = ("--from-dataset", "out/songs.json", "--checkpoint_dir", "results")
    asked = params(
        "fast", *shared, "--concept", "a", "b", "--where", "tempo > 130", "mode = 'minor'"
    )
    done, _ = carried_out(asked)
    found = concepts.read("data/input/fast")
    assert found.names == ("a", "b")
    a, b = (
        {
            each.track_id: each
            for split in concepts.SPLITS
            for each in found.segments(split)
            if each.concept == name
        }
        for name in ("a", "b")
    )
    assert (len(a), len(b)) == (1, 2)
    assert {each.description for each in a.values()} == {"160 BPM, A minor, rock"}
    assert "1 recording of a is of b as well" in done.summary
    # Segments: 0 to 5.5 and 5.5 to 11 s. Those of one song stay together.
    condition = "start_time > 0"
    done, _ = carried_out(
        params("parts", *shared, "--concept", "end", "--parts", "segments", "--where", condition)
    )
    found = concepts.read("data/input/parts")
    assert [each.start_seconds for split in concepts.SPLITS for each in found.segments(split)] == [
        5.5,
        5.5,
    ]
    audio, _ = soundfile.read(Path("data/input/parts", found.segments("train")[0].audio_path))
    assert len(audio) == 160_000


def test_a_song_that_changed_since_is_said(folder: Path):
    path = folder / "song.wav"
    write(path, make_8bit(0, 6.0))
    write_songs(folder, [path])
    write(path, make_8bit(1, 6.0))
    asked = params("x", "--from-dataset", "out/songs.json", "--concept", "a")
    with pytest.raises(UsageError, match=r"song.wav is not the file any more that the dataset"):
        prepare_concepts.survey(asked, prepare_concepts.check(asked))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "PATH is needed: a folder with a folder of recordings for each concept; or "),
        (("gone",), "gone is not a folder: PATH holds a folder for each concept."),
        (("models/encodec-32khz",), "models/encodec-32khz holds no folders: put the recordings"),
        (("spaced",), "'lo fi' cannot be a word of a prompt, which is made of the letters a to z"),
        (("music", "--output", "music/pads"), "music/pads/x, where the dataset goes, and music"),
        (("music", "--models_dir", "no"), "Models are missing or damaged in no: encodec-32khz"),
        (("--from-dataset", "s.json", "--concept", "a"), "s.json is no dataset: s holds neither"),
        (("--from-dataset", "out/songs.json", "--concept", "a b"), "'a b' cannot be a word of a"),
        (
            ("music", "--from-dataset", "out/songs.json", "--concept", "pads"),
            "pads is a folder of music already: give --concept another name.",
        ),
        (
            ("--from-dataset", "out/songs.json", "--concept", "a", "--where", "tempo > 900"),
            "None of the tracks is as tempo > 900 asks.",
        ),
        (
            ("--from-dataset", "out/songs.json", "--concept", "a", "--where", "no such"),
            "This cannot be asked: ",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    folder: Path, made: Path, arguments: Sequence[str], message: str
):
    (folder / "spaced" / "lo fi").mkdir(parents=True)
    write_songs(folder, [made / "music/8bit/0.wav"])
    given = [*arguments] if "--models_dir" in arguments else [*arguments, "--models_dir", "models"]
    with pytest.raises(UsageError) as raised:
        prepare_concepts.check(parse(PrepareConceptsParams, ["x", *given]))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a/b", "music"],
            "name: it is the name of a folder, without / and not hidden (got 'a/b')",
        ),
        (["x", "--concept", "a"], "--from_dataset and --concept belong together"),
        (
            ["x", "--from-dataset", "s.json", "--concept", "a", "b", "--where", "true"],
            "--where has one condition for each --concept",
        ),
    ],
)
def test_options_that_contradict_each_other_are_said(
    arguments: list[str], message: str, capsys: Any
):
    with pytest.raises(SystemExit) as ended:
        parse(PrepareConceptsParams, arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip().endswith(message)


def test_without_a_recording_there_is_nothing_to_do(folder: Path):
    (folder / "bare" / "8bit").mkdir(parents=True)
    asked = params("x", "bare")
    with pytest.raises(UsageError, match="There is no recording of 8bit: bare/8bit holds no audio"):
        prepare_concepts.survey(asked, None)
