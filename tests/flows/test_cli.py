import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, Field

from flows import cli
from flows.build_dataset_params import BuildDatasetCommand, BuildDatasetParams
from flows.cli import FlowParams
from flows.compute_params import RunCommand
from flows.fetch_models import FetchModelsParams
from flows.prepare_stems_params import PrepareStemsParams
from flows.stems_params import StemsParams
from tasks.step import StepConfig

PARAMS: list[type[FlowParams]] = [
    BuildDatasetParams,
    FetchModelsParams,
    PrepareStemsParams,
    StemsParams,
]
REQUIRED = {
    FetchModelsParams: ["list"],
    PrepareStemsParams: ["multitracks"],
    StemsParams: ["guitar"],
}
"""Arguments without which a command does not start."""
"""The params model of every flow."""

Leaf = tuple[tuple[str, ...], Any]


class Model(StepConfig):
    """How the model works."""

    hop_seconds: float = Field(0.01, gt=0, description="Hop", json_schema_extra={"unit": "s"})
    method: Literal["fast", "good"] = Field(
        "fast", description="Which one", json_schema_extra={"flag": "model_method"}
    )
    enabled: bool = Field(True, description="Whether")


class Params(FlowParams):
    """Do something."""

    examples: ClassVar[str] = "examples:\n  python flows/x.py a"

    inputs: list[str] = Field(description="What to read")
    ids: list[int] | None = Field(None, description="Numbers")
    output_dir: Path = Field(Path("out"), description="Where to; 100% yours")
    max_tracks: int | None = Field(None, ge=1, description="How many")
    dry: bool = Field(False, description="Only look")
    model: Model = Model()


def parse(*argv: str) -> Params:
    return cli.parse(Params, argv)


def failing(capsys: pytest.CaptureFixture[str], params: type[FlowParams], *argv: str) -> str:
    """The one line that a wrong command line is answered with."""
    with pytest.raises(SystemExit) as raised:
        cli.parse(params, argv)
    assert raised.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def helped(capsys: pytest.CaptureFixture[str], params: type[FlowParams]) -> str:
    with pytest.raises(SystemExit) as raised:
        cli.parse(params, ["--help"])
    assert raised.value.code == 0
    # As one line, whatever the width of the terminal.
    return re.sub(r"\s+", " ", capsys.readouterr().out)


def test_values_become_fields():
    params = parse("a", "b c", "--ids", "3", "4", "--max_tracks", "7", "--dry")
    assert params.inputs == ["a", "b c"]
    assert params.ids == [3, 4]
    assert (params.max_tracks, params.dry) == (7, True)
    assert params.output_dir == Path("out")
    assert params.model == Model()


@pytest.mark.parametrize(
    "argv",
    [
        ("--output_dir", "x", "--model.hop_seconds", "0.5", "--max_tracks", "2"),
        ("--output-dir", "x", "--model.hop-seconds", "0.5", "--max-tracks", "2"),
        ("--output-dir=x", "--model.hop_seconds=0.5", "--max_tracks=2"),
    ],
)
def test_dashes_and_underscores_are_the_same(argv):
    params = parse("a", *argv)
    assert (params.output_dir, params.model.hop_seconds, params.max_tracks) == (Path("x"), 0.5, 2)


def test_values_keep_their_dashes():
    params = parse("a-b", "--output_dir", "my-songs", "--ids", "-1")
    assert (params.inputs, params.output_dir, params.ids) == (["a-b"], Path("my-songs"), [-1])


def test_nested_fields_are_dotted_or_have_a_flag_of_their_own():
    params = parse("a", "--model_method", "good", "--model.hop_seconds", "0.02")
    assert params.model == Model(method="good", hop_seconds=0.02)
    assert parse("a", "--no_model.enabled").model.enabled is False
    assert params.model_dump(exclude_unset=True) == {
        "inputs": ["a"],
        "model": {"method": "good", "hop_seconds": 0.02},
    }


def test_an_unknown_option_is_answered_with_the_nearest_one(capsys):
    line = failing(capsys, Params, "a", "--output_dirr", "x")
    assert "unknown option --output_dirr; did you mean --output_dir?" in line
    assert "--help" in failing(capsys, Params, "a", "--zzz")


def test_options_are_not_abbreviated(capsys):
    assert "--output" in failing(capsys, Params, "a", "--output", "x")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("a", "--max_tracks", "0"), "--max_tracks: Input should be greater than or equal to 1"),
        (("a", "--max_tracks", "many"), "--max_tracks: Input should be a valid integer"),
        (("a", "--model_method", "best"), "--model_method: Input should be 'fast' or 'good'"),
        (("a", "--model.hop_seconds", "0"), "--model.hop_seconds: Input should be greater than 0"),
        (("a", "--ids", "1", "x"), "--ids: "),
        (("a", "--max_tracks"), "--max_tracks"),
        ((), "inputs"),
    ],
)
def test_a_wrong_value_is_answered_in_one_line_that_names_it(capsys, argv, said):
    assert said in failing(capsys, Params, *argv)


def test_all_that_is_wrong_is_said_at_once(capsys):
    line = failing(capsys, Params, "a", "--max_tracks", "0", "--model_method", "best")
    assert "--max_tracks" in line
    assert "--model_method" in line
    assert "'0'" in line
    assert "'best'" in line


def test_help_shows_descriptions_units_defaults_choices_and_examples(capsys):
    text = helped(capsys, Params)
    assert "Do something." in text
    assert "--model.hop_seconds X Hop (default: 0.01 s)" in text
    assert "--model_method {fast,good} Which one (default: fast)" in text
    assert "Where to; 100% yours (default: out)" in text
    assert "How the model works:" in text
    assert "examples: python flows/x.py a" in text


def test_parameters_are_frozen_and_know_their_keys():
    with pytest.raises(ValueError, match="Extra inputs"):
        Params(inputs=["a"], nonesuch=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="frozen"):
        parse("a").dry = True  # type: ignore[misc]


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[Leaf]:
    """Every field that is not itself a model, with its path."""
    found: list[Leaf] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += leaves(field.annotation, (*path, name))
        else:
            found.append(((*path, name), field))
    return found


def least(params: type[FlowParams]) -> FlowParams:
    """Parameters of a command that is given no more than it must be."""
    return cli.parse(params, REQUIRED.get(params, []))


def schema_of(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """What a JSON schema says of one field."""
    node = schema
    for name in path:
        reference = node.get("$ref") or next(iter(node.get("allOf", ())), {}).get("$ref")
        if reference:
            node = schema["$defs"][reference.rsplit("/", 1)[-1]]
        node = node["properties"][name]
    return node


def choices(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType, tuple):
        return set().union(*map(choices, get_args(annotation)))
    return set()


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def value_for(field: Any) -> tuple[str, Any] | None:
    """Another valid value than the default, as it is typed and as it arrives."""
    if field.default is False or field.default is True:
        return None
    if field.examples:
        return str(field.examples[0]), field.examples[0]
    options = sorted(map(str, choices(field.annotation) - {field.default}))
    if options:
        return options[0], options[0]
    # Within every range that a field allows.
    low = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in field.metadata if hasattr(bound, "le")), None)
    if "int" in str(field.annotation):
        value = 12_000 if low is None else low + 1
        return str(value), value
    if "float" in str(field.annotation):
        number = next((bound for bound in (low, high) if bound is not None), 0.5)
        return str(number), float(number)
    # A language that Whisper knows, and a text like any other.
    return "pt", "pt"


@pytest.mark.parametrize("params", PARAMS)
def test_command_line_prefects_schema_and_defaults_agree(params: type[FlowParams], capsys):
    schema = params.model_json_schema()
    text = helped(capsys, params)
    defaults = json.loads(least(params).model_dump_json())
    for path, field in leaves(params):
        if field.is_required():
            assert f" {path[0]} " in text
            continue
        extra = field.json_schema_extra or {}
        name = extra.get("flag", ".".join(path))
        flag = f"--no_{name}" if field.default is True else f"--{name}"
        assert re.search(rf" {re.escape(flag)}( |$)", text), f"{flag} is not in the help"
        described = schema_of(schema, path)
        assert described["default"] == value_at(defaults, path), path
        assert field.description, flag
        assert described["description"] == field.description
        # The help wraps at hyphens, too.
        assert field.description.replace("- ", "-") in text.replace("- ", "-"), flag
        if choices(field.annotation):
            assert "{" in text.split(f" {flag} ")[1][:20], flag
        if "unit" in extra:
            shown = text.split(f" {flag} ")[1].split(" --")[0]
            assert extra["unit"] in shown, flag
        if field.default not in (None, False, True, ()):
            default = field.default if isinstance(field.default, tuple) else (field.default,)
            assert f"(default: {' '.join(map(str, default))}" in text, flag


def test_parameters_become_the_command_line_that_they_come_from():
    given = ["a b", "c", "--ids", "3", "-4", "--dry", "--model.hop_seconds=0.5"]
    params = parse(*given)
    assert sorted(cli.arguments(params)) == sorted(given)
    assert parse(*cli.arguments(params)) == params
    assert cli.arguments(parse("a", "--max_tracks", "none")) == ["a"]


@pytest.mark.parametrize("params", PARAMS)
def test_every_flag_sets_its_field_and_no_other(params: type[FlowParams]):
    before = json.loads(least(params).model_dump_json())
    # Options that are only valid together.
    tied = {
        ("shard_index",): ["--total_shards", "20000"],
        ("total_shards",): ["--shard_index", "0"],
        ("split_fractions",): ["0.25", "0.25"],
        ("distort", "max_snr_db"): ["--distort.min_snr_db", "0.5"],
    }
    for path, field in leaves(params):
        if field.is_required():
            continue
        name = (field.json_schema_extra or {}).get("flag", ".".join(path))
        pair = value_for(field)
        if pair is None:
            flag = f"--no_{name}" if field.default else f"--{name}"
            argv, expected = [flag], not field.default
        else:
            argv, expected = [f"--{name}", pair[0]], pair[1]
        companions = tied.get(path, [])
        arguments = [*REQUIRED.get(params, []), *argv, *companions]
        parsed = cli.parse(params, arguments)
        assert cli.parse(params, cli.arguments(parsed)) == parsed, name
        values = json.loads(parsed.model_dump_json())
        found = value_at(values, path)
        assert found == expected or found[:1] == [expected], name
        others = dict(leaves_of(values))
        changed = {key for key, value in leaves_of(before) if others[key] != value}
        beside = {tuple(flag.removeprefix("--").split(".")) for flag in companions[:1]}
        assert changed - beside <= {path}, name


def leaves_of(values: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if not isinstance(values, dict):
        return [(path, values)]
    return [leaf for name, value in values.items() for leaf in leaves_of(value, (*path, name))]


@pytest.mark.parametrize("params", PARAMS)
def test_parameters_travel_as_json(params: type[FlowParams]):
    assert params.model_validate_json(least(params).model_dump_json()) == least(params)


@pytest.mark.parametrize(
    ("params", "command"),
    [
        (BuildDatasetParams, BuildDatasetCommand),
        (PrepareStemsParams, RunCommand),
        (StemsParams, RunCommand),
    ],
)
def test_what_only_the_command_can_be_asked_for_is_not_in_prefects_form(
    params: type[FlowParams], command: type[FlowParams]
):
    argv = [*REQUIRED.get(params, []), "--list_runs", "--resume_run_id", "79fe8f70"]
    given, asked = cli.parse_command(params, command, argv)
    assert given == least(params)
    assert (asked.list_runs, asked.resume_run_id) == (True, "79fe8f70")
    assert not set(params.model_fields) & set(command.model_fields)
    assert not set(params.model_json_schema()["properties"]) & set(command.model_fields)
    for name, field in command.model_fields.items():
        assert field.description, name


def test_a_switch_is_described_as_what_it_does_and_on_the_command_line_as_turned_off(capsys):
    described = BuildDatasetParams.model_json_schema()["properties"]["llm"]["description"]
    assert described == "Rewrite the texts that templates made with an LLM."
    assert "--no_llm Switch off: Rewrite the texts that templates made with an LLM." in helped(
        capsys, BuildDatasetParams
    )


def test_the_options_of_the_tables_are_there(capsys):
    with pytest.raises(SystemExit):
        cli.parse_command(BuildDatasetParams, BuildDatasetCommand, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for flag in (
        "audio_dir",
        "output",
        "vocals_output_dir",
        "profile",
        "on_error",
        "tracks_csv",
        "genres_csv",
        "metadata_mapping",
        "device",
        "pitch_method",
        "crepe_model",
        "llm_model",
        "llm_cache",
        "max_tracks",
        "min_segment",
        "sample_rate",
        "no_segments",
        "no_features",
        "workers",
        "batch_size",
        "estimate_time",
        "checkpoint_dir",
        "run_name",
        "resume_run_id",
        "merge",
        "list_runs",
        "shard_index",
        "total_shards",
        "shard_by",
        "merge_shards",
        "skip",
    ):
        assert f" --{flag} " in text, flag


@pytest.mark.parametrize("asked", [["lyrics"], ["phonemes", "tempo"], ["vocals_path"]])
def test_some_steps_come_with_all_that_they_and_the_records_need(asked: list[str]):
    stages = BuildDatasetParams(profile="offline", steps=asked).stages()
    names = [stage.step.name for stage in stages]
    assert names[-1] == "merge"
    for stage in stages:
        assert set(stage.step.upstream) <= set(names), stage.step.name
    assert len(names) < 7, "and with nothing else"


def test_all_steps_but_some():
    every = [stage.step.name for stage in BuildDatasetParams(profile="offline").stages()]
    costly = ["activity", "tags", "vocal_scores"]
    stages = BuildDatasetParams(profile="offline", skip=costly).stages()
    assert [stage.step.name for stage in stages] == [name for name in every if name not in costly]


@pytest.mark.parametrize(
    ("skip", "said"),
    [
        (["tagz"], "--skip: tagz is no step that this run can do without; there are probe, act"),
        (["merge"], "--skip: merge is no step that this run can do without"),
        (["pitch"], "--skip: singing needs pitch"),
    ],
)
def test_what_others_need_is_not_skipped(skip: list[str], said: str):
    with pytest.raises(ValueError, match=said):
        BuildDatasetParams(profile="offline", skip=skip).stages()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--shard_index", "0"], "--shard_index and --total_shards belong together"),
        (["--total_shards", "2"], "--shard_index and --total_shards belong together"),
        (["--shard_index", "2", "--total_shards", "2"], "must be less than --total_shards"),
    ],
)
def test_shards_are_checked_together(capsys, argv, said):
    assert said in failing(capsys, BuildDatasetParams, *argv)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (cli.UsageError("Wrong."), 2),
        (cli.StorageError("Full."), 1),
        (cli.ClusterError("Gone."), 1),
        (cli.ServerError("Silent."), 1),
        (cli.FailedTracksError("Failed."), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_a_status(
    capsys, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
):
    monkeypatch.setattr(cli, "_quieten", lambda: None)

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as raised:
        cli.run(fail)
    assert raised.value.code == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert str(error) in captured.err


def test_a_bug_stays_a_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli, "_quieten", lambda: None)
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: print(1 // 0))
