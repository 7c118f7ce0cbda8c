"""Scores of many songs in numbers: means and medians with what chance there is in them.

Songs are what is drawn, so intervals come from drawing songs anew (bootstrap, percentiles), all
sources of a song together. BSS values are medians over the frames of a song already; their
median over songs is the convention of MUSDB18.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.dataset.seeding import generator
from tasks.step import Row

DRAWS = 2_000
COVERAGE = 0.95

ALL_SOURCES = "mean of sources"
"""Name of the mean of the figures of all sources, which is what tables of separators end with."""

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes
    ----------
    column
        Of the table of scores.
    name, unit
        For people; no unit for what has none.
    """

    column: str
    name: str
    unit: str = ""


METRICS = (
    Metric("si_sdr_db", "SI-SDR", "dB"),
    Metric("si_sdr_improvement_db", "SI-SDR gain", "dB"),
    Metric("sdr_db", "SDR", "dB"),
    Metric("bss_sdr_db", "BSS SDR", "dB"),
    Metric("bss_isr_db", "BSS ISR", "dB"),
    Metric("bss_sir_db", "BSS SIR", "dB"),
    Metric("bss_sar_db", "BSS SAR", "dB"),
    Metric("bleedless", "Bleedless"),
    Metric("fullness", "Fullness"),
    Metric("log_wmse", "log-WMSE"),
)


@dataclass(frozen=True)
class Figure:
    """A statistic over songs, with its interval; without one of fewer than two songs."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """What there is to say of a candidate and a source.

    Attributes
    ----------
    candidate, source
        Which; the source may be :data:`ALL_SOURCES`.
    songs
        In which the source sounds, and which were scored.
    silent_references, silent_estimates
        Songs in which the source is silent, which no other figure counts; songs in which it
        sounds and the candidate made silence of it.
    means, medians
        By the column of the metric; a metric without values is not there.
    """

    candidate: str
    source: str
    songs: int
    silent_references: int
    silent_estimates: int
    means: Mapping[str, Figure]
    medians: Mapping[str, Figure]

    def as_json(self) -> dict[str, Any]:
        """Return the line for ``summary.json``."""
        return {
            "candidate": self.candidate,
            "source": self.source,
            "songs": self.songs,
            "silent_references": self.silent_references,
            "silent_estimates": self.silent_estimates,
            "metrics": {
                name: {"mean": vars(self.means[name]), "median": vars(self.medians[name])}
                for name in self.means
            },
        }


def summarise(rows: Sequence[Row], sources: Sequence[str], seed: int) -> list[Line]:
    """Summarise a table of scores.

    Parameters
    ----------
    rows
        A row per candidate, song and source: ``candidate``, ``track_id``, ``source``, and the
        columns of the step ``score``.
    sources
        In the order of the lines.
    seed
        Of the songs that are drawn anew.

    Returns
    -------
    list
        Of each candidate, in the order of the rows, a line per source that it has, and one of
        all of them if it has several.
    """
    lines = []
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        own = [row for row in rows if row["candidate"] == candidate]
        has = [source for source in sources if any(row["source"] == source for row in own)]
        songs = list(dict.fromkeys(row["track_id"] for row in own))
        draws = _draws(len(songs), seed)
        statistics = {
            metric.column: _statistics(_table(own, songs, has, metric.column), draws)
            for metric in METRICS
        }
        for at, source in enumerate([*has, ALL_SOURCES] if len(has) > 1 else has):
            of = [row for row in own if source in (row["source"], ALL_SOURCES)]
            sounding = [row for row in of if not row["reference_is_silent"]]
            found = {
                column: (means[at], medians[at])
                for column, (means, medians) in statistics.items()
                if means[at] is not None and medians[at] is not None
            }
            lines.append(
                Line(
                    candidate,
                    source,
                    songs=len({row["track_id"] for row in sounding}),
                    silent_references=len(of) - len(sounding),
                    silent_estimates=sum(row["estimate_is_silent"] for row in sounding),
                    means={name: mean for name, (mean, _) in found.items() if mean},
                    medians={name: median for name, (_, median) in found.items() if median},
                )
            )
    return lines


def improvement(row: Row) -> float | None:
    """Return the SI-SDR of a row over that of the mixture, in dB; None where there is none."""
    if row["si_sdr_db"] is None:
        return None
    return float(row["si_sdr_db"] - row["si_sdr_of_mixture_db"])


def _table(
    rows: Sequence[Row], songs: Sequence[str], sources: Sequence[str], column: str
) -> Float64:
    """Values of a metric, shape ``(songs, sources)``, NaN where there is none.

    Of silent references none counts: log-WMSE, which has one, would be a mean of two things.
    Nor does an infinite one, where an error is exactly zero.
    """
    table = np.full((len(songs), len(sources)), np.nan)
    places = {song: at for at, song in enumerate(songs)}
    for row in rows:
        value = row[column]
        if value is not None and np.isfinite(value) and not row["reference_is_silent"]:
            table[places[row["track_id"]], sources.index(row["source"])] = value
    return table


def _draws(songs: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw songs with replacement, shape ``(draws, songs)``."""
    return generator("bootstrap", seed).integers(0, songs, (DRAWS, songs))


def _statistics(
    table: Float64, draws: npt.NDArray[np.int64]
) -> tuple[list[Figure | None], list[Figure | None]]:
    """Return mean and median of each source, and of all last; None of what has no value."""
    return _figures(table, draws, np.nanmean), _figures(table, draws, np.nanmedian)


def _figures(
    table: Float64, draws: npt.NDArray[np.int64], statistic: Callable[..., Any]
) -> list[Figure | None]:
    values = np.full(table.shape[1], np.nan)
    drawn = np.full((len(draws), table.shape[1]), np.nan)
    for at, column in enumerate(table.T):
        known = ~np.isnan(column)
        if known.any():
            values[at] = statistic(column)
            # A draw may hold no song with a value.
            usable = known[draws].any(axis=1)
            drawn[usable, at] = statistic(column[draws[usable]], axis=1)
    figures = [_figure(values[at], drawn[:, at], table[:, at]) for at in range(len(values))]
    if np.isnan(values).any():
        return [*figures, None]
    songs = np.where(np.isnan(table).all(axis=1), np.nan, 0.0)
    return [*figures, _figure(values.mean(), drawn.mean(axis=1), songs)]


def _figure(value: float, drawn: Float64, of: Float64) -> Figure | None:
    if np.isnan(value):
        return None
    if np.count_nonzero(~np.isnan(of)) < 2:
        return Figure(float(value))
    tail = (1 - COVERAGE) / 2
    low, high = np.nanquantile(drawn, (tail, 1 - tail))
    return Figure(float(value), float(low), float(high))
