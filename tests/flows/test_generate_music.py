"""generate-music: what is refused before any work, what a run leaves, and that a seed says all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from flows import generate_music
from flows.cli import UsageError, parse
from flows.generate_music_params import GenerateMusicParams
from flows.run import Conclusion
from models import adapters, musicgen, registry, trained
from models.tiny.write import write
from models.weights import read_manifest, write_manifest
from tasks.engine.plan import plan, run_here
from tests.flows.conftest import environment, standing_worker
from tests.support import commands, learnt_concepts, prefect_server
from tests.support.commands import ROOT
from tests.support.shared import made_once

SECONDS = 0.2
PEAK = 32767 / 32768


@dataclass(frozen=True)
class Folders:
    """Tiny generators, and concepts that one of them was taught."""

    models: Path
    embeds: Path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    def make(folder: Path) -> None:
        for name in ("musicgen-small", "musicgen-medium"):
            write(folder / "models", name)
        found = read_manifest(folder / "models" / "musicgen-small")
        assert found is not None
        learnt_concepts.write_folder(
            folder / "embeds",
            {"8bit": 2, "pads": 3},
            model="musicgen-small",
            revision=found.revision,
        )

    folder = made_once(tmp_path_factory, "generators", make)
    return Folders(folder / "models", folder / "embeds")


def params(folders: Folders, *arguments: str | Path) -> GenerateMusicParams:
    given = ("--models_dir", folders.models, "--length", SECONDS, "--device", "cpu")
    return parse(GenerateMusicParams, [str(each) for each in (*given, *arguments)])


def carried_out(asked: GenerateMusicParams) -> tuple[Conclusion, int]:
    """What a run concludes, without Prefect, and how many pieces it made."""
    survey = generate_music.survey(asked, generate_music.check(asked))
    tables = asked.results_place.below("steps")
    made = plan(asked.stages(), survey.tracks, tables, asked.tools(), run_id="r", workers=1)
    pending = made.pending.total()
    run_here(made)
    return generate_music.conclude(asked, made.results, survey), pending


def table(output: Path) -> dict[tuple[str, int], Mapping[str, Any]]:
    rows = pq.read_table(output / "generated.parquet").to_pylist()
    return {(row["prompt"], row["seed"]): row for row in rows}


def sound(output: Path, row: Mapping[str, Any]) -> Any:
    return soundfile.read(output / row["file"], always_2d=True)[0].T


def test_music_and_a_table_come_out_of_the_command(folders: Folders, tmp_path: Path):
    (tmp_path / "prompts.txt").write_text("calm piano\n")
    done = commands.run_forked(
        ROOT / "flows" / "generate_music.py",
        [
            *("--prompts", "prompts.txt", "--output", "out", "--length", "0.5"),
            *("--models_dir", folders.models, "--device", "cpu", *standing_worker()),
        ],
        tmp_path,
        environment(**prefect_server.variables()),
    )
    assert done.status == 0, done
    [row] = table(tmp_path / "out").values()
    assert f"1 piece (0 s) of musicgen-small: out/\n{row['file']}\n" in done.stdout
    assert sound(tmp_path / "out", row).shape == (1, 16_000)


def test_a_piece_is_what_its_prompt_its_seed_and_the_concepts_say(folders: Folders, tmp_path: Path):
    out = tmp_path / "out"
    both = "a song like <8bit> and <pads>"
    asked = (both, "drums", "--embeds", folders.embeds, "--output", out)
    done, pending = carried_out(params(folders, *asked, "--count", "2"))
    assert (done.counts, pending) == ({"tracks": 4, "failed": 0}, 4)
    rows = table(out)
    # Made by hand, and alone.
    generator = musicgen.load(
        registry.card("musicgen-small"), "cpu", folders.models / "musicgen-small"
    )
    learnt = adapters.load(trained.card(folders.embeds), place=folders.embeds)
    [expected] = generator.generate([both], [1], seconds=SECONDS, concepts=learnt)
    row = rows[both, 1]
    gain = PEAK / np.abs(expected).max()
    assert row["gain_db"] == pytest.approx(20 * np.log10(gain))
    assert row["gain_db"] < 0
    found = sound(out, row)
    np.testing.assert_allclose(found, expected * gain, atol=2**-15)
    assert "4 pieces would have been clipped: written " in done.summary
    # One more of each: the others stay, and so does what was made.
    before = (out / row["file"]).stat()
    _, pending = carried_out(params(folders, *asked, "--count", "1", "--seed", "2"))
    assert pending == 2
    assert len(table(out)) == 6
    assert (out / row["file"]).stat() == before
    # The seed is all that makes the piece again elsewhere, without the others.
    elsewhere = tmp_path / "elsewhere"
    again = (both, "--embeds", folders.embeds, "--output", elsewhere, "--seed", "1")
    carried_out(params(folders, *again))
    [same] = table(elsewhere).values()
    assert (elsewhere / same["file"]).read_bytes() == (out / row["file"]).read_bytes()


def test_what_the_music_depends_on_stands_in_the_table_and_in_the_name(
    folders: Folders, tmp_path: Path
):
    out = tmp_path / "out"
    names = set()
    for options in (
        (),
        ("--cfg-coef", "1"),
        ("--top-k", "5"),
        ("--temperature", "0.5"),
        ("--model-name", "medium"),
    ):
        asked = params(folders, "drums", "--output", out, *options)
        done, pending = carried_out(asked)
        assert pending == 1
        [file] = {path.name for path in out.glob("*.wav")} - names
        names.add(file)
    rows = pq.read_table(out / "generated.parquet").to_pylist()
    said = [(each["cfg_coef"], each["top_k"], each["temperature"], each["model"]) for each in rows]
    assert said == [
        (3, 250, 1, "musicgen-small"),
        (1, 250, 1, "musicgen-small"),
        (3, 5, 1, "musicgen-small"),
        (3, 250, 0.5, "musicgen-small"),
        (3, 250, 1, "musicgen-medium"),
    ]
    assert all(each["model_revision"].startswith("tiny-") for each in rows)
    assert {each["embeds"] for each in rows} == {None}
    assert len({sound(out, each).tobytes() for each in rows}) == 5
    assert ", with 4 pieces of earlier runs" in done.summary


def test_a_piece_that_is_no_sound_is_a_failure_and_tried_again(folders: Folders, tmp_path: Path):
    models = tmp_path / "models"
    shutil.copytree(folders.models / "musicgen-small", models / "musicgen-small")
    weights = models / "musicgen-small" / "model.safetensors"
    tensors = load_file(weights)
    [last] = [
        name
        for name in tensors
        if name.startswith("audio_encoder.decoder") and name.endswith("conv.bias")
    ][-1:]
    save_file({**tensors, last: np.full_like(tensors[last], np.nan)}, weights, {"format": "pt"})
    card = registry.card("musicgen-small")
    write_manifest(models / "musicgen-small", card, revision="tiny-nan", licence="CC0-1.0")
    asked = params(folders, "drums", "--output", tmp_path / "out", "--models_dir", models)
    for _ in range(2):
        done, pending = carried_out(asked)
        assert pending == 1
    assert done.nothing_made is not None
    assert done.nothing_made.startswith("No piece could be made: The model made samples that are")
    [failed] = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert json.loads(failed)["reason"] == "not-finite"
    assert json.loads(failed)["file_path"] == "drums (seed 0)"


def test_a_generator_of_ones_own_is_known_by_its_content(folders: Folders, tmp_path: Path):
    own, out = tmp_path / "mine", tmp_path / "out"
    published = folders.models / "musicgen-small"
    # As transformers saves a model: no manifest of ours.
    shutil.copytree(published, own, ignore=lambda *_: ["songmill.json", ".songmill-verified"])
    for name in ("small", own):
        carried_out(params(folders, "drums", "--output", out, "--model_name", name))
    first, second = pq.read_table(out / "generated.parquet").to_pylist()
    assert first["model"] == "musicgen-small"
    assert second["model"] == f"musicgen-{second['model_revision'][:8]}"
    assert second["model_licence"] == "unknown"
    np.testing.assert_array_equal(sound(out, first), sound(out, second))
    # Elsewhere it is the same one; with other weights it is another.
    moved = own.rename(tmp_path / "moved")
    assert carried_out(params(folders, "drums", "--output", out, "--model_name", moved))[1] == 0
    weights = moved / "model.safetensors"
    changed = {name: 1.5 * each for name, each in load_file(weights).items()}
    save_file(changed, weights, {"format": "pt"})
    assert carried_out(params(folders, "drums", "--output", out, "--model_name", moved))[1] == 1
    third = pq.read_table(out / "generated.parquet").to_pylist()[2]
    assert (sound(out, third) != sound(out, first)).any()
    weights.rename(moved / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"moved has no weights in \.safetensors: save the model"):
        generate_music.check(params(folders, "drums", "--model_name", moved))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No prompt is given: "),
        (["--prompts", "gone.txt"], "--prompts gone.txt cannot be read: No such file"),
        (["a <8bit> song"], "<8bit> stands for a concept, and none is known: give the folder of"),
        (
            ["ok", "an <8bits> song", "--embeds", "EMBEDS"],
            "<8bits> is no concept that was learnt (did you mean <8bit>?): there are <8bit>, <pa",
        ),
        (
            ["<8bit>", "--embeds", "EMBEDS", "--model_name", "medium"],
            "EMBEDS holds concepts that were learnt with musicgen-small, and to musicgen-medium",
        ),
        (
            ["<8bit>", "--embeds", "OTHER"],
            "OTHER holds concepts that were learnt with musicgen-small at revision tiny-other, and",
        ),
        (["x", "--embeds", "gone"], "--embeds gone is not on this machine."),
        (["x", "--embeds", "."], "--embeds . holds no trained model: "),
        (["x", "--model_name", "huge"], "--model_name huge is not on this machine. It is one of s"),
        (
            ["x", "--model_name", "EMBEDS"],
            "--model_name EMBEDS is a model of musical-concepts, not",
        ),
        (["x", "--model_name", "large"], "Models are missing or damaged in MODELS: musicgen-large"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    learnt_concepts.write_folder(
        tmp_path / "other", {"8bit": 1}, model="musicgen-small", revision="tiny-other"
    )
    places = {"EMBEDS": folders.embeds, "OTHER": tmp_path / "other", "MODELS": folders.models}
    with pytest.raises(UsageError) as raised:
        generate_music.check(params(folders, *(places.get(each, each) for each in arguments)))
    for name, place in places.items():
        message = message.replace(name, str(place))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "generated").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--length", "31"], "--length: Input should be less than or equal to 30"),
        ([" "], "prompt: an empty prompt describes no music"),
        (["x", "--seed", str(2**63 - 1), "--count", "2"], "is too large"),
        (["x", "--cfg-coef", "0"], "--cfg_coef: Input should be greater than or equal to 1"),
    ],
)
def test_values_out_of_range(arguments: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        parse(GenerateMusicParams, arguments)
    assert message in capsys.readouterr().err


def test_prompts_may_stand_before_and_after_options():
    for arguments in (["a b", "c", "--count", "2"], ["--count", "2", "a b", "c"]):
        found = parse(GenerateMusicParams, arguments)
        assert (found.prompt, found.count) == (("a b", "c"), 2)
