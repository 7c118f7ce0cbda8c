"""What of the corpora comes into the dataset: read, filtered, looked at, chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from blocks.storage import Storage
from tasks.captions.language import language_of
from tasks.corpora.captioned.entry import Corpus
from tasks.text import printable
from tasks.unify import headers, sample, texts
from tasks.unify.collector import collector_paused
from tasks.unify.sample import StratifyBy
from tasks.unify.staged import SCHEMA, Removals, rows_of, stage

Mask = npt.NDArray[np.bool_]
Progress = Callable[[str, int], None]
"""Told what is done, and of how many."""

PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes
    ----------
    is_licence_wanted
        From an SPDX identifier, or None, to whether rows with it are wanted; None for all.
    min_duration, max_duration
        Seconds.
    max_samples, per_dataset, stratify_by, seed
        See :func:`tasks.unify.sample.choose`.
    check_audio
        Whether files are opened: those that are missing or cannot be opened are left out, and
        durations are those of the headers.
    """

    is_licence_wanted: Callable[[str | None], bool] | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    max_samples: int | None = None
    per_dataset: int | None = None
    stratify_by: StratifyBy | None = None
    seed: int = 42
    check_audio: bool = True


@dataclass
class Gathered:
    """Rows that were chosen, and what became of the others.

    Attributes
    ----------
    table
        The rows, with the columns of :data:`tasks.unify.staged.SCHEMA`, corpus by corpus.
    removals
        What is not among them, or was remarked.
    found
        Rows of each corpus before anything was left out.
    digests
        Digest of each file that was read whole, by its path.
    """

    table: pa.Table
    removals: Removals
    found: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


@collector_paused()
def gather(
    corpora: Sequence[tuple[Corpus, Path]],
    wanted: Wanted,
    memory: Storage | None,
    progress: Progress = lambda what, count: None,
) -> Gathered:
    """Read corpora, and choose among their rows.

    Parameters
    ----------
    corpora
        What to read, and where it lies.
    wanted
        What is asked for.
    memory
        Where headers are remembered.
    progress
        Told what is done, and of how many.

    Raises
    ------
    CorpusError
        If a folder is not the corpus that it should be.
    """
    removals = Removals()
    tables = []
    found = {}
    for corpus, folder in corpora:
        table = stage(corpus, folder, removals)
        found[corpus.name] = table.num_rows
        progress(f"{corpus.title} read, rows", table.num_rows)
        tables.append(table)
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    table = _of_licence(table, wanted, removals)
    if wanted.check_audio:
        table = _audible(table, memory, removals, progress)
    table = _of_duration(table, wanted, removals)
    table = _described(table, removals)
    table = _chosen(table, wanted, removals)
    table = _with_languages(table, removals)
    return Gathered(table, removals, found)


def kept(
    table: pa.Table, keep: Mask, removals: Removals, reason: str, message: Callable[[int], str]
) -> pa.Table:
    """Return the rows to keep, and note why the others go.

    Parameters
    ----------
    table, keep
        Rows, and which of them stay.
    removals
        Told of the others.
    reason, message
        Why; the message from the number of a row.
    """
    if keep.all():
        return table
    gone = np.flatnonzero(~keep)
    names = rows_of(table.take(pa.array(gone)), ("dataset", "id", "audio_path"))
    for at, (dataset, row_id, path) in zip(gone, names, strict=True):
        removals.add(dataset, row_id, path, reason, message(int(at)))
    return table.filter(pa.array(keep))


def _of_licence(table: pa.Table, wanted: Wanted, removals: Removals) -> pa.Table:
    if wanted.is_licence_wanted is None:
        return table
    licences = table["license_spdx"].to_pylist()
    verdicts = {each: wanted.is_licence_wanted(each) for each in set(licences)}
    stated = table["license"]

    def message(at: int) -> str:
        licence = licences[at] or stated[at].as_py()
        return f"Its licence ({licence or 'not stated'}) is not one that was asked for."

    keep = np.fromiter((verdicts[each] for each in licences), bool, len(licences))
    return kept(table, keep, removals, "licence", message)


def _audible(
    table: pa.Table, memory: Storage | None, removals: Removals, progress: Progress
) -> pa.Table:
    """Return the rows whose files can be opened, with the durations of their headers."""
    if not table.num_rows:
        return table
    paths = table["audio_path"].to_pylist()
    distinct = list(dict.fromkeys(paths))
    said = {}
    told = monotonic()
    for path, header in zip(distinct, headers.read(distinct, memory), strict=True):
        said[path] = header
        if monotonic() - told > PROGRESS_SECONDS:
            progress(f"headers of {len(distinct):,} files, read", len(said))
            told = monotonic()
    progress("headers read, files", len(said))
    parts = zip(
        paths,
        table["start_seconds"].to_pylist(),
        table["end_seconds"].to_pylist(),
        strict=True,
    )
    lengths = [_length(said[path].seconds, start, end) for path, start, end in parts]
    at = table.schema.get_field_index("duration")
    table = table.set_column(at, SCHEMA.field("duration"), pa.array(lengths, pa.float64()))
    reasons = np.array([said[path].reason or "" for path in paths], object)
    for reason in sorted(set(reasons) - {""}):
        keep = reasons != reason
        left = np.flatnonzero(~keep)
        sentences = {int(at): f"{printable(paths[at])} {said[paths[at]].message}." for at in left}
        table = kept(table, keep, removals, reason, sentences.__getitem__)
        paths = [path for path, kept in zip(paths, keep, strict=True) if kept]
        reasons = reasons[keep]
    beyond = np.array([length is not None and length <= 0 for length in _listed(table)], bool)
    return kept(
        table,
        ~beyond,
        removals,
        "beyond-end",
        lambda at: f"{printable(paths[at])} ends before the part that the row is of.",
    )


def _listed(table: pa.Table) -> list[Any]:
    lengths: list[Any] = table["duration"].to_pylist()
    return lengths


def _length(seconds: float | None, start: float | None, end: float | None) -> float | None:
    """Length of the part of a file that a row is of."""
    if seconds is None:
        return None
    return min(seconds, end or seconds) - (start or 0.0)


def _described(table: pa.Table, removals: Removals) -> pa.Table:
    return kept(
        table,
        texts.describable(table),
        removals,
        "no-caption",
        lambda at: "It has no caption, and no tag or measurement that one could be made of.",
    )


def _of_duration(table: pa.Table, wanted: Wanted, removals: Removals) -> pa.Table:
    if wanted.min_duration is None and wanted.max_duration is None:
        return table
    table = kept(
        table,
        ~np.isnan(durations(table)),
        removals,
        "unknown-duration",
        lambda at: "Its duration is not known, and durations were asked for.",
    )
    if wanted.min_duration is not None:
        said = f"shorter than the {wanted.min_duration:g} s that were asked for"
        keep = durations(table) >= wanted.min_duration
        table = kept(table, keep, removals, "too-short", _long(table, said))
    if wanted.max_duration is not None:
        said = f"longer than the {wanted.max_duration:g} s that were asked for"
        keep = durations(table) <= wanted.max_duration
        table = kept(table, keep, removals, "too-long", _long(table, said))
    return table


def _long(table: pa.Table, said: str) -> Callable[[int], str]:
    seconds = durations(table)
    return lambda at: f"It is {seconds[at]:.1f} s long, {said}."


def _chosen(table: pa.Table, wanted: Wanted, removals: Removals) -> pa.Table:
    taken = sample.choose(
        table["id"].to_pylist(),
        table["dataset"].to_pylist(),
        durations(table),
        max_samples=wanted.max_samples,
        per_dataset=wanted.per_dataset,
        stratify_by=wanted.stratify_by,
        seed=wanted.seed,
    )
    return kept(
        table,
        taken,
        removals,
        "not-sampled",
        lambda at: "Fewer rows were asked for than there are.",
    )


def _with_languages(table: pa.Table, removals: Removals) -> pa.Table:
    """Return the rows with languages of human captions, and remark others than English."""
    if not pc.sum(pc.list_value_length(table["human_captions"])).as_py():
        return table
    columns = ("id", "dataset", "human_captions", "language", "audio_path")
    languages = []
    for row_id, dataset, human, stated, path in rows_of(table, columns):
        language = stated or (language_of(" ".join(human)) if human else None)
        languages.append(language)
        if human and language not in (None, "en"):
            said = f"Its captions are in another language than English ({language}); they stay."
            removals.note(dataset, row_id, path, "other-language", said)
    at = table.schema.get_field_index("language")
    return table.set_column(at, SCHEMA.field("language"), pa.array(languages, pa.string()))


def durations(table: pa.Table) -> npt.NDArray[np.float64]:
    """Durations of rows in seconds; not a number where none is known."""
    column = pc.fill_null(table["duration"], float("nan"))
    values: npt.NDArray[np.float64] = column.to_numpy()
    return values
