import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from blocks.storage import Storage
from flows import estimate
from tasks import audio
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, column, on_gpu, per_track

RATE_HZ = 8_000
TRACK_SECONDS, MINUTE_SECONDS = 0.08, 0.4
"""What the step ``listen`` takes."""


def listen(track: Track, upstream: Mapping[str, Row | None], config: Any, tools: Tools) -> Row:
    minutes = audio.probe(tools.source, track.path).duration_seconds / 60
    time.sleep(TRACK_SECONDS + MINUTE_SECONDS * minutes)
    return {"value": 1}


def look(track: Track, upstream: Mapping[str, Row | None], config: Any, tools: Tools) -> Row:
    time.sleep(TRACK_SECONDS)
    return {"value": 1}


COLUMNS = pa.schema([column("value", pa.int32(), "None")])
LOOK = Step("look", 1, StepConfig, COLUMNS, per_track(look))
LISTEN = Step(
    "listen", 1, StepConfig, COLUMNS, per_track(listen), upstream=("look",), resource=on_gpu
)
STAGES = [Stage(LOOK, StepConfig()), Stage(LISTEN, StepConfig())]


def estimated(folder: Path, minutes: list[float], lanes: Any) -> estimate.Estimate:
    source = Storage(str(folder / "songs"))
    tracks = []
    for at, length in enumerate(minutes):
        # Written from few samples: silence compresses to nothing.
        silence = np.zeros((1, round(length * 60 * RATE_HZ)), np.float32)
        audio.write_flac(source, f"{at}.flac", silence, RATE_HZ)
        tracks.append(Track(f"{at:032d}", f"{at}.flac"))
    return estimate.estimate(STAGES, tracks, Tools(source, Storage(str(folder / "out"))), lanes)


@pytest.mark.parametrize(
    ("minutes", "lanes", "jobs_of_one_worker"),
    [
        ([4.0, 2.0, 6.0, 4.0, 4.0, 4.0], {"CPU": 2}, 0.5),
        ([4.0, 2.0, 6.0, 4.0, 4.0, 4.0], {"CPU": 3, "GPU": 1}, 1.0),
        ([0.2] * 6, {"CPU": 1}, 1.0),
        ([90.0], {"CPU": 8}, 1.0),
    ],
)
def test_the_time_of_a_run_is_told_within_a_quarter_by_excerpts(
    tmp_path: Path, minutes: list[float], lanes: Any, jobs_of_one_worker: float
):
    began = time.perf_counter()
    made = estimated(tmp_path, minutes, lanes)
    took = time.perf_counter() - began

    listening = len(minutes) * TRACK_SECONDS + sum(minutes) * MINUTE_SECONDS
    looking = len(minutes) * TRACK_SECONDS
    truth = listening * jobs_of_one_worker
    # A GPU's worker listens while others look at the next.
    truth += 0 if "GPU" in lanes else looking * jobs_of_one_worker
    assert made.seconds - estimate.START_SECONDS == pytest.approx(truth, rel=0.25)
    each = {name: cost.of(1, 60 * made.hours / made.tracks) for name, cost in made.costs.items()}
    if made.hours < 1:  # in which what is measured of a minute is not multiplied by much
        assert each["look"] == pytest.approx(TRACK_SECONDS, rel=0.5)
    # Never as long as the run.
    assert took < 12


def test_what_lies_beside_a_song_is_at_hand_for_its_excerpt(tmp_path: Path):
    from tasks.song.track import SongTrack

    source, target = Storage(str(tmp_path / "a")), Storage(str(tmp_path / "b"))
    ramp = np.arange(100 * RATE_HZ, dtype=np.float32)[None] / (100 * RATE_HZ)
    audio.write_flac(source, "x/song.flac", ramp, RATE_HZ)
    source.write_bytes("x/song.lrc", b"[00:01.00]la")
    track = SongTrack("1", "x/song.flac", lyrics_path="x/song.lrc")

    assert estimate._excerpt(track, source, target, 15.0) == 15.0

    assert target.read_bytes("x/song.lrc") == b"[00:01.00]la"
    middle = audio.load(target, "x/song.flac", rate_hz=RATE_HZ, channels=1)[0]
    assert len(middle) == 15 * RATE_HZ
    # The middle of 100 s is 50 s; the piece begins 7.5 s before.
    assert middle[0] == pytest.approx(0.425, abs=1e-3)
    assert middle[-1] == pytest.approx(0.575, abs=1e-3)


def test_an_estimate_names_its_workers(tmp_path: Path):
    made = estimate.Estimate(
        {"separate": estimate.Cost(1.0, 2.0)}, 10, 0.5, {"CPU": 2, "GPU": 6}, 90.0
    )
    assert str(made).splitlines() == [
        "separate     7.000 s per track",
        "all          7.000 s per track",
        "10 tracks, 0.50 h of audio, 2 workers and 6 for GPUs: about 1 min 30 s",
    ]
