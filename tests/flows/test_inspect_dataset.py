"""What changed between two builds of songs, against the table of columns worked out by hand."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from blocks.storage import Storage
from examples.songs import make_song, write_song
from flows import build_dataset, cli, inspect_dataset
from flows.build_dataset_params import BuildDatasetParams
from flows.inspect_dataset_params import InspectDatasetParams
from tasks.dataset.comparison import ColumnChange, Comparison, compare
from tasks.dataset.corrections import Correction, add
from tasks.dataset.manifest import read_manifest, write_manifest
from tasks.engine.plan import plan, run_here

STEPS = ["tempo", "dominant_key", "section_type", "f0_contour", "vibrato_rate", "lyrics"]

OF_PITCH = {"f0_mean", "f0_contour"}
OF_SINGING = {"vibrato_rate", "vibrato_extent", "breath_positions"}
"""`singing` listens where there is a pitch."""

OF_FEATURES = {"tempo", "tempo_confidence", "energy", "rms", "spectral_centroid", "chroma", "mel"}
OF_FEATURES |= {"mfcc", "beats", "duration"}
"""The duration is that of the decoded signal, of which `features` are."""

OF_HARMONY = {"dominant_key", "mode", "key_confidence", "chords"}
OF_LYRICS = {"lyrics", "lyrics_language", "lyrics_source", "lyrics_lines", "lyrics_words"}
OF_LYRICS |= {"lyrics_translation", "lyrics_sections", "lyrics_notices"}
OF_BEATS = {"downbeats", "time_signature"}

OF_SEGMENTS = {"start_time", "end_time", "section_type", "energy", "rms"}
OF_SEGMENTS |= {"spectral_centroid", "chroma", "mfcc", "has_vocals", "vocal_ratio"}
OF_SEGMENTS |= {"segment_lyrics", *OF_PITCH, *OF_SINGING}
"""All that is measured within the boundaries of `sections`, which lie on beats."""


def of(table: str, names: set[str]) -> set[str]:
    return {f"{table}.{name}" for name in names}


FROM_BEATS = of("tracks", OF_FEATURES | OF_HARMONY | OF_LYRICS | OF_BEATS)
FROM_BEATS |= of("segments", OF_SEGMENTS)
"""`beats` is upstream of `features`, these of `harmony`, `sections` and `lyrics`. Rows of
segments are compared by their place in the track, which is therefore no column of these."""

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds datasets of two songs, of which only what is missing is computed."""
    folder = tmp_path_factory.mktemp("builds")
    for seed in (1, 2):
        song = make_song(seed, seconds=6, structure=("verse",), tempo_bpm=60.0 * seed + 20)
        write_song(song, folder / "songs", f"song-{seed}", format="flac")

    def built(name: str, audio_dir: Path = folder / "songs", **options: Any) -> Path:
        given = {"audio_dir": str(audio_dir), "output": folder / f"{name}.json"}
        given |= {"profile": "offline", "separator": "repet", "steps": STEPS}
        given |= {"checkpoint_dir": str(folder / "results"), "pitch": {"method": "pyin"}}
        params = BuildDatasetParams(**given | options)
        survey = build_dataset.survey(params, build_dataset.check(params))
        tables = params.results_place.below("steps")
        made = plan(params.stages(), survey.tracks, tables, params.tools(), run_id="", workers=1)
        run_here(made)
        build_dataset.conclude(params, made.results, survey)
        return params.output

    return built


@pytest.fixture(scope="module")
def before(build: Build) -> Path:
    return build("before")


def changed(comparison: Comparison) -> dict[str, ColumnChange]:
    return {f"{each.table}.{each.name}": each for each in comparison.columns}


def test_another_hop_of_the_pitch_changes_pitch_and_singing_alone(build: Build, before: Path):
    now = build("hop", pitch={"method": "pyin", "hop_seconds": 0.02})
    comparison = compare(now, before)
    columns = changed(comparison)
    assert columns.keys() == of("segments", OF_PITCH | OF_SINGING)
    assert comparison.making == ["pitch: hop_seconds 0.01 -> 0.02"]
    contour = columns["segments.f0_contour"]
    assert (contour.rows, contour.differing) == (2, 2)
    assert contour.reasons == ["pitch: hop_seconds 0.01 -> 0.02"]
    vibrato = columns["segments.vibrato_rate"]
    assert vibrato.reasons == ["pitch: hop_seconds 0.01 -> 0.02, by way of singing"]
    # No breath is heard in either build.
    breaths = columns["segments.breath_positions"]
    assert (breaths.differing, breaths.made_otherwise) == (0, True)
    lines = inspect_dataset.describe(comparison).splitlines()
    same = lines[lines.index("Made otherwise, same values:") + 1 :]
    assert [line for line in same if "breath_positions" in line] != []
    assert [line for line in same if "f0_contour" in line] == []


def test_beats_by_onsets_change_all_that_rests_on_beats_and_nothing_else(
    build: Build, before: Path
):
    comparison = compare(build("onsets", beat_method="onsets"), before)
    columns = changed(comparison)
    assert columns.keys() == FROM_BEATS
    assert comparison.making == ["beats: part of the run only before"]
    downbeats = columns["tracks.downbeats"]
    assert (downbeats.differing, downbeats.only_before) == (2, 2)
    chords = columns["tracks.chords"]
    assert chords.reasons == ["beats: part of the run only before, by way of features, harmony"]
    assert (columns["tracks.mel"].differing, columns["tracks.mel"].made_otherwise) == (0, True)


def test_the_same_build_again_differs_in_nothing(build: Build, before: Path):
    comparison = compare(build("again"), before)
    assert (comparison.columns, comparison.making, comparison.notices) == ([], [], [])
    assert comparison.rows["segments"]["both"] == 2


def test_a_manifest_without_recipes_is_said_to_be_old(build: Build, before: Path, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(before.with_suffix(""), old, ignore=shutil.ignore_patterns("results"))
    manifest = read_manifest(Storage(str(old)))
    assert manifest is not None
    del manifest["steps"]
    write_manifest(Storage(str(old)), manifest)
    comparison = compare(build("hop", pitch={"method": "pyin", "hop_seconds": 0.02}), old)
    [notice] = comparison.notices
    assert f"{old} was built before" in notice
    # The columns' own steps are compared, but what follows from them is not known.
    contour = changed(comparison)["segments.f0_contour"]
    assert contour.reasons == ["pitch: hop_seconds 0.01 -> 0.02"]
    assert "segments.breath_positions" in comparison.unchanged


def test_files_and_corrections_are_told_from_steps(build: Build, before: Path, tmp_path: Path):
    songs = tmp_path / "songs"
    shutil.copytree(before.parent / "songs", songs)
    (songs / "song-1.flac").rename(songs / "moved.flac")
    (songs / "song-1.lrc").rename(songs / "moved.lrc")
    with open(songs / "song-2.flac", "ab") as file:
        file.write(b"\0" * 64)
    now = build("files", songs)
    comparison = compare(now, before)
    # Paths name the folder that was given, which is another.
    assert comparison.files["removed"].examples == [f"{before.parent}/songs/song-2.flac"]
    assert comparison.files["added"].examples == [f"{songs}/song-2.flac"]
    moved = f"{before.parent}/songs/song-1.flac -> {songs}/moved.flac"
    assert comparison.files["moved"].examples == [moved]
    assert changed(comparison).keys() == of(
        # Another track in the dataset, and songs are shared out anew.
        "tracks",
        {"source_id", "file_path", "split"},
    )
    assert all("files" in each.reasons[0] for each in comparison.columns)

    [kept] = [each for each in ids(now) if each in ids(before)]
    add(Storage(str(now.with_suffix(""))), Correction(kept, "tempo", 128.5, by="a test"))
    tempo = changed(compare(build("files", songs), before))["tracks.tempo"]
    assert (tempo.differing, tempo.made_otherwise) == (1, False)
    assert tempo.reasons == ["corrections of people: 0 -> 1"]


def ids(dataset: Path) -> list[str]:
    return [each["track_id"] for each in orjson.loads(dataset.read_bytes())]


def test_the_command_prints_and_writes_a_page(
    before: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def command(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["inspect_dataset.py", str(before), *options])
        with pytest.raises(SystemExit) as ended:
            inspect_dataset.main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "tracks: 2 rows" in command()
    assert "Suspicious" in (before.with_suffix("") / "inspection.html").read_text()
    page = tmp_path / "changes.html"
    printed = orjson.loads(command("--compare", str(before), "--json", "--output", str(page)))
    assert (printed["columns"], printed["rows"]["tracks"]["both"]) == ([], 2)
    assert "What changed between two builds" in page.read_text()


def test_what_is_no_dataset_or_another_kind_is_said_in_a_sentence(before: Path, tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(cli.UsageError, match="is no dataset"):
        inspect_dataset.inspect_dataset(InspectDatasetParams(dataset=tmp_path))
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "unified.parquet")
    with pytest.raises(cli.UsageError, match="different jobs"):
        inspect_dataset.inspect_dataset(InspectDatasetParams(dataset=before, compare=tmp_path))
