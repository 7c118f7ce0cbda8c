"""Python packages are enough: neither ffmpeg nor espeak-ng is looked for on the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = ("ffmpeg", "ffprobe", "espeak-ng", "espeak", "sox")

CODE = """if True:
    import json, shutil, sys
    from pathlib import Path

    import av
    import numpy as np

    from blocks.storage import Storage
    from examples.songs import make_song
    from flows.build_dataset_params import BuildDatasetParams
    from models import registry
    from tasks import audio
    from tasks.engine.plan import plan, run_here
    from tasks.song.discover import discover

    folder = Path(sys.argv[1])
    song = make_song(3, seconds=6, structure=("verse",))
    with av.open(str(folder / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(song.mix), "fltp", "stereo")
        frame.sample_rate = 44_100
        for part in av.AudioResampler("fltp", "stereo", 44_100, 1024).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    (folder / "song.lrc").write_text(song.lrc())

    params = BuildDatasetParams(
        audio_dir=str(folder),
        output=folder / "X.json",
        profile="offline",
        separator="repet",
        pitch={"method": "pyin"},
        phonemes={"backend": "espeak"},
    )
    found = discover(Storage(str(folder)), params.results_place, metadata=lambda path: {})
    tables = params.results_place.below("steps")
    made = plan(params.stages(), found.tracks, tables, params.tools(), run_id="run", workers=1)
    run_here(made)
    row = made.results.row("merge", found.tracks[0])
    print(json.dumps({
        "programs": [name for name in %(programs)r if shutil.which(name)],
        "status": row["status"],
        "failures": [entry.error for _, _, entry in made.results.failures()],
        "record": json.loads(row["record"] or "null"),
        "samples": audio.load(Storage(str(folder)), "song.m4a", rate_hz=22_050, channels=1).size,
        "seconds": song.duration_seconds,
    }))
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("songs")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PHONEMIZER_")}
    finished = subprocess.run(
        [sys.executable, "-c", CODE % {"programs": PROGRAMS}, str(folder)],
        cwd=ROOT,
        env=environment | {"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result: dict = json.loads(finished.stdout.splitlines()[-1])
    assert result["programs"] == [], "the programs are not hidden"
    return result


def test_an_m4a_file_is_decoded(done):
    assert done["samples"] == pytest.approx(22_050 * done["seconds"], abs=4096)
    assert done["record"]["decoder"] == "ffmpeg", "the one that is part of PyAV"


def test_espeak_turns_words_into_phonemes(done):
    phonemes = done["record"]["phonemes"]
    assert phonemes["backend"] == "espeak-ng"
    assert len(phonemes["words"]) == len(done["record"]["lyrics"].split())


def test_a_record_is_complete(done):
    assert (done["status"], done["failures"]) == ("ok", [])
    assert done["record"]["duration"] == pytest.approx(done["seconds"], abs=0.1)
    assert done["record"]["tempo"] > 40
    assert done["record"]["segments"][0]["f0_mean"] > 60
    assert len(done["record"]["voice_embedding"]) == 256
