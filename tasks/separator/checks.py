"""What is said of the data before the first step, and what stops a training that would be vain."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from tasks.corpora.names.words import Words
from tasks.separator.data_error import DataError
from tasks.separator.decode import DecodeConfig
from tasks.separator.likeness import EMPTY, OF_MIXTURE, SAME_AS
from tasks.separator.songs import Found
from tasks.separator.sources import Sources
from tasks.separator.splits import is_of_one_source
from tasks.separator.store import WINDOW_SECONDS
from tasks.separator.training_song import MIXTURE, REST, Split, TrainingSong
from tasks.step import Row
from tasks.text import counted, printable

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

MOST = 0.5
"""In more than this share of the songs, what is odd in them is the data, and not a song."""

NEARLY_ALL = 0.9
"""A bass that is brighter than the drums happens, but not in so many songs."""

LEAST_COMPARED = 3
"""Of fewer songs nothing is said."""

LOUD_RESIDUAL_DB = -20.0
"""A mixture that differs by more from the sum of its sources was mastered after it, or is of
another version: MUSDB18's lossy streams differ by -25 dB and less."""

OF_SONGS = ("no-known-stem", "archive")
"""Reasons of failures of whole songs; of the same songs there are others, file by file."""

LAYOUTS = (
    "MUSDB18 (train and test with .stem.mp4, or MUSDB18-HQ), MoisesDB, Slakh, a folder of stems "
    "per song, a folder per source, a CSV of paths, or what flows/prepare_stems.py prepared"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is said of data that can be trained on.

    Attributes
    ----------
    lines
        Hours, silence and level of each source and split.
    notices
        What is odd, and stops nothing; a sentence each.
    """

    lines: list[str]
    notices: list[str]


def check_found(found: Found, place: str, sources: Sequence[str]) -> None:
    """Stop where what was found cannot be trained on, before anything is decoded.

    Parameters
    ----------
    found
        What lies there.
    place
        Its address, for people.
    sources
        What is to be told apart.

    Raises
    ------
    DataError
        If there are no songs, no stem that is known, a source of which there is no file, songs
        of one split only, or files whose names contradict their folders.
    """
    if not found.songs:
        if not found.audio_files and not found.failures:
            raise DataError(f"{place} holds no audio: --data_root takes {LAYOUTS}.")
        raise DataError(f"{place} holds no song to train on: {_example(found)}")
    _check_names(found.songs, sources)
    for source in sources:
        if not any(file.source == source for song in found.songs for file in song.files):
            there = sorted({f.source for song in found.songs for f in song.files} - {MIXTURE})
            raise DataError(
                f"No song of {place} has {source} (only {', '.join(there)}): name its files "
                f"or folders after it, or leave it out of --sources."
            )
    _check_splits(found.songs, place)


def check_decoded(
    songs: Sequence[TrainingSong], rows: Sequence[Row], place: str, config: DecodeConfig
) -> Checked:
    """Say what was decoded, and stop where it cannot be trained on.

    Parameters
    ----------
    songs, rows
        The songs that were decoded, and their rows of `decode`.
    place
        Address of the songs, for people.
    config
        How they were decoded.

    Raises
    ------
    DataError
        If no song is left, or songs of one split only, all is silent, or a source is empty in
        all songs, or is the mixture or another source in most.
    """
    if len(songs) < 2:
        left = f"Only {printable(songs[0].path)}" if songs else "No song"
        raise DataError(
            f"{left} of {place} can be decoded: the list of failures says why the others cannot."
        )
    _check_splits(songs, place)
    training = [row for song, row in zip(songs, rows, strict=True) if song.split == "train"]
    _check_sound(training, place, config.sources)
    for at, source in enumerate(config.sources):
        flagged = [row["flags"][at] for row in training if EMPTY not in row["flags"][at]]
        odd = Counter(flag for each in flagged for flag in each)
        for flag, count in odd.most_common():
            if count > MOST * len(flagged):
                raise DataError(_said_of(source, flag, count, len(flagged), place))
    return Checked(
        [*_summary(songs, rows, config)], [*_notices(songs, rows, config), *_bright(rows, config)]
    )


def _example(found: Found) -> str:
    """Return why a song cannot be used: of what concerns whole songs first."""
    first = {failure.reason: failure for failure in reversed(found.failures)}
    frequent = [reason for reason, _ in Counter(f.reason for f in found.failures).most_common()]
    reasons = [reason for reason in (*OF_SONGS, *frequent) if reason in first]
    return first[reasons[0]].message if reasons else "its audio is of no song."


def _check_names(songs: Sequence[TrainingSong], sources: Sequence[str]) -> None:
    """Stop where a file is named after one source, and its folder after another."""
    told = Sources(sources)
    wrong = []
    for file in (file for song in songs for file in song.files):
        words = [word.text for word in Words(PurePosixPath(file.path).stem).words]
        named = told.of_name(" ".join(word for word in words if not word.isdigit()))
        folder = told.of_name(PurePosixPath(file.path).parent.name)
        if named and folder and named != folder and named not in REST:
            wrong.append((file.path, named, folder))
    if wrong:
        path, named, folder = wrong[0]
        raise DataError(
            f"{printable(path)} is named {named} and lies in the folder {folder} "
            f"({counted(len(wrong), 'such file')}): move it, or rename it."
        )


def _check_splits(songs: Sequence[TrainingSong], place: str) -> None:
    splits = Counter(song.split for song in songs)
    if len(songs) == 1:
        raise DataError(
            f"{place} holds one song only ({printable(songs[0].path)}): training takes one more to "
            "validate with, which it does not see."
        )
    if not splits["train"]:
        raise DataError(
            f"{place} holds no song to train on: all {len(songs)} are kept for validation and "
            "test; give the folder above train."
        )
    if not splits["validation"]:
        raise DataError(f"{place} holds no song to validate with: add songs of others.")


def _check_sound(rows: Sequence[Row], place: str, sources: Sequence[str]) -> None:
    """Stop where all is silence, or one source is."""
    silent = [
        source
        for at, source in enumerate(sources)
        if all(EMPTY in row["flags"][at] for row in rows)
    ]
    if len(silent) == len(sources):
        raise DataError(
            f"All sources are silent in every song to train on in {place} ({len(rows)}): export "
            "the files again, with sound."
        )
    if silent:
        raise DataError(
            f"{silent[0]} is silent in every song to train on in {place} ({len(rows)}): check its "
            "files, or leave it out of --sources."
        )


def _said_of(source: str, flag: str, count: int, songs: int, place: str) -> str:
    where = f"in {count} of {counted(songs, 'song')} to train on in {place}"
    if flag == OF_MIXTURE:
        return (
            f"{source} is the whole mix {where}: put the stem of the {source} in its place, or "
            "leave it out of --sources."
        )
    other = flag.removeprefix(SAME_AS)
    return (
        f"{source} and {other} are the same recording {where}: one of them lies in the wrong "
        "folder."
    )


def _summary(
    songs: Sequence[TrainingSong], rows: Sequence[Row], config: DecodeConfig
) -> Iterator[str]:
    """Yield a line per split, and one per source in it."""
    for split in SPLITS:
        of_split = [row for song, row in zip(songs, rows, strict=True) if song.split == split]
        if not of_split:
            continue
        seconds = [row["frames"] / config.sample_rate_hz for row in of_split]
        yield f"{split}: {counted(len(of_split), 'song')}, {_hours(sum(seconds))}"
        for at, source in enumerate(config.sources):
            sounding = sum(row["active"][at].count("1") for row in of_split) * WINDOW_SECONDS
            windows = sum(len(row["active"][at]) for row in of_split) * WINDOW_SECONDS
            level = _mean_dbfs([row["rms_dbfs"][at] for row in of_split], seconds)
            said = "silent" if level is None else f"{level:.1f} dB RMS"
            silent = 1 - sounding / windows
            yield f"  {source}: sounds for {_hours(sounding)}, {silent:.0%} silent, {said}"


def _notices(
    songs: Sequence[TrainingSong], rows: Sequence[Row], config: DecodeConfig
) -> Iterator[str]:
    """Yield what is odd in some songs; all of it is in their rows."""
    for at, source in enumerate(config.sources):
        lacking = sum(
            EMPTY in row["flags"][at] and not is_of_one_source(song)
            for song, row in zip(songs, rows, strict=True)
        )
        if lacking:
            yield (
                f"{source} is missing from {counted(lacking, 'song')} of {len(rows)}, and taken to "
                "be silent there."
            )
        if all(
            EMPTY in row["flags"][at]
            for song, row in zip(songs, rows, strict=True)
            if song.split == "validation"
        ):
            yield (
                f"{source} is silent in all songs that validate: nothing tells how well it is "
                "separated."
            )
        odd = [
            (song, flag)
            for song, row in zip(songs, rows, strict=True)
            for flag in row["flags"][at]
            if flag != EMPTY
        ]
        if odd:
            song, flag = odd[0]
            what = "the whole mix" if flag == OF_MIXTURE else f"the {flag.removeprefix(SAME_AS)}"
            yield (
                f"{source} is {what} in {printable(song.path)} ({counted(len(odd), 'song')} like "
                "it): a file in the wrong place?"
            )
    residuals = [row["mixture_residual_db"] for row in rows]
    loud = sum(each is not None and each > LOUD_RESIDUAL_DB for each in residuals)
    if loud:
        yield (
            f"The mixture of {counted(loud, 'song')} of {len(rows)} is not the sum of its sources "
            f"(it differs by more than {LOUD_RESIDUAL_DB:.0f} dB): --mixture sum makes it so."
        )
    noticed = Counter(
        code for row in rows for code in {each.partition(":")[0] for each in row["audio_notices"]}
    )
    for code, count in noticed.most_common():
        example = next(
            notice.partition(": ")[2]
            for row in rows
            for notice in row["audio_notices"]
            if notice.startswith(f"{code}:")
        )
        yield f"{code} in {counted(count, 'song')} of {len(rows)}, for example: {example}"


def _bright(rows: Sequence[Row], config: DecodeConfig) -> Iterator[str]:
    """Yield a notice where the bass is brighter than what always is brighter than a bass."""
    if "bass" not in config.sources:
        return
    bass = _of(rows, config, "bass")
    for other in ("drums", "vocals"):
        if other not in config.sources:
            continue
        pairs = [
            (low, high)
            for low, high in zip(bass, _of(rows, config, other), strict=True)
            if low is not None and high is not None
        ]
        higher = sum(low > high for low, high in pairs)
        if len(pairs) >= LEAST_COMPARED and higher >= NEARLY_ALL * len(pairs):
            yield (
                f"bass is brighter than {other} in {higher} of {len(pairs)} songs: do the two lie "
                "in each other's place?"
            )


def _of(rows: Sequence[Row], config: DecodeConfig, source: str) -> list[float | None]:
    at = config.sources.index(source)
    return [row["brightness_hz"][at] for row in rows]


def _mean_dbfs(levels: Sequence[float | None], seconds: Sequence[float]) -> float | None:
    """Level of songs one after the other; None if all are silent."""
    energies = [0.0 if level is None else 10 ** (level / 10) for level in levels]
    mean = float(np.average(energies, weights=seconds))
    return 10 * float(np.log10(mean)) if mean else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
