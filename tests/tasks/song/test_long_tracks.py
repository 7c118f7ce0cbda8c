"""What is read in stretches gives the rows that it gives in one piece."""

from collections.abc import Iterator

import numpy as np
import pytest

from blocks.storage import Storage
from models.tiny.write import write
from tasks import audio
from tasks.audio import files
from tasks.embed import ecapa, voice
from tasks.song import features, harmony, pitch, singing, vocal_quality, vocal_scores
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track
from tasks.weights import Weights

RATE_HZ, SECONDS = 22_050, 7.3
TRACK = Track("digest", "mix.flac")
ODD_SAMPLES = 1, 20_011, 997, 40_009
"""Of blocks, over and over."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """A voice with vibrato, pauses and breath, and chords and clicks beside it."""
    folder = tmp_path_factory.mktemp("songs")
    for name in ("dnsmos", "ecapa-voxceleb", "swift-f0"):
        write(folder / "models", name)
    rng = np.random.default_rng(0)
    time = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    f0_hz = 180 * 2 ** (np.sin(2 * np.pi * 5.5 * time) / 24 + np.floor(time) % 3 / 12)
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    sounds = time % 2.0 < 1.4
    vocals = sum(np.sin(k * phase) / k for k in range(1, 20)) * sounds * 0.1
    vocals += 0.01 * rng.standard_normal(len(time)) * (time % 2.0 > 1.6)
    chords = sum(np.sin(2 * np.pi * hz * time) for hz in (130.8, 164.8, 196.0)) * 0.05
    chords[:: RATE_HZ // 2] += 0.5
    storage = Storage(str(folder))
    for name, signal in (("vocals", vocals), ("mix", vocals + chords)):
        audio.write_flac(storage, f"{name}.flac", signal.astype(np.float32)[None], RATE_HZ)
    return Tools(storage, storage, weights=Weights(str(folder / "models")))


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tracks are long, and come in blocks of odd sizes."""
    stream = files.stream

    def cut(*arguments: object, **options: object) -> Iterator[Samples]:
        for block in stream(*arguments, **options):
            places = np.cumsum(ODD_SAMPLES * (1 + block.shape[1] // sum(ODD_SAMPLES)))
            yield from np.split(block, places[places < block.shape[1]], axis=1)

    monkeypatch.setattr(files, "_CACHE", {})
    monkeypatch.setattr(files, "stream", cut)
    monkeypatch.setattr(files, "SHORT_SECONDS", 0.1)


def row(tools: Tools, step: Step, config: StepConfig | None = None, **upstream: Row) -> Row:
    rows = {
        "probe": {"duration_seconds": SECONDS, "repair": None},
        "separate": {
            "vocals_path": "vocals.flac",
            "vocals_gain_db": 1.5,
            "vocal_rms": np.linspace(0.1, 0.2, 80),
        },
        **upstream,
    }
    needed = {name: [rows[name]] for name in step.upstream}
    [found] = step.run([TRACK], needed, config or step.config(), tools)
    assert isinstance(found, dict)
    return found


CASES = {
    "pyin": (pitch.STEP, pitch.PitchConfig(method="pyin")),
    "crepe": (pitch.STEP, pitch.PitchConfig(method="crepe", crepe_model="tiny")),
    "swiftf0": (pitch.STEP, pitch.PitchConfig(method="swiftf0", hop_seconds=0.02)),
    "singing": (singing.STEP, None),
    "voice": (voice.STEP, None),
    "ecapa": (ecapa.STEP, ecapa.EcapaConfig(max_windows=1)),
    "vocal_quality": (vocal_quality.STEP, None),
    "vocal_scores": (vocal_scores.STEP, None),
    "features": (features.STEP, None),
    "features at another rate": (features.STEP, features.FeaturesConfig(sample_rate_hz=16_000)),
    "harmony": (harmony.STEP, None),
}


@pytest.fixture(scope="module")
def upstream(tools: Tools) -> dict[str, Row]:
    return {
        "pitch": row(tools, *CASES["pyin"]),
        "features": row(tools, features.STEP),
        "vocal_quality": {"leakage_db": -6.0},
    }


@pytest.fixture
def whole(tools: Tools, upstream: dict[str, Row], case: str) -> Row:
    return row(tools, *CASES[case], **upstream)


@pytest.mark.parametrize("case", CASES)
def test_rows_do_not_depend_on_the_blocks(
    tools: Tools, upstream: dict[str, Row], whole: Row, in_blocks: None, case: str
):
    assert len(list(tools.output_blocks("vocals.flac", RATE_HZ))) > 4
    found = row(tools, *CASES[case], **upstream)
    assert found.keys() == whole.keys()
    assert any(value is not None and np.size(value) for value in whole.values())
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
