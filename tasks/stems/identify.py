"""What instrument each stem of a song is, and which stems are of use."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Self

import pyarrow as pa
from pydantic import Field, model_validator

from tasks.corpora.names.arrange import titles_in_doubt
from tasks.corpora.names.instruments import Reading, read_names, with_synonyms
from tasks.stems.convert import PROBLEM, STEM
from tasks.stems.left_out import leave_out
from tasks.stems.near_copies import Relation
from tasks.step import Row, Step, StepConfig, Tools, column, per_track
from tasks.text import printable
from tasks.track import Track, TrackError

LENGTH_TOLERANCE_SECONDS = 0.1
"""Stems of one session may differ by the padding of a lossy encoder, some 50 ms at most."""

THE_SONG = ""
"""Path of a problem of the song as a whole."""

IDENTIFIED = pa.struct([*STEM, ("silent", pa.bool_()), ("left_out", pa.string())])
"""A stem with what it is; ``left_out`` is the reason where another stem sounds the same."""


class IdentifyConfig(StepConfig):
    """What stems are."""

    synonyms: tuple[str, ...] = Field(
        (),
        description="More names of instruments, such as guitar=tele.",
        examples=["guitar=tele"],
    )
    min_active_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A stem is silent when less of it is within 60 dB of its peak.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        with_synonyms(self.extra)
        return self

    @property
    def extra(self) -> dict[str, list[str]]:
        """Further names by instrument.

        Raises
        ------
        ValueError
            If one is not written as ``instrument=name``.
        """
        names: dict[str, list[str]] = {}
        for synonym in self.synonyms:
            instrument, equals, name = synonym.partition("=")
            if not equals:
                raise ValueError(f'"{synonym}" is not of the form guitar=tele')
            names.setdefault(instrument, []).append(name)
        return names


def identify(
    track: Track, upstream: Mapping[str, Row | None], config: IdentifyConfig, tools: Tools
) -> Row:
    """Tell the instrument of each stem, which are silent, and which sound as others do."""
    converted, compared = upstream["convert"], upstream["compare"]
    assert converted is not None
    assert compared is not None
    table = with_synonyms(config.extra)
    problems = [*converted["problems"], *_differences(converted["stems"])]
    named = [stem["name"] for stem in converted["stems"] if stem["instrument"] is None]
    readings = dict(zip(named, read_names(named, table), strict=True))
    stems = []
    for stem in converted["stems"]:
        source, instrument = stem["source"], stem["instrument"]
        reading = readings.get(stem["name"], Reading(instrument))
        instrument = instrument or reading.instrument
        silent = stem["peak_dbfs"] is None or stem["active_fraction"] < config.min_active_fraction
        if instrument is None:
            problems.append(_problem(source, "unknown-instrument", _unknown(source, reading)))
        elif silent:
            problems.append(_silence(stem, config))
        stems.append({**stem, "instrument": instrument, "silent": silent})
    if not any(stem["instrument"] for stem in stems):
        raise TrackError(
            "no-known-instrument",
            f"No stem of {printable(track.path)} is named after an instrument "
            f"({', '.join(stem['name'] for stem in stems)}): --identify.synonyms can teach names.",
        )
    relations = [
        Relation(**each | {"others": (*each["others"],)}) for each in compared["relations"]
    ]
    reasons, remarks = leave_out(stems, relations)
    stems = [stem | {"left_out": reasons.get(at)} for at, stem in enumerate(stems)]
    of_use = [
        stem
        for stem in stems
        if stem["instrument"] and not stem["silent"] and stem["left_out"] is None
    ]
    problems += [*remarks, *_doubts(printable(track.path), named, of_use)]
    return {"stems": stems, "problems": problems}


def _silence(stem: Row, config: IdentifyConfig) -> Row:
    """Return the problem of a stem that is silent: how much of it sounds, and what takes it."""
    source, length, share = stem["source"], stem["duration_seconds"], stem["active_fraction"]
    if stem["peak_dbfs"] is None:
        return _problem(source, "silent-stem", f"{source} is digital silence.")
    # Rounded down: the option that is proposed takes the stem.
    enough = math.floor(100 * share) / 100
    return _problem(
        source,
        "silent-stem",
        f"{source} sounds for {share * length:.1f} s of {length:.1f} s ({share:.0%}), less than "
        f"--identify.min_active_fraction {config.min_active_fraction:g}: it is left out; "
        f"--identify.min_active_fraction {enough:g} takes it.",
    )


def _unknown(source: str, reading: Reading) -> str:
    """Return why nothing tells the instrument of a stem, in one sentence."""
    if reading.instruments:
        return f"{source} is named after two instruments ({' and '.join(reading.instruments)})."
    if reading.is_mixture:
        return f"{source} is named like a mixture of those beside it."
    return f"{source} is named after none: --identify.synonyms can teach its name."


def _doubts(song: str, names: Sequence[str], of_use: Sequence[Row]) -> Iterator[Row]:
    """Yield problems of a whole song, whose stems are used all the same."""
    instruments = {stem["instrument"] for stem in of_use}
    if len(of_use) == 1:
        message = f"{song} holds one stem of use ({of_use[0]['name']}): nothing accompanies it."
        yield _problem(THE_SONG, "one-stem", message)
    elif len(instruments) == 1:
        message = f"{song} holds stems of one instrument only ({', '.join(instruments)})."
        yield _problem(THE_SONG, "one-instrument", message)
    if titles := titles_in_doubt(names):
        message = (
            f"The names of the stems of {song} stand for several songs or players "
            f"({', '.join(titles)}): if they are songs, give each a folder of its own."
        )
        yield _problem(THE_SONG, "several-titles", message)
    if lengths := _lengths_of_songs(of_use):
        message = (
            f"Stems of {song} have the lengths of two songs ({lengths[0]:.1f} s and "
            f"{lengths[1]:.1f} s): if they are, give each a folder of its own."
        )
        yield _problem(THE_SONG, "unlike-lengths", message)


def _lengths_of_songs(stems: Sequence[Row]) -> tuple[float, float] | None:
    """Return two lengths, if each is that of the same two instruments or more.

    A song whose tracks were trimmed has many lengths, and one that was exported in parts
    seldom twice the same instruments in the same two.
    """
    by_length: list[tuple[float, set[str]]] = []
    for stem in sorted(stems, key=lambda stem: stem["duration_seconds"]):
        length = stem["duration_seconds"]
        if by_length and length - by_length[-1][0] <= LENGTH_TOLERANCE_SECONDS:
            by_length[-1][1].add(stem["instrument"])
        else:
            by_length.append((length, {stem["instrument"]}))
    for (short, one), (long, other) in combinations(by_length, 2):
        if len(one & other) > 1:
            return short, long
    return None


def _differences(stems: Sequence[Row]) -> Iterator[Row]:
    """Yield problems of stems that are not of one session's format; they are used all the same."""
    longest = max(stem["duration_seconds"] for stem in stems)
    rates = Counter(stem["source_rate_hz"] for stem in stems)
    usual_rate_hz = max(rates, key=lambda rate: (rates[rate], rate))
    for stem in stems:
        source, length = stem["source"], stem["duration_seconds"]
        if longest - length > LENGTH_TOLERANCE_SECONDS:
            yield _problem(
                source,
                "shorter-stem",
                f"{source} is {longest - length:.1f} s shorter than the longest stem of its song; "
                "it is followed by silence.",
            )
        if stem["source_rate_hz"] != usual_rate_hz:
            yield _problem(
                source,
                "other-sample-rate",
                f"{source} is at {stem['source_rate_hz']} Hz, others of its song at "
                f"{usual_rate_hz} Hz; all are resampled to one rate.",
            )


def _problem(path: str, reason: str, message: str) -> Row:
    return {"path": path, "reason": reason, "message": message}


STEP = Step(
    name="identify",
    version=2,
    config=IdentifyConfig,
    columns=pa.schema(
        [
            column("stems", pa.list_(IDENTIFIED), "Stems with instruments; null if unknown"),
            column("problems", pa.list_(PROBLEM), "What else the song holds, or what is odd in it"),
        ]
    ),
    run=per_track(identify),
    upstream=("convert", "compare"),
)
