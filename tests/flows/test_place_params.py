"""Every parameter that says where something lies, of every flow, on both ways in."""

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from deployments.catalogue import DEPLOYMENTS
from flows import cli
from flows.build_dataset_params import BuildDatasetCommand, BuildDatasetParams
from flows.cli import FlowParams
from flows.prepare_stems_params import PrepareStemsParams

NO_PLACES = {
    *("run_name", "cluster", "text_encoder", "mirror", "sources", "two_stems"),
    *("name", "concept", "concepts", "where", "prompt", "fixed"),
    *("stratify", "push_to_hub"),
}
"""Parameters that are free text and say something else."""


def text_fields(model: type[FlowParams]) -> list[str]:
    """Parameters that take any text or path."""
    return [
        name
        for name, field in model.model_fields.items()
        if {str, Path} & {field.annotation, *get_args(field.annotation)} and name not in NO_PLACES
    ]


MODELS = {row.flow.name: row.params_class for row in DEPLOYMENTS}
PLACES = [(model, name) for model in MODELS.values() for name in text_fields(model)]


def validated(model: type[FlowParams], **values: Any) -> FlowParams:
    needed = {
        "source": "songs",
        "instrument": "bass",
        "action": "pull",
        "files": "songs",
        "checkpoints": ["x"],
        "training": "projection",
        "config": "sweep.yaml",
        "name": "mine",
        "dataset": "songs.json",
    }
    if "from_dataset" in values:
        needed["concept"] = ["8bit"]
    fields = {name: value for name, value in needed.items() if name in model.model_fields}
    return model.model_validate(fields | values)


def test_the_places_are_found():
    assert len(PLACES) > 15
    assert (BuildDatasetParams, "checkpoint_dir") in PLACES


@pytest.mark.parametrize(("model", "name"), PLACES)
def test_a_place_means_the_same_in_a_form_as_in_a_shell(
    model: type[FlowParams], name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(getattr(validated(model, **{name: "~/x: 1"}), name)) == "/home/me/x: 1"
    for wrong in ("gs://bucket/x", "s3:/bucket/x", "", "file:///x"):
        with pytest.raises(ValidationError) as raised:
            validated(model, **{name: wrong})
        assert name in cli.describe(raised.value, model)


def test_lists_of_files_are_checked_too():
    with pytest.raises(ValidationError, match="in a bucket"):
        BuildDatasetCommand(merge_shards=["s3://bucket/s0.json"])


def test_a_wrong_place_is_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as raised:
        cli.parse(PrepareStemsParams, ["songs", "--output", "gs://bucket/out"])
    assert raised.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "--output: gs://bucket/out is no place that can be used: give a folder or "
        "s3://bucket/prefix; a folder of that name is ./gs://bucket/out"
    )


def test_relative_places_are_told_to_a_cluster_by_their_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    here = PrepareStemsParams(source="songs", output="s3://bucket/out")
    assert here.shared_tools() == here.tools()
    there = here.model_copy(update={"cluster": "tcp://10.0.0.5:8786"}).shared_tools()
    assert there.source.address == f"{tmp_path}/songs"
    assert there.outputs.address == "s3://bucket/out"


@pytest.mark.parametrize("value", ["live: 2024", "it's", '"x"', "-x", "--y z", "a&b", "$HOME", "~"])
def test_options_that_are_printed_can_be_pasted(value: str):
    words = shlex.split(f"flow {cli.option('output', value)}")[1:]
    assert str(cli.parse(BuildDatasetParams, words).output) == str(Path(value).expanduser())
