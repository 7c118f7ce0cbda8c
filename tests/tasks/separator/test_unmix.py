"""Files to stems: what is written, in which format, rate and level, and what fails."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import soundfile
import torch

from blocks.storage import Storage
from models.protocols import SEPARATION
from models.tiny.write import write as write_model
from models.unet1d.model import share
from tasks.separator.unmix import STEP, UnmixConfig
from tasks.step import Row, Tools, Track, TrackError
from tasks.weights import ModelError, Weights
from tests.support.separators import SOURCES, arguments, network, write_checkpoint, write_folder

RATE = 44_100
STEP_16 = 2.0**-15
Float32 = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture
def tools(tmp_path: Path, model: Path) -> Tools:
    weights, _ = Weights(str(tmp_path / "models")).with_own(str(model), SEPARATION)
    return Tools(Storage(str(tmp_path)), Storage(str(tmp_path / "out")), weights=weights)


def config(tools: Tools, **values: object) -> UnmixConfig:
    [name] = tools.weights.trained
    return UnmixConfig.model_validate({"separator": name, **values})


def noise(seconds: float, channels: int = 2, rate_hz: int = RATE, level: float = 0.1) -> Float32:
    shape = (channels, round(seconds * rate_hz))
    return np.random.default_rng(len(shape)).normal(0, level, shape).astype(np.float32)


def write(tools: Tools, name: str, samples: Float32, rate_hz: int = RATE) -> Track:
    soundfile.write(Path(tools.source.address, name), samples.T, rate_hz, subtype="FLOAT")
    return Track(f"id-{name[0]}", name)


def run(tools: Tools, *tracks: Track, **values: object) -> list[Row | TrackError]:
    return STEP.run(tracks, {}, config(tools, **values), tools)


def read(tools: Tools, row: Row | TrackError) -> Float32:
    """Stems that a row names, shape ``(stems, channels, n)``."""
    assert isinstance(row, dict), row
    pa.Table.from_pylist([row], schema=STEP.columns)
    files = [Path(tools.outputs.address, path) for path in row["stem_paths"]]
    assert [file.stem for file in files] == row["stems"]
    stems = [soundfile.read(file, dtype="float32", always_2d=True)[0].T for file in files]
    assert soundfile.info(files[0]).samplerate == row["sample_rate_hz"]
    assert row["duration_seconds"] == stems[0].shape[1] / row["sample_rate_hz"]
    return np.stack(stems)


def test_stems_are_the_networks_and_add_up_to_the_file(tools: Tools):
    mix = noise(1.1)
    [row] = run(tools, write(tools, "a.wav", mix))
    stems = read(tools, row)
    given = torch.from_numpy(mix)[:, None]
    with torch.inference_mode():
        made = network(arguments())
        expected = share(given, made(given))[:, :, 0].transpose(0, 1).numpy()
    assert np.abs(stems - expected).max() < 2 * STEP_16
    assert np.abs(stems.sum(0) - mix).max() < 4 * STEP_16
    assert isinstance(row, dict)
    assert (row["stems"], row["gain_db"]) == (list(SOURCES), 0)


def test_a_file_in_mono_stays_mono_and_a_stereo_network_takes_it(tools: Tools, tmp_path: Path):
    mono = noise(0.4, channels=1)
    stems = read(tools, run(tools, write(tools, "m.wav", mono))[0])
    assert stems.shape == (4, 1, mono.shape[1])
    assert np.abs(stems.sum(0) - mono).max() < 4 * STEP_16
    of_two = write_checkpoint(tmp_path / "two.pt", arguments(channels=2))
    weights, _ = Weights(str(tmp_path / "models")).with_own(str(of_two), SEPARATION)
    stems = read(tools, run(replace(tools, weights=weights), Track("id-m", "m.wav"))[0])
    assert stems.shape == (4, 1, mono.shape[1])
    assert np.abs(stems.sum(0) - mono).max() < 4 * STEP_16


def test_any_rate_goes_in_and_comes_out_if_it_is_to_be_kept(tools: Tools):
    slow = write(tools, "s.flac.wav", noise(0.5, rate_hz=22_050), 22_050)
    [row] = run(tools, slow)
    assert isinstance(row, dict)
    assert (row["sample_rate_hz"], row["duration_seconds"]) == (RATE, pytest.approx(0.5, abs=1e-3))
    [kept] = run(tools, slow, keep_rate=True)
    stems = read(tools, kept)
    assert kept["sample_rate_hz"] == 22_050  # type: ignore[index]
    assert stems.shape[2] == pytest.approx(11_025, abs=2)
    # What was resampled up and down again is what it was, but for the highest frequencies.
    spectrum = np.fft.rfft(stems.sum(0)[:, :11_000])[:, :4000]
    source = np.fft.rfft(noise(0.5, rate_hz=22_050)[:, :11_000])[:, :4000]
    assert np.linalg.norm(spectrum - source) < 0.02 * np.linalg.norm(source)


def test_some_stems_and_the_mix_without_one_as_flac(tools: Tools):
    mix = noise(0.5)
    [row] = run(tools, write(tools, "a.wav", mix), stems=("vocals", "no_vocals"), format="flac")
    stems = read(tools, row)
    assert np.abs(stems.sum(0) - mix).max() < 3 * STEP_16
    assert isinstance(row, dict)
    assert all(path.endswith(".flac") for path in row["stem_paths"])


def test_what_would_be_clipped_is_quieter_and_still_adds_up(tools: Tools):
    loud = noise(0.3, level=1.0)
    [row] = run(tools, write(tools, "l.wav", loud))
    stems = read(tools, row)
    assert isinstance(row, dict)
    assert row["gain_db"] < -1
    assert np.abs(stems).max() == pytest.approx(1.0, abs=1e-3)
    gain = 10 ** (row["gain_db"] / 20)
    assert np.abs(stems.sum(0) - gain * loud).max() < 4 * STEP_16


def test_files_fail_alone_and_leave_nothing(tools: Tools):
    good, other = write(tools, "a.wav", noise(0.4)), write(tools, "b.wav", noise(0.2))
    short = write(tools, "c.wav", noise(0.02))
    Path(tools.source.address, "d.wav").write_bytes(b"no audio")
    broken, gone = Track("id-d", "d.wav"), Track("id-e", "e.wav")
    results = run(tools, good, short, broken, other, gone)
    reasons = [each.reason if isinstance(each, TrackError) else None for each in results]
    assert reasons == [None, "too-short", "not-audio", None, "missing"]
    assert {path.partition("-")[2][0] for path in tools.outputs.files()} == {"a", "b"}
    alone = run(replace(tools, outputs=tools.outputs.below("alone")), other)
    assert alone == [results[3]]
    assert np.array_equal(
        read(replace(tools, outputs=tools.outputs.below("alone")), alone[0]),
        read(tools, results[3]),
    )


def test_a_registered_separator_separates_too(tools: Tools, tmp_path: Path):
    write_model(tmp_path / "models", "htdemucs")
    registered = replace(tools, weights=Weights(str(tmp_path / "models")))
    mix = noise(0.4)
    values = {"separator": "htdemucs", "stems": ("vocals", "no_vocals")}
    tracks = [write(tools, "a.wav", mix), Track("id-e", "e.wav")]
    row, error = STEP.run(tracks, {}, UnmixConfig.model_validate(values), registered)
    assert np.abs(read(registered, row).sum(0) - mix).max() < 3 * STEP_16
    assert isinstance(error, TrackError)


def test_a_source_that_the_network_does_not_know_ends_the_run(tools: Tools):
    with pytest.raises(ModelError, match=r"has no sources \["):
        run(tools, write(tools, "a.wav", noise(0.2)), stems=("piano",))


def test_names_follow_what_the_stems_depend_on(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    track = write(tools, "a.wav", noise(0.2))
    rows = run(tools, track) + run(tools, track, format="flac")
    better = write_folder(tmp_path / "better", seed=9)
    weights, _ = Weights(str(tmp_path / "models")).with_own(str(better), SEPARATION)
    rows += run(replace(tools, weights=weights), track)
    # Other weights of a registered separator have the same name and another revision.
    monkeypatch.setattr(Weights, "revision", lambda self, name: "another")
    rows += run(tools, track)
    folders = {row["stem_paths"][0].partition("/")[0] for row in rows}  # type: ignore[index]
    assert len(folders) == 4


def test_a_wav_beyond_four_gigabytes_is_an_rf64(tools: Tools, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.separator.unmix.MAY_BE_LONG_SECONDS", 0.1)
    [row] = run(tools, write(tools, "a.wav", noise(0.2)), stems=("bass",))
    assert read(tools, row).shape == (1, 2, round(0.2 * RATE))
    assert tools.outputs.read_bytes(row["stem_paths"][0])[:4] == b"RF64"  # type: ignore[index]
