from statistics import NormalDist

import numpy as np
import pytest

from tasks.separator.score import SCORE
from tasks.separator.score_summary import ALL_SOURCES, improvement, summarise
from tasks.step import Row

SOURCES = ("vocals", "drums")


def row(song: int, source: str, si_sdr_db: float | None, candidate: str = "net", **more) -> Row:
    values: Row = dict.fromkeys(field.name for field in SCORE) | {
        "candidate": candidate,
        "track_id": f"song-{song}",
        "source": source,
        "reference_is_silent": False,
        "estimate_is_silent": False,
        "si_sdr_db": si_sdr_db,
        "si_sdr_of_mixture_db": -5.0,
        **more,
    }
    return values | {"si_sdr_improvement_db": improvement(values)}


def rows(values: np.ndarray, source: str = "vocals") -> list[Row]:
    return [row(song, source, float(value)) for song, value in enumerate(values)]


def test_means_and_medians_are_over_songs():
    [line] = summarise(rows(np.array([1.0, 2.0, 9.0])), SOURCES, seed=1)
    assert (line.candidate, line.source, line.songs) == ("net", "vocals", 3)
    assert line.means["si_sdr_db"].value == 4
    assert line.medians["si_sdr_db"].value == 2
    assert line.means["si_sdr_improvement_db"].value == 9
    assert "bss_sdr_db" not in line.means


def test_an_interval_is_that_of_the_mean_of_as_many_songs():
    values = np.random.default_rng(1).normal(6.0, 2.0, 50)
    [line] = summarise(rows(values), SOURCES, seed=1)
    mean = line.means["si_sdr_db"]
    assert mean.low is not None
    assert mean.high is not None
    expected = NormalDist().inv_cdf(0.975) * values.std() / 50**0.5
    assert mean.high - mean.value == pytest.approx(expected, rel=0.1)
    assert mean.value - mean.low == pytest.approx(expected, rel=0.1)
    assert summarise(rows(values), SOURCES, seed=1) == [line]
    assert summarise(rows(values), SOURCES, seed=2) != [line]


def test_one_song_has_no_interval():
    [line] = summarise(rows(np.array([3.0])), SOURCES, seed=1)
    assert (line.means["si_sdr_db"].low, line.means["si_sdr_db"].high) == (None, None)


def test_the_last_line_is_the_mean_of_the_sources_figures():
    made = [*rows(np.array([1.0, 2.0, 9.0])), *rows(np.array([5.0, 6.0, 7.0]), "drums")]
    vocals, drums, both = summarise(made, SOURCES, seed=1)
    assert both.source == ALL_SOURCES
    assert both.medians["si_sdr_db"].value == 4
    assert both.songs == 3
    middle = both.means["si_sdr_db"]
    assert middle.low is not None
    assert middle.low < middle.value == 5
    assert [vocals.source, drums.source] == list(SOURCES)


def test_silence_is_counted_apart():
    made = [
        *rows(np.array([4.0, 6.0])),
        row(2, "vocals", None, reference_is_silent=True, log_wmse=73.7),
        row(3, "vocals", 0.0, estimate_is_silent=True, log_wmse=10.0),
        row(0, "drums", None, reference_is_silent=True),
    ]
    vocals, drums, both = summarise(made, SOURCES, seed=1)
    assert (vocals.songs, vocals.silent_references, vocals.silent_estimates) == (3, 1, 1)
    # What was made silent counts, what is silent does not.
    assert vocals.means["si_sdr_db"].value == pytest.approx(10 / 3)
    assert vocals.means["log_wmse"].value == 10
    assert (drums.songs, drums.silent_references, dict(drums.means)) == (0, 1, {})
    assert not both.means


def test_infinite_values_are_in_no_mean():
    made = [row(0, "vocals", 1.0, bss_sir_db=float("inf")), row(1, "vocals", 1.0, bss_sir_db=9.0)]
    [line] = summarise(made, SOURCES, seed=1)
    assert line.means["bss_sir_db"].value == 9


def test_candidates_keep_their_order_and_their_own_sources():
    made = [row(0, "drums", 1.0, "b"), row(0, "vocals", 1.0, "b"), row(0, "vocals", 2.0, "a")]
    found = [(line.candidate, line.source) for line in summarise(made, SOURCES, seed=1)]
    assert found == [("b", "vocals"), ("b", "drums"), ("b", ALL_SOURCES), ("a", "vocals")]
