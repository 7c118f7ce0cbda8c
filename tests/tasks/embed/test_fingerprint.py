from pathlib import Path

import numpy as np
import soundfile

from blocks.storage import Storage
from tasks.dataset.near_duplicates import duplicates
from tasks.embed import fingerprint
from tasks.embed.fingerprint import FingerprintConfig
from tasks.engine.plan import plan, run_here
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.song import probe
from tasks.song.probe import ProbeConfig
from tasks.step import Tools, Track
from tests.tasks.stems.studio import RATE_HZ, melody


def results_of(folder: Path, *stages: Stage) -> Results:
    place = Storage(str(folder))
    tracks = [Track(path.stem, path.name) for path in sorted(folder.glob("*.wav"))]
    tables = place.below("-".join(stage.step.name for stage in stages))
    made = plan(stages, tracks, tables, Tools(place, place), run_id="run", workers=1)
    run_here(made)
    return made.results


def test_what_was_wrong_with_a_file_does_not_hide_a_copy(tmp_path: Path):
    song = melody(1, 12.0, 1)
    soundfile.write(tmp_path / "song.wav", np.repeat(song, 2, axis=1), RATE_HZ)
    # Left and right of opposite polarity: a mono mix of them is silent.
    soundfile.write(tmp_path / "turned.wav", np.hstack([song, -song]), RATE_HZ)
    soundfile.write(tmp_path / "other.wav", melody(2, 12.0, 1), RATE_HZ)
    (tmp_path / "text.wav").write_text("no audio")
    stage = Stage(fingerprint.STEP, FingerprintConfig())
    probed = results_of(tmp_path, Stage(probe.STEP, ProbeConfig()), stage)
    words = fingerprint.of_tracks(probed)
    assert words is not None
    assert words.keys() == {"song", "turned", "other"}
    assert duplicates(words) == [("song", "turned")]
    assert len(fingerprint.keys(probed) or ()) == 3
    # What no step could read fails where it was found out, not here as well.
    assert [step for _, step, _ in probed.failures()] == ["probe"]

    direct = fingerprint.of_tracks(results_of(tmp_path, stage)) or {}
    assert duplicates(direct) == []
    assert duplicates({"song": words["song"], "direct": direct["song"]}) == [("direct", "song")]


def test_a_run_without_the_step_has_none(tmp_path: Path):
    soundfile.write(tmp_path / "song.wav", melody(1, 1.0, 1), RATE_HZ)
    results = results_of(tmp_path, Stage(probe.STEP, ProbeConfig()))
    assert fingerprint.keys(results) is fingerprint.of_tracks(results) is None
