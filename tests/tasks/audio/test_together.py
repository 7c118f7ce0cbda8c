"""Several streams in one pass: what each alone gives, and no more than one opening."""

from pathlib import Path

import numpy as np
import pytest

from blocks.storage import Storage
from tasks import audio
from tasks.audio import StreamPass, opening
from tasks.track import TrackError
from tests.tasks.stems.makers import write_musdb18, write_stems


def test_streams_in_one_pass_are_each_as_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_musdb18(tmp_path / "A - B.stem.mp4", 2.0)
    place = Storage(str(tmp_path))
    alone = [
        audio.load(place, "A - B.stem.mp4", rate_hz=22_050, channels=1, audio_stream=stream)
        for stream in (4, 0, 2)
    ]
    opened: list[str] = []
    real = opening.audio_file
    monkeypatch.setattr(
        opening, "audio_file", lambda storage, path: opened.append(path) or real(storage, path)
    )
    passing = StreamPass(place, "A - B.stem.mp4", [4, 0, 2], rate_hz=22_050, channels=1)
    together: list[list[np.ndarray]] = [[], [], []]
    for at, samples in passing:
        together[at].append(samples)
    assert opened == ["A - B.stem.mp4"]
    for one, parts, heard in zip(alone, together, passing.heard, strict=True):
        assert np.array_equal(one, np.concatenate(parts, axis=1))
        assert (heard.rates_hz, heard.channels, heard.is_odd) == ([44_100], [2], False)
        assert heard.seconds == pytest.approx(2.0, abs=0.1)


def test_a_stream_that_is_not_there_is_named(tmp_path: Path):
    write_musdb18(tmp_path / "A - B.stem.mp4", 0.5)
    passing = StreamPass(
        Storage(str(tmp_path)), "A - B.stem.mp4", [1, 5], rate_hz=44_100, channels=2
    )
    with pytest.raises(TrackError, match=r"no audio stream 5 counted from 0: it has 5\.") as caught:
        list(passing)
    assert caught.value.reason == "missing-stream"


def test_a_file_that_is_cut_off_is_odd(tmp_path: Path):
    write_stems(tmp_path, ["whole.wav"])
    content = (tmp_path / "whole.wav").read_bytes()
    # Half of 0.2 s is within what encoders pad; a header that states more is not.
    (tmp_path / "cut.wav").write_bytes(
        content[:40] + (20 * len(content)).to_bytes(4, "little") + content[44:]
    )
    heard = {}
    for name in ("whole.wav", "cut.wav"):
        passing = StreamPass(Storage(str(tmp_path)), name, [0], rate_hz=44_100, channels=1)
        list(passing)
        heard[name] = passing.heard[0].is_odd
    assert heard == {"whole.wav": False, "cut.wav": True}
