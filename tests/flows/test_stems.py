"""prepare-stems and stems as users run them: archives, hostile ones among them, to datasets."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from torch.utils.data import DataLoader

from flows import prepare_stems, stems
from flows.cli import UsageError
from flows.prepare_stems_params import PrepareStemsParams
from flows.stems_params import StemsParams
from models.tiny.write import write as write_tiny
from tasks.stems.pairs import StemPairs, collate
from tests.flows.conftest import environment, standing_worker
from tests.support import commands, prefect_server
from tests.support.commands import ROOT, Finished
from tests.tasks.stems.makers import write_zip
from tests.tasks.stems.studio import RATE_HZ, melody, prepare, write_song

SPLITS = ("train", "validation", "test")
SMALL = ("--encode.chunk_frames", "64", "--encode.min_chunk_seconds", "0.5")
TINY = ("--models_dir", "models")
FEW = ("--augment.variants", "1", "--assort.basic", "1", "--assort.random", "1")


def run(flow: str, *arguments: str | Path, cwd: Path) -> Finished:
    variables = environment(**prefect_server.variables())
    return commands.run_forked(ROOT / "flows" / f"{flow}.py", arguments, cwd, variables)


def wav(seed: int, seconds: float = 3.0, rate_hz: int = RATE_HZ) -> bytes:
    file = io.BytesIO()
    signal = melody(seed, seconds, channels=1)[: round(seconds * rate_hz)]
    soundfile.write(file, signal, rate_hz, format="WAV")
    return file.getvalue()


def silence(seconds: float = 3.0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * RATE_HZ)), RATE_HZ, format="WAV")
    return file.getvalue()


def band(seed: int) -> dict[str, bytes]:
    return {
        f"{name}.wav": wav(10 * seed + number)
        for number, name in enumerate(("guitar", "drums", "bass"))
    }


def symlink(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("guitar.wav")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("drums.wav", wav(900))
        archive.writestr("bass.wav", wav(901))


def encrypted(path: Path) -> None:
    write_zip(path, band(91))
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags, in local headers at 6 and in the central directory at 8.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            (flags,) = struct.unpack_from("<H", data, at + offset)
            struct.pack_into("<H", data, at + offset, flags | 1)
            at = data.find(signature, at + 1)
    path.write_bytes(data)


def truncated(path: Path) -> None:
    write_zip(path, band(92))
    path.write_bytes(path.read_bytes()[:-2000])


def bomb(path: Path) -> None:
    # A valid header, then 80 MB of zeros in some 80 KB.
    zeros = wav(93)[:44] + bytes(80_000_000)
    write_zip(path, {"guitar.wav": zeros, "drums.wav": zeros})


def twice(path: Path) -> None:
    names = ["guitar.wav", "drums.wav", "Guitar.wav"]
    write_zip(path, {name: wav(940 + number) for number, name in enumerate(names)})


def not_utf8(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("guitar_#.wav", wav(950))
        archive.writestr("drums.wav", wav(951))
    path.write_bytes(path.read_bytes().replace(b"guitar_#", b"guitar_\xe9"))


HOSTILE = {
    "escape": (
        lambda path: write_zip(path, {"../guitar.wav": wav(1), **band(96)}),
        "path-escape",
        True,
    ),
    "absolute": (
        lambda path: write_zip(path, {"/tmp/guitar.wav": wav(1), **band(97)}),
        "absolute-path",
        True,
    ),
    "symlink": (symlink, "symlink", True),
    "bomb": (bomb, "archive-bomb", False),
    "encrypted": (encrypted, "encrypted", False),
    "truncated": (truncated, "truncated", False),
    "duplicate": (twice, "duplicate-name", True),
    "names": (not_utf8, "name-not-utf8", True),
    "unknown": (
        lambda path: write_zip(path, {"a.wav": wav(980), "b.wav": wav(981)}),
        "no-known-instrument",
        False,
    ),
    "silent": (
        lambda path: write_zip(path, band(99) | {"vocals.wav": silence()}),
        "silent-stem",
        True,
    ),
    "lengths": (
        lambda path: write_zip(path, band(100) | {"bass.wav": wav(1005, seconds=1.5)}),
        "shorter-stem",
        True,
    ),
    "rates": (
        lambda path: write_zip(path, band(101) | {"bass.wav": wav(1015, rate_hz=22_050)}),
        "other-sample-rate",
        True,
    ),
}
"""What makes each archive, the reason that it is listed with, and whether a song comes of it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, and with models; where commands are run."""
    folder = tmp_path_factory.mktemp("stems")
    for seed in range(6):
        write_zip(folder / "in" / f"Artist {seed}" / f"Song {seed}.zip", band(seed))
    for name, (make, _, _) in HOSTILE.items():
        path = folder / "in" / f"Hostile {name}" / f"{name}.zip"
        path.parent.mkdir(parents=True)
        make(path)
    write_tiny(folder / "models", "encodec-32khz")
    return folder


@pytest.fixture(scope="module")
def prepared(place: Path) -> Finished:
    return run("prepare_stems", "in", *standing_worker(), cwd=place)


@pytest.fixture(scope="module")
def guitar(place: Path, prepared: Finished) -> Finished:
    return run("stems", "guitar", *TINY, *SMALL, *FEW, *standing_worker(), cwd=place)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_bad_archive_is_listed_with_its_reason_and_the_others_are_prepared(
    place: Path, prepared: Finished
):
    assert prepared.status == 0, prepared
    rows = lines(place / "stems" / "prepared" / "failures.jsonl")
    reasons: dict[str, set[str]] = {}
    for row in rows:
        reasons.setdefault(Path(row["file_path"].partition(":")[0]).stem, set()).add(row["reason"])
        assert row["message"].endswith(".")
        assert "\n" not in row["message"]
    assert reasons.keys() == HOSTILE.keys()
    for name, (_, reason, _) in HOSTILE.items():
        assert reason in reasons[name], name
    table = pq.read_table(place / "stems" / "prepared" / "manifest.parquet")
    found = set(table["artist"].to_pylist())
    assert found == {f"Artist {seed}" for seed in range(6)} | {
        f"Hostile {name}" for name, (_, _, is_of_use) in HOSTILE.items() if is_of_use
    }
    # Nothing was unpacked where the archives wanted it.
    assert not (place / "guitar.wav").exists()
    assert not (place / "in" / "guitar.wav").exists()
    assert not Path("/tmp/guitar.wav").exists()
    # And the sources are as they were.
    assert len(list((place / "in").rglob("*.zip"))) == 6 + len(HOSTILE)


def test_all_splits_hold_pairs_and_the_dataset_reads_them(place: Path, guitar: Finished):
    assert guitar.status == 0, guitar
    folder = place / "stems" / "guitar"
    artists: dict[str, set[str]] = {}
    for split in SPLITS:
        pairs = StemPairs(folder, split)
        table = pq.read_table(sorted(folder.glob(f"{split}-*.parquet")))
        artists[split] = set(table["artist"].to_pylist())
        assert len(pairs) == len(table) > 0
        assert set(table["instrument"].to_pylist()) == {"guitar"}
        batches = list(DataLoader(pairs, batch_size=4, collate_fn=collate))
        assert sum(len(batch.target) for batch in batches) == len(pairs)
        assert batches[0].target.shape[1:] == batches[0].context.shape[1:]
        assert batches[0].target.shape[2] == 64
    assert not artists["train"] & (artists["validation"] | artists["test"])
    assert not artists["validation"] & artists["test"]
    manifest = json.loads((folder / "manifest.json").read_text())
    [model] = [model for step in manifest["steps"] for model in step["models"]]
    assert (model["name"], model["revision"][:5]) == ("encodec-32khz", "tiny-")
    assert "<audio" in (folder / "report.html").read_text("utf-8")
    assert (folder / "README.md").read_text("utf-8").startswith("---\n")


def test_another_target_shares_what_does_not_depend_on_it(
    place: Path,
    guitar: Finished,
    run_here: Callable[..., Finished],
    monkeypatch: pytest.MonkeyPatch,
):
    table = pq.read_table(place / "stems" / "prepared" / "manifest.parquet")
    songs: dict[str, set[str]] = {"guitar": set(), "drum": set()}
    for row in table.to_pylist():
        if row["instrument"] in songs and not row["silent"]:
            songs[row["instrument"]].add(row["song_id"])
    # In this process, where all is imported that codes are decoded with for the page.
    monkeypatch.chdir(place)
    with prefect_server.shared():
        done = run_here(stems.main, "drum", *TINY, "--webdataset", *SMALL, *FEW, *standing_worker())
    assert done.status == 0, done
    # Two steps depend on the target; variants and comparisons of songs with both are there.
    expected = 2 * len(songs["drum"]) + 2 * len(songs["drum"] - songs["guitar"])
    assert f"; {expected} results of steps to compute" in done.stdout
    folder = place / "stems" / "drum"
    assert all(len(StemPairs(folder, split)) for split in SPLITS)
    assert sorted(path.name for path in folder.glob("webdataset/*.tar")) == [
        f"{split}-00000.tar" for split in sorted(SPLITS)
    ]


def test_a_second_run_computes_nothing_and_leaves_the_files(place: Path, guitar: Finished):
    folder = place / "stems" / "guitar"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = run("stems", "guitar", *TINY, *SMALL, *FEW, *standing_worker(), cwd=place)
    assert (again.status, "; 0 results of steps to compute" in again.stdout) == (0, True), again
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_what_cannot_be_done_is_said_in_one_line(place: Path, prepared: Finished, tmp_path: Path):
    nothing = run("stems", "guitar", *TINY, cwd=tmp_path)
    assert nothing.status == 2
    assert "holds no prepared stems: `python flows/prepare_stems.py SOURCE" in nothing.stderr
    absent = run("stems", "winds", *TINY, cwd=place)
    assert absent.status == 2
    assert "holds winds; there is bass, drum, guitar" in absent.stderr
    bare = run("stems", "guitar", "--models_dir", "none", cwd=place)
    assert bare.status == 2
    assert "fetch_models.py pull --models encodec-32khz" in bare.stderr
    for done in (nothing, absent, bare):
        assert done.stderr.count("\n") == 1, done.stderr


def test_sources_are_deleted_only_if_all_of_them_was_prepared(tmp_path: Path):
    write_zip(tmp_path / "in" / "Ana" / "good.zip", band(120))
    write_zip(tmp_path / "in" / "Bob" / "odd.zip", band(121) | {"noises.wav": wav(1219)})
    folder = write_song(tmp_path / "in" / "Cleo" / "Fine", ["guitar", "drums"], seed=122)
    (folder / "notes.txt").write_text("not a stem")
    made = prepare(tmp_path / "in", tmp_path / "out")
    params = PrepareStemsParams(source=str(tmp_path / "in"), output=str(tmp_path / "out"))
    prepare_stems.delete_sources(params, made.found, made.stems, made.failures)
    left = {path.name for path in (tmp_path / "in").rglob("*") if path.is_file()}
    assert left == {"odd.zip", "notes.txt"}
    again = prepare(tmp_path / "in", tmp_path / "out")
    assert {row["song"] for row in again.stems} == {"good", "odd", "Fine"}


def test_nothing_is_written_over_what_is_read(tmp_path: Path):
    source = write_song(tmp_path / "in" / "Ana" / "Song", ["guitar", "drums"], seed=123).parents[1]
    with pytest.raises(UsageError, match="is where the songs are"):
        prepare_stems.check(PrepareStemsParams(source=str(source), output=f"{source}/"))
    params = StemsParams(instrument="guitar", prepared=str(source), output=source)
    with pytest.raises(UsageError, match="is where the prepared stems are"):
        stems.check(params)


@pytest.mark.parametrize(
    ("said", "meant"), [("drums", "drum"), ("Guitar", "guitar"), ("keys", "piano")]
)
def test_an_instrument_may_be_said_as_it_is_understood(said: str, meant: str):
    assert StemsParams(instrument=said).instrument == meant  # type: ignore[arg-type]


def test_a_dataset_says_what_was_deleted_beneath_it(place: Path, guitar: Finished):
    outputs = place / "stems" / "prepared" / "datasets" / "artifacts"
    moved = outputs.rename(place / "moved")
    try:
        done = run(
            *("stems", "guitar", *TINY, *SMALL, *FEW, *standing_worker()),
            *("--split_seed", "7"),
            cwd=place,
        )
    finally:
        moved.rename(outputs)
    assert done.status == 1
    assert "remove stems/prepared/datasets as a whole" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
