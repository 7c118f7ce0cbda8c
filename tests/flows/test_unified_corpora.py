"""The reference's own tests, as its users run them: corpora in their true layouts to a search."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from examples.corpora import write_corpus
from flows import unify_datasets
from models.tiny.write import write as write_tiny
from tasks.dataset import embeddings
from tests.flows.conftest import environment, standing_worker
from tests.support import commands, prefect_server
from tests.support.commands import ROOT, Finished


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/raw, as downloads leave it, and tiny weights."""
    folder = tmp_path_factory.mktemp("corpora")
    for name, count in (("song_describer", 20), ("fma", 10)):
        write_corpus(name, folder / "data" / "raw" / name, count, seconds=2.0)
    write_tiny(folder / "models", "muq-large-msd")
    return folder


def run(flow: str, *arguments: str, cwd: Path) -> Finished:
    variables = environment(
        SONGMILL_MODELS_DIR=str(cwd / "models"), OPENAI_API_KEY="", **prefect_server.variables()
    )
    return commands.run_forked(ROOT / "flows" / f"{flow}.py", arguments, cwd, variables)


def succeeds(flow: str, *arguments: str, cwd: Path) -> str:
    done = run(flow, *arguments, *standing_worker(), cwd=cwd)
    assert done.status == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict]:
    found: list[dict] = json.loads(path.read_text())
    return found


def test_the_quick_test(place: Path):
    """100 samples, embeddings, one epoch: with a corpus that is for evaluation only."""
    said = succeeds(
        "unify_datasets",
        *("--datasets", "song_describer", "--max-samples", "100"),
        *("--output", "data/test_100.json"),
        cwd=place,
    )
    assert "song_describer: 20 tracks" in said
    assert "They are split for a trial" in said
    assert len(rows(place / "data" / "test_100.json")) == 20
    succeeds(
        "prepare_embeddings",
        *("--dataset-file", "data/test_100.json", "--output-dir", "data/test_embeddings"),
        cwd=place,
    )
    said = succeeds(
        "train_projection",
        *("--audio-encoder", "muq", "--data-dir", "data/test_embeddings", "--epochs", "1"),
        *("--batch-size", "4"),
        cwd=place,
    )
    assert "R@10" in said
    assert (place / "runs" / "projection" / "muq_best" / "songmill.json").is_file()


def test_the_medium_test(place: Path):
    """Two corpora, stratified, filtered, five epochs, and a search."""
    said = succeeds(
        "unify_datasets",
        *("--datasets", "song_describer", "fma", "--max-samples", "20"),
        *("--stratify-by", "dataset", "--output", "data/unified_1k.json"),
        cwd=place,
    )
    assert "song_describer: 10 tracks" in said
    assert "fma: 10 tracks" in said
    table = pq.read_table(place / "data" / "unified_1k" / "unified.parquet").to_pylist()
    assert len(table) == 20
    # Run again, it computes nothing and writes the same.
    before = (place / "data" / "unified_1k.json").read_bytes()
    again = succeeds("unify_datasets", "--output", "data/unified_1k.json", "--continue", cwd=place)
    assert "0 results of steps to compute" in again
    assert (place / "data" / "unified_1k.json").read_bytes() == before
    splits = {row["dataset"]: {each["split"] for each in table if each["dataset"] == row["dataset"]}
              for row in table}  # fmt: skip
    assert splits["song_describer"] == {"test"}
    assert {"train", "validation"} <= splits["fma"]
    said = succeeds(
        "prepare_embeddings",
        *("--dataset-file", "data/unified_1k.json", "--min-duration", "1", "--max-duration", "180"),
        *("--output-dir", "data/embeddings_1k", "--encoders", "mel"),
        cwd=place,
    )
    found = embeddings.read(place / "data" / "embeddings_1k" / "embeddings.h5")
    assert len(found) == 20
    of_row = {row["id"]: row["split"] for row in table}
    assert dict(zip(found.items["id"], found.items["split"], strict=True)) == of_row


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--datasets", "fna"), "there is no corpus fna"),
        (("--datasets", "clotho"), "data/raw/clotho is not a folder"),
        (("--datasets", "fma", "fma"), "names fma twice"),
        (("--datasets", "fma=s3://bucket/fma"), "is in a bucket"),
        (("--datasets", "fma=~/nowhere"), f"{Path.home()}/nowhere is not a folder"),
        (("--datasets", "fma", "--licence", "free"), "free is neither"),
        (("--datasets", "fma", "--output", "data/x.parquet"), "has to end in .json"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    place: Path,
    run_here: Callable[..., Finished],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    reason: str,
):
    monkeypatch.chdir(place)
    done = run_here(unify_datasets.main, *arguments, "--no_near_duplicates")
    assert done.status == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--datasets", "fma=data/raw/song_describer"), "song_describer"),
        (("--datasets", "fma", "--min-duration", "1000"), "No row is left"),
    ],
)
def test_what_the_corpora_do_not_have_is_said_in_a_sentence(
    place: Path, arguments: tuple[str, ...], reason: str
):
    done = run("unify_datasets", *arguments, "--no_near_duplicates", cwd=place)
    assert done.status == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_says_what_would_come_of_it_and_writes_nothing(place: Path):
    said = succeeds(
        "unify_datasets",
        *("--datasets", "fma", "--samples-per-dataset", "5", "--dry-run"),
        *("--output", "data/dry.json"),
        cwd=place,
    )
    assert "fma: 5 tracks" in said
    assert not (place / "data" / "dry.json").exists()
