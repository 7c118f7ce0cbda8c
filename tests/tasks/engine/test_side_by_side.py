"""Tracks of a batch side by side in threads: the same rows, and the same ends, as one by one."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage, StorageError
from models.tiny.write import write
from tasks.embed import clap
from tasks.engine import bugs
from tasks.engine.bugs import BrokenGpuError, Bug
from tasks.song import pitch, separate
from tasks.song.pitch import PitchConfig
from tasks.song.separate import SeparateConfig
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track
from tasks.weights import ModelError, Weights

WAIT_SECONDS = 30.0
RATE_HZ = 44_100


def step_of(function: Callable[[str], Any]) -> Step:
    """Step of one track at a time, with a column."""

    def of_track(track: Track, upstream: Any, config: Any, tools: Any) -> Row:
        return {"found": function(track.track_id)}

    columns = pa.schema([column("found", pa.string(), "What was found")])
    return Step("tested", 1, StepConfig, columns, per_track(of_track))


def run(function: Callable[[str], Any], ids: str, at_once: int) -> list[Any]:
    place = Storage("nowhere")
    tools = Tools(place, place, weights=Weights(""), tracks_at_once=at_once)
    tracks = [Track(each, f"{each}.wav") for each in ids]
    return bugs.run_step(step_of(function), tracks, {}, StepConfig(), tools)


def test_as_many_tracks_as_asked_for_are_under_way_and_no_more():
    together = threading.Barrier(3)
    under_way: list[str] = []
    most: list[int] = []

    def function(each: str) -> str:
        under_way.append(each)
        most.append(len(under_way))
        together.wait(WAIT_SECONDS)  # broken, unless three tracks come here at once
        under_way.remove(each)
        return each.upper()

    assert run(function, "abcdef", 3) == [{"found": each} for each in "ABCDEF"]
    assert max(most) == 3


def test_rows_are_in_order_and_errors_take_their_own_track():
    error = TrackError("too-short", "b is too short.")

    def function(each: str) -> str:
        time.sleep(0.03 if each == "a" else 0)  # the first ends last
        if each == "b":
            raise error
        if each == "c":
            raise ZeroDivisionError("one by nothing")
        return each

    a, b, c, d = run(function, "abcd", 4)
    assert (a, b, d) == ({"found": "a"}, error, {"found": "d"})
    assert isinstance(c, Bug)
    assert c.error == "ZeroDivisionError: one by nothing"


@pytest.mark.parametrize(
    ("raised", "ends_with"),
    [
        (StorageError("The disk is full."), StorageError),
        (ModelError("The weights are gone."), ModelError),
        (RuntimeError("CUDA error: device-side assert triggered"), BrokenGpuError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_is_no_tracks_fault_ends_the_batch(raised: BaseException, ends_with: type):
    begun: list[str] = []
    has_raised = threading.Event()

    def function(each: str) -> str:
        begun.append(each)
        if each == "b":
            has_raised.set()
            raise raised
        # Goes on until the batch is told to end, and a little longer.
        has_raised.wait(WAIT_SECONDS)
        time.sleep(0.03)
        return each

    before = threading.active_count()
    with pytest.raises(ends_with):
        run(function, "abcdefgh", 2)
    assert begun == ["a", "b"]
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tools, list[Track]]:
    """Five songs of unlike lengths, one of them no audio, and tiny models."""
    folder = tmp_path_factory.mktemp("songs")
    for name in ("htdemucs", "clap-music"):
        write(folder / "models", name)
    noise = np.random.default_rng(5)
    for at, seconds in enumerate((2.0, 1.2, 3.1, 0.7)):
        times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * 220 * (1 + at / 4) * times)
        samples = tone[:, None] + 0.05 * noise.standard_normal((len(times), 2))
        soundfile.write(folder / f"{at}.wav", samples, RATE_HZ)
    (folder / "4.wav").write_bytes(b"no audio")
    tracks = [Track(f"id-{at}", f"{at}.wav") for at in range(5)]
    outputs = Storage(str(folder / "outputs"))
    return Tools(Storage(str(folder)), outputs, weights=Weights(str(folder / "models"))), tracks


def found_by(
    step: Step, config: Any, songs: tuple[Tools, list[Track]], upstream: Sequence[Any], at_once: int
) -> list[Any]:
    """Rows as bytes, so that all is compared; errors by their reasons."""
    tools, tracks = songs
    rows = dict.fromkeys(step.upstream, upstream)
    found = bugs.run_step(step, tracks, rows, config, replace(tools, tracks_at_once=at_once))
    return [
        each.reason
        if isinstance(each, TrackError)
        else pa.Table.from_pylist([each], schema=step.columns).to_pydict()
        for each in found
    ]


@pytest.mark.parametrize(
    ("step", "config"),
    [
        (separate.STEP, SeparateConfig(separator="htdemucs")),
        (clap.STEP, clap.ClapConfig(model="clap-music")),
    ],
)
def test_rows_are_the_same_bit_for_bit(
    step: Step, config: Any, songs: tuple[Tools, list[Track]], tmp_path: Path
):
    def stored() -> dict[str, bytes]:
        place = Path(songs[0].outputs.address)
        return {path.name: path.read_bytes() for path in place.glob("*.flac")}

    one_by_one = found_by(step, config, songs, [None] * 5, 1)
    files = stored()
    assert one_by_one[4] == "not-audio"
    assert all(isinstance(each, dict) for each in one_by_one[:4])
    assert found_by(step, config, songs, [None] * 5, 4) == one_by_one
    assert stored() == files


def test_an_adapter_whose_calls_share_buffers_serves_threads(songs: tuple[Tools, list[Track]]):
    # Each of CREPE's layers writes into the same buffers in every call.
    tools, _ = songs
    rows = [{"vocals_path": f"{at}.wav"} for at in range(5)]
    heard = (replace(tools, outputs=tools.source), songs[1])
    config = PitchConfig(method="crepe", crepe_model="tiny")
    one_by_one = found_by(pitch.STEP, config, heard, rows, 1)
    assert sum(np.isfinite(one_by_one[0]["f0_hz"][0])) > 150, "its tone is heard"
    for _ in range(2):
        assert repr(found_by(pitch.STEP, config, heard, rows, 4)) == repr(one_by_one)
