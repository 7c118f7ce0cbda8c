"""The documents say what the code does: options, columns, links, and examples to follow."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetCommand, BuildDatasetParams
from flows.flags import flags_of
from tasks.engine.plan import plan, run_here
from tasks.engine.stage import Stage
from tasks.song import columns, schema
from tasks.song.columns import Column, Rounding
from tasks.step import Row, Tools, Track
from tests.conftest import RATE_HZ, tone

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BUILD_DATASET = ROOT / "docs" / "build-dataset.md"
DATASET = ROOT / "docs" / "dataset.md"
EXTENDING = ROOT / "docs" / "extending.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
STATED_DEFAULT = re.compile(r" ?\(default: (.*?)\)\.?$")
STEP_EXAMPLE = "tasks/song/level.py"
LAYOUT_EXAMPLE = "tasks/corpora/bracketed.py"
EXAMPLES = {STEP_EXAMPLE: "STEP = Step(", LAYOUT_EXAMPLE: ") -> Claim:"}
"""Files that the examples of a document are called, no files of the project; what is in each."""


def test_options_are_those_of_the_command():
    expected = options_table()
    assert table_under(BUILD_DATASET, "## All options") == expected, "\n" + "\n".join(expected)


@pytest.mark.parametrize(
    ("heading", "columns"), [("## Tracks", columns.TRACKS), ("## Segments", columns.SEGMENTS)]
)
def test_columns_are_those_of_the_table(heading: str, columns: Sequence[Column]):
    expected = columns_table(columns)
    found = table_under(DATASET, heading)
    assert found == expected, "\n" + "\n".join(expected)


def test_the_example_entry_has_every_field_in_order():
    entry = shown_entry(DATASET)
    assert list(entry) == [*schema.TRACKS.names, "segments"]
    names = [name for name in schema.SEGMENTS.names if name != "track_id"]
    assert [list(segment) for segment in entry["segments"]] == [names]


def test_the_readme_shows_a_part_of_the_example_entry():
    assert_part_of(shown_entry(README), shown_entry(DATASET))


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 160


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(document: Path):
    text = document.read_text()
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    named = re.findall(
        r"`((?:flows|tasks|models|blocks|tests|examples|benchmarks|docs|\.ci)/[\w./-]*)`", text
    )
    targets = {document.parent / link for link in links if not link.startswith("http")}
    targets |= {ROOT / path for path in named if path not in EXAMPLES}
    assert [str(target) for target in sorted(targets) if not target.exists()] == []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", text):
        if not target.startswith("http"):
            assert anchor in anchors(document.parent / target if target else document)


def test_the_example_step_measures_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "example_level.py").write_text(example(STEP_EXAMPLE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    songs = tmp_path / "songs"
    songs.mkdir()
    soundfile.write(songs / "tone.wav", tone(seconds=2.0), RATE_HZ)
    soundfile.write(songs / "silence.wav", np.zeros(RATE_HZ), RATE_HZ)
    (songs / "text.wav").write_text("no audio")

    rows = rows_of("example_level", songs, tmp_path / "steps")

    # A sine of amplitude 0.5: 6.02 dB below full scale, its RMS 3.01 dB below that.
    assert rows["tone.wav"]["peak_dbfs"] == pytest.approx(-6.02, abs=0.005)
    assert rows["tone.wav"]["rms_dbfs"] == pytest.approx(-9.03, abs=0.005)
    assert (rows["silence.wav"]["status"], rows["silence.wav"]["rms_dbfs"]) == ("ok", None)
    assert rows["text.wav"]["status"] == "failed"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code with all examples and edits of the document."""
    root = tmp_path_factory.mktemp("extended")
    for package in ("blocks", "flows", "models", "tasks"):
        shutil.copytree(ROOT / package, root / package)
    for path in EXAMPLES:
        (root / path).write_text(example(path))
    for edit in blocks(EXTENDING, "diff"):
        apply(edit, root)
    return root


def test_the_example_edits_make_the_step_a_column_and_its_config_options(extended: Path):
    (extended / "songs").mkdir()
    soundfile.write(extended / "songs" / "tone.wav", tone(seconds=2.0), RATE_HZ)
    assert printed(BUILD_WITH_LEVEL, extended) == {
        "stages": ["probe", "level", "merge"],
        "in_schema": True,
        "rms_dbfs": -9.03,
        "option": "--level.sample_rate_hz N",
    }


def test_the_example_layout_finds_songs_and_leaves_other_files(extended: Path):
    names = ["Ann - One [bass].wav", "Ann - One [drums].wav", "Bo - Two [drums].flac", "plain.wav"]
    (extended / "stems" / "deep").mkdir(parents=True)
    for name in names:
        (extended / "stems" / "deep" / name).touch()
    assert printed(FIND_LAYOUT, extended) == {
        "after": "musdb18-hq",
        "songs": [
            ["deep/Ann - One", "Ann", "One", ["bass", "drums"]],
            ["deep/Bo - Two", "Bo", "Two", ["drums"]],
        ],
        "left": ["deep/plain.wav"],
    }


def test_the_example_card_has_two_sources(extended: Path):
    assert printed(SOURCES_OF_CARD, extended) == [
        "Systran/faster-whisper-tiny",
        "s3://models/whisper-tiny",
    ]


BUILD_WITH_LEVEL = """
import json
from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from flows.flags import flags_of
from tasks.engine.plan import plan, run_here
from tasks.song import schema
from tasks.step import Tools, Track

kept = ("probe", "level", "merge")
stages = [each for each in BuildDatasetParams().stages() if each.step.name in kept]
tools = Tools(Storage("songs"), Storage("vocals"))
track = Track("id", "tone.wav")
made = plan(stages, [track], Storage("steps"), tools, run_id="run", workers=1)
run_here(made)
row = made.results.row("merge", track)
(option,) = [each for each in flags_of(BuildDatasetParams) if each.name.startswith("level.")]
print(json.dumps({
    "stages": [each.step.name for each in stages],
    "in_schema": "rms_dbfs" in schema.TRACKS.names,
    "rms_dbfs": json.loads(row["record"])["rms_dbfs"],
    "option": f"--{option.name} {option.metavar}",
}))
"""

FIND_LAYOUT = """
import json
from blocks.storage import Storage
from tasks.corpora.layouts import LAYOUTS

source = Storage("stems")
paths = sorted(source.files())
claim = LAYOUTS["bracketed"](source, paths)
print(json.dumps({
    "after": list(LAYOUTS)[list(LAYOUTS).index("bracketed") - 1],
    "songs": [[x.path, x.artist, x.title, [y.name for y in x.stems]] for x in claim.songs],
    "left": sorted(set(paths) - claim.paths),
}))
"""

SOURCES_OF_CARD = """
import json
from models.registry import card

print(json.dumps([str(each) for each in card("whisper-tiny").sources]))
"""


def printed(code: str, root: Path) -> Any:
    """What Python code prints as JSON, run where other code than the project's lies."""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def options_table() -> list[str]:
    """The table of options, as the parameters have it."""
    groups: dict[str, list[str]] = {}
    for flag in [*flags_of(BuildDatasetParams), *flags_of(BuildDatasetCommand)]:
        description = flag.field.description or ""
        stated = STATED_DEFAULT.search(description)
        text = STATED_DEFAULT.sub("", description).rstrip(".")
        unit = f" {flag.extra['unit']}" if "unit" in flag.extra else ""
        default = flag.field.get_default(call_default_factory=True)
        if isinstance(default, tuple):
            default = " ".join(map(str, default))
        if isinstance(default, bool):
            option, shown = f"--{'no_' if default else ''}{flag.name}", ""
            text = f"Switch off: {text}" if default else text
        else:
            option = f"--{flag.name} {flag.metavar}{' ...' if flag.is_list else ''}"
            shown = stated[1] if stated else "" if default is None else f"`{default}`{unit}"
        if unit and not shown:
            text += f" ({unit.strip()})"
        groups.setdefault(flag.group, []).append(f"| `{option}` | {shown} | {text} |")
    lines = ["| Option | Default | What it does |", "| --- | --- | --- |"]
    for group, rows in groups.items():
        lines += [f"| **{group}** | | |", *rows]
    return lines


def columns_table(columns: Sequence[Column]) -> list[str]:
    """The document's table of a Parquet file's columns."""
    lines = [
        "| Column | Type | Unit | Rounded to | Step | What it is |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{each.name}` | {shown_type(each.type)} | {each.unit or ''} "
        f"| {shown_rounding(each.rounding)} | {each.step} | {each.description} |"
        for each in columns
    ]
    return lines


def shown_rounding(rounding: Rounding | Mapping[str, Rounding] | None) -> str:
    if rounding is None:
        return ""
    if isinstance(rounding, Rounding):
        if rounding.decimals is None:
            return f"{rounding.digits} digits"
        return f"{rounding.decimals} decimals"
    fields: dict[str, list[str]] = {}
    for name, each in rounding.items():
        fields.setdefault(shown_rounding(each), []).append(name)
    return "; ".join(f"{', '.join(names)}: {shown}" for shown, names in fields.items())


def shown_type(type_: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(type_):
        return f"{shown_type(type_.value_type)}[{type_.list_size}]"
    if pa.types.is_list(type_):
        return f"list of {shown_type(type_.value_type)}"
    if pa.types.is_struct(type_):
        return "struct (" + ", ".join(each.name for each in type_) + ")"
    return "float64" if pa.types.is_float64(type_) else str(type_).replace("float", "float32")


def table_under(document: Path, heading: str) -> list[str]:
    """Lines of the first table below a heading."""
    below = document.read_text().partition(f"{heading}\n")[2].splitlines()
    start = next(at for at, line in enumerate(below) if line.startswith("|"))
    stop = next((at for at in range(start, len(below)) if not below[at].startswith("|")), None)
    return below[start:stop]


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def shown_entry(document: Path) -> dict[str, Any]:
    """The entry of a dataset that a document shows, without what is left out of it."""
    (shown,) = blocks(document, "json")
    entry: dict[str, Any] = json.loads(re.sub(r",?\s*\.\.\.", "", shown))
    return entry


def assert_part_of(part: Any, whole: Any) -> None:
    """Fields of `part` are fields of `whole`, with the same values and in the same order."""
    if isinstance(part, dict):
        assert list(part) == [name for name in whole if name in part]
        for name, value in part.items():
            assert_part_of(value, whole[name])
    elif isinstance(part, list):
        assert len(part) <= len(whole)
        for value, of_whole in zip(part, whole, strict=False):
            assert_part_of(value, of_whole)
    else:
        assert part == whole


def blocks(document: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.DOTALL | re.M)


def example(path: str) -> str:
    """Code of the document that stands for a file."""
    (code,) = [block for block in blocks(EXTENDING, "python") if EXAMPLES[path] in block]
    return code


def rows_of(module: str, songs: Path, tables: Path) -> dict[str, Row]:
    """Rows that a step stores for the files of a folder, after the probe."""
    steps = [import_module(name).STEP for name in ("tasks.song.probe", module)]
    stages = [Stage(step, step.config()) for step in steps]
    tracks = [Track(track_id=path.name, path=path.name) for path in sorted(songs.iterdir())]
    tools = Tools(source=Storage(str(songs)), outputs=Storage(str(tables)))
    made = plan(stages, tracks, Storage(str(tables)), tools, run_id="run", workers=1)
    run_here(made)
    return {track.path: made.results.row(steps[-1].name, track) for track in tracks}


def apply(edit: str, root: Path) -> None:
    """Apply a diff; what it leaves as it is has to stand in the file just so, and once."""
    header, *hunks = re.split(r"^@@.*\n", edit, flags=re.MULTILINE)
    path = root / header.partition("+++ ")[2].strip()
    text = path.read_text()
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(before) == 1, f"{path.name} does not hold, once:\n{before}"
        text = text.replace(before, after)
    path.write_text(text)
