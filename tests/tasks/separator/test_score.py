import io
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.museval_metrics import metrics
from tasks.separator.score import SCORE, STEP, ScoreConfig
from tasks.step import Row, Tools
from tasks.track import TrackError
from tests.tasks.separator.decoded import RATE_HZ, sources, store

CONFIG = {"sample_rate_hz": RATE_HZ}


def scored(made: Any, candidate: str, **config: Any) -> dict[str, Row]:
    """Scores by source."""
    song, row, tools = made
    [result] = STEP.run(
        [song], {"decode": [row]}, ScoreConfig(candidate=candidate, **CONFIG, **config), tools
    )
    if isinstance(result, TrackError):
        raise result
    assert result["candidate"] == candidate
    assert set(result) == set(STEP.columns.names)
    for each in result["scores"]:
        assert list(each) == [field.name for field in SCORE]
    return {each["source"]: each for each in result["scores"]}


@pytest.fixture(scope="module")
def planes() -> np.ndarray:
    # In mono: what takes time are the equations of all channels.
    found = sources()[:, :, :1]
    # Nothing is sung in the first half.
    found[0, : found.shape[1] // 2] = 0
    return found


@pytest.fixture(scope="module")
def made(planes, tmp_path_factory):
    return store(tmp_path_factory.mktemp("store"), planes)


@pytest.fixture(scope="module")
def of_mixture(made) -> dict[str, Row]:
    return scored(made, "mixture")


def test_the_mixture_has_the_scores_of_museval(planes, tmp_path):
    two = planes[[0, 2]]
    found = scored(store(tmp_path, two), "mixture", sources=("vocals", "bass"))
    references = two.astype(np.float64) / 32_768
    mixture = np.repeat(references.sum(axis=0)[None], 2, axis=0)
    sdr, isr, sir, sar, _ = metrics().bss_eval(references, mixture, window=RATE_HZ, hop=RATE_HZ)
    for at, row in enumerate(found.values()):
        assert row["bss_frames"] == 4
        assert row["bss_sdr_db"] == pytest.approx(np.nanmedian(sdr[at]), abs=0.01)
        assert row["bss_isr_db"] == pytest.approx(np.nanmedian(isr[at]), abs=0.01)
        assert row["bss_sir_db"] == pytest.approx(np.nanmedian(sir[at]), abs=0.01)
        assert row["bss_sar_db"] > 60 < np.nanmedian(sar[at])
        assert row["si_sdr_db"] == row["si_sdr_of_mixture_db"]
        assert row["worst_estimate_path"] is None


def test_masks_that_know_the_truth_are_better_and_share_out_the_mixture(made, of_mixture):
    for kind in ("irm", "ibm"):
        found = scored(made, kind)
        for name, row in found.items():
            assert row["si_sdr_db"] > of_mixture[name]["si_sdr_db"] + 5
            assert row["log_wmse"] > of_mixture[name]["log_wmse"]
            assert row["bleedless"] > of_mixture[name]["bleedless"]
            assert not row["reference_is_silent"]


def test_the_worst_excerpt_can_be_listened_to(tmp_path):
    planes = sources()[[0, 3]]
    made = store(tmp_path, planes)
    found = scored(made, "repet-centre", sources=("vocals", "other"))
    assert list(found) == ["vocals", "other"]
    row, outputs = found["vocals"], made[2].outputs
    assert 0 <= row["worst_start_seconds"] <= 3
    lengths = set()
    for which in ("estimate", "reference"):
        data, rate_hz = soundfile.read(io.BytesIO(outputs.read_bytes(row[f"worst_{which}_path"])))
        assert rate_hz == RATE_HZ
        assert data.shape[1] == 2
        lengths.add(len(data))
    assert min(lengths) >= 5 * RATE_HZ
    start = round(row["worst_start_seconds"] * RATE_HZ)
    true = planes[0, start : start + 5 * RATE_HZ] / 32_768
    level = np.sqrt(np.mean(np.square(data[: 5 * RATE_HZ])))
    assert level == pytest.approx(np.sqrt(np.mean(true**2)), rel=0.1)


def test_a_silent_source_is_said_to_be_silent_and_is_no_number_but_where_that_is_one(
    planes, tmp_path
):
    silent = planes.copy()
    silent[1] = 0
    row = scored(store(tmp_path, silent), "mixture")["drums"]
    assert row["reference_is_silent"]
    assert not row["estimate_is_silent"]
    assert {name for name, value in row.items() if value is not None} == {
        "source",
        "reference_is_silent",
        "estimate_is_silent",
        "estimate_dbfs",
        "log_wmse",
    }
    exact = scored(store(tmp_path, silent), "ibm")["drums"]
    assert exact["estimate_is_silent"]
    assert exact["estimate_dbfs"] is None
    assert exact["log_wmse"] == pytest.approx(4 * np.log(1e8))


def test_the_songs_own_mixture_is_the_last_plane(planes, tmp_path):
    own = (planes.sum(axis=0) * 0.5).astype(np.int16)
    made = store(tmp_path, np.concatenate([planes, own[None]]))
    found = scored(made, "mixture", mixture="own")
    reference, mixture = planes[2] / 32_768, own / 32_768
    expected = 10 * np.log10((reference**2).sum() / ((reference - mixture) ** 2).sum())
    assert found["bass"]["sdr_db"] == pytest.approx(expected, abs=1e-6)


class Diverged:
    sources = ("vocals",)
    sample_rate_hz = RATE_HZ
    needs_level = False

    def separate(self, blocks, stems, *, mean, std, batch_size=None):
        for block in blocks:
            yield np.full((1, *block.shape), np.nan, np.float32)


class ToolsWith(Tools):
    def model(self, name, task):
        return Diverged()


def test_a_network_that_diverged_is_a_failure_of_the_song(made):
    song, row, tools = made
    broken = ToolsWith(tools.source, tools.outputs, weights=tools.weights)
    with pytest.raises(TrackError, match=r"songs/song that are no numbers: it was") as raised:
        scored((song, row, broken), "spleeter")
    assert raised.value.reason == "not-finite"


def test_what_was_decoded_and_is_gone_is_a_failure_of_the_song(made):
    song, row, tools = made
    with pytest.raises(TrackError, match="not there any more"):
        scored((song, row | {"path": "decoded/none.i16"}, tools), "mixture")


def test_each_candidate_has_keys_of_its_own_and_runs_where_its_network_does():
    recipes = {name: STEP.recipe(ScoreConfig(candidate=name)) for name in ("irm", "spleeter")}
    assert recipes["irm"].digest != recipes["spleeter"].digest
    assert STEP.models(ScoreConfig(candidate="spleeter")) == ("spleeter",)
    assert STEP.resource(ScoreConfig(candidate="spleeter")) == "GPU"
    assert STEP.resource(ScoreConfig(candidate="irm")) == "CPU"
