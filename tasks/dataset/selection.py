"""Which rows of a dataset are taken: chosen by SQL, licence and lot, each with its split.

What was chosen is a table of a few numbers per row, made by DuckDB from the dataset's files: a
million rows take seconds, and the rows themselves stay where they are.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasks.corpora.captioned.licences import Use, allows, spdx
from tasks.dataset.query import QueryError, Tables
from tasks.dataset.split import SPLITS, shares
from tasks.dataset.views import (
    DIGEST,
    FILE,
    ROW,
    SEGMENTS_WITH_TRACKS,
    TRACK_ROW,
    literal,
    numbered,
    quoted,
)
from tasks.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

NAMED = 5
"""Rows of a licence whose names are kept."""

LIMIT_SECONDS = 600.0
"""After which a selection is given up: it reads all columns of all rows that it takes."""


@dataclass(frozen=True)
class Kind:
    """What the rows of a job's tables are like.

    Attributes
    ----------
    name
        What the job's datasets are called.
    view
        Where rows come from.
    id, seconds, group
        SQL expressions of a row's name, its length, and what must not be in two splits.
    licence
        Column of the licence, as it was stated; None if the rows have none.
    audio
        Column that says where the audio lies; None if they hold none.
    duplicates
        Column that rows of one recording have in common; None if nobody looked for them.
    """

    name: str
    view: str
    id: str
    seconds: str
    group: str
    licence: str | None = None
    audio: str | None = None
    duplicates: str | None = None


KINDS = {
    "tracks": Kind(
        *("songs", numbered("tracks"), "track_id", "duration", '"group"'),
        licence="license",
        audio="file_path",
        duplicates="duplicate_group",
    ),
    "unified": Kind(
        *("unified", numbered("unified"), "id", "coalesce(end_seconds - start_seconds, duration)"),
        '"group"',
        licence="license",
        audio="audio_path",
    ),
    "pairs": Kind(
        *("stems", numbered("pairs"), "id", "frames / frame_rate_hz", "song_id"),
    ),
    "examples": Kind(
        *("concepts", numbered("examples"), "id", "duration_seconds", "track_id"),
        audio="audio_path",
    ),
}
"""By the first table of a dataset."""

SEGMENTS = replace(
    KINDS["tracks"],
    view=SEGMENTS_WITH_TRACKS,
    id="format('{}-{:03d}', track_id, segment_idx)",
    seconds="end_time - start_time",
)
"""Segments of songs, which have the columns of their tracks besides."""


@dataclass(frozen=True)
class Choice:
    """Which rows are wanted.

    Attributes
    ----------
    where
        SQL expression that is true of them; None for all.
    sample
        How many are drawn of these; None for all.
    stratify
        Column whose values keep their shares in the sample, beside the splits.
    seed
        Of the lot.
    drop_duplicates
        Whether of the rows of one recording only the first is taken.
    licence
        What their licences have to allow; ``any`` takes those without one too.
    segments
        Whether rows are segments of songs and not tracks.
    """

    where: str | None = None
    sample: int | None = None
    stratify: str | None = None
    seed: int = 42
    drop_duplicates: bool = False
    licence: Use = "any"
    segments: bool = False


@dataclass(frozen=True, slots=True)
class LicenceGroup:
    """Rows that state the same licence.

    Attributes
    ----------
    stated
        The licence as the rows state it; None or blank where they state none.
    evaluation_only
        Whether the rows may never be trained on.
    rows
        How many they are.
    ids
        Of some of them.
    """

    stated: str | None
    evaluation_only: bool
    rows: int
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """What was chosen of a dataset.

    Attributes
    ----------
    kind
        What the rows are like.
    rows
        By split, and in the order of the dataset: ``file`` and ``row``, where a row lies; ``id``;
        ``split``; ``seconds``; ``digest`` of all its values; of segments ``track_row``, of tracks
        of songs ``first_segment`` and ``segments``, the places of their segments.
    licences
        The rows by the licence that they state.
    """

    kind: Kind
    rows: "pa.Table"
    licences: tuple[LicenceGroup, ...]


def kind_of(tables: Tables, *, segments: bool = False) -> Kind:
    """Return what the rows of a dataset are like.

    Raises
    ------
    QueryError
        If segments are asked for, and it has none.
    """
    if segments and "segments" not in tables.names:
        raise QueryError(
            "--segments takes a dataset of songs, and this is one of "
            f"{KINDS[tables.names[0]].name}."
        )
    return SEGMENTS if segments else KINDS[tables.names[0]]


def select(tables: Tables, choice: Choice) -> Selection:
    """Choose rows of a dataset.

    Raises
    ------
    QueryError
        If the choice asks for what the dataset does not have, or for nothing that it has, or if
        the dataset has no splits, or lets something be in two of them.
    """
    kind = kind_of(tables, segments=choice.segments)
    columns = _columns(tables, kind)
    licensed = _licensed(tables, kind, columns, choice)
    _check_splits(tables, kind, columns)
    whole = f"{quoted(FILE)}, {quoted(ROW)}"
    dropping = ""
    if choice.drop_duplicates:
        if kind.duplicates is None or kind.duplicates not in columns:
            raise QueryError(
                "--drop_duplicates takes a dataset of songs that were fingerprinted: this one has "
                "no column duplicate_group. Build it again, which computes only what it lacks."
            )
        # All segments of the first track, and none of its copies.
        of_track = quoted(TRACK_ROW) if choice.segments else quoted(ROW)
        copies = f"coalesce({kind.duplicates}, track_id)"
        dropping = f" QUALIFY dense_rank() OVER (PARTITION BY {copies} ORDER BY {of_track}) = 1"
    # A number of each stratum; only a sample asks for it.
    of = f"split, {quoted(choice.stratify)}" if choice.stratify else "split"
    stratum = "0" if choice.sample is None else f"dense_rank() OVER (ORDER BY {of})"
    if choice.stratify and choice.stratify not in columns:
        raise QueryError(f"--stratify {choice.stratify}: the dataset has no such column.")
    licence = kind.licence if kind.licence in columns else None
    evaluation = "coalesce(evaluation_only, false)" if "evaluation_only" in columns else "false"
    taken = (
        f"SELECT {whole}, {kind.id} AS id, split, {kind.seconds} AS seconds, "
        f"{quoted(DIGEST)}, {quoted(licence) if licence else 'NULL'} AS licence, "
        f"{evaluation} AS evaluation_only, "
        f"{stratum} AS stratum"
        f"{', ' + quoted(TRACK_ROW) if choice.segments else ''}"
        f"{', track_id' if kind is KINDS['tracks'] else ''} FROM chosen{dropping}"
    )
    if choice.sample is not None:
        taken = _sampled(tables, kind, licensed, taken, choice)
    sql = _with_segments(taken) if kind is KINDS["tracks"] else f"SELECT * FROM ({taken})"
    rows = _asked(tables, choice)(
        f"{sql} ORDER BY list_position([{_texts(SPLITS)}], split), {whole}",
        choice.where,
        also=licensed,
        view=kind.view,
        limit_seconds=LIMIT_SECONDS,
    )
    if not rows.num_rows:
        raise QueryError("No row of the dataset is chosen: ask for less by --where or --licence.")
    groups = tuple(_licences(rows))
    names = {FILE: "file", ROW: "row", DIGEST: "digest", TRACK_ROW: "track_row"}
    rows = rows.drop_columns(["licence", "evaluation_only", "stratum"])
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    return Selection(kind, rows, groups)


def _asked(tables: Tables, choice: Choice) -> Callable[..., "pa.Table"]:
    """Return :meth:`Tables.table`, which says where a column is that tracks do not have."""

    def ask(*question: Any, **options: Any) -> "pa.Table":
        try:
            return tables.table(*question, **options)
        except QueryError as error:
            found = re.search(r'Referenced column "(\w+)" not found', str(error))
            if found is None or choice.segments or "segments" not in tables.names:
                raise
            if found[1] not in {column.name for column in tables.columns_of("segments")}:
                raise
            raise QueryError(
                f"{found[1]} is a column of segments, and rows are tracks: add --segments, or ask "
                f"for track_id IN (SELECT track_id FROM segments WHERE {found[1]} ...)."
            ) from error

    return ask


def null_shares(tables: Tables, choice: Choice) -> dict[str, float]:
    """Return which share of the rows has no value, by column, of those that have nulls.

    It is that of all rows that are asked for, before a sample is drawn of them.

    Raises
    ------
    QueryError
        As :func:`select`.
    """
    kind = kind_of(tables, segments=choice.segments)
    columns = [name for name in _columns(tables, kind) if not name.startswith("#")]
    counts = ", ".join(f"count({quoted(name)}) AS {quoted(name)}" for name in columns)
    [found] = tables.table(
        f"SELECT count(*) AS {quoted(ROW)}, {counts} FROM chosen",
        choice.where,
        also=_licensed(tables, kind, frozenset(columns), choice),
        view=kind.view,
        limit_seconds=LIMIT_SECONDS,
    ).to_pylist()
    rows = found.pop(ROW)
    return {name: 1 - count / rows for name, count in sorted(found.items()) if count < rows}


def _licences(rows: "pa.Table") -> Iterator[LicenceGroup]:
    """Yield the rows by the licence that they state, with the names of some of each."""
    import pyarrow.compute as pc

    by = ["licence", "evaluation_only"]
    for each in (
        rows.group_by(by)
        .aggregate([([], "count_all")])
        .sort_by([(name, "ascending") for name in by])
        .to_pylist()
    ):
        stated, evaluation = each["licence"], each["evaluation_only"]
        licence = rows["licence"]
        mine = pc.is_null(licence) if stated is None else pc.equal(licence, stated)
        found = rows.filter(pc.and_(mine, pc.equal(rows["evaluation_only"], evaluation)))
        some = found["id"].slice(0, NAMED).to_pylist()
        yield LicenceGroup(stated, evaluation, each["count_all"], tuple(some))


def _columns(tables: Tables, kind: Kind) -> frozenset[str]:
    return frozenset(tables.table("SELECT * FROM chosen LIMIT 0", view=kind.view).column_names)


def _licensed(tables: Tables, kind: Kind, columns: frozenset[str], choice: Choice) -> str | None:
    """Return the condition of rows whose licences allow what is wanted; None for all."""
    if choice.licence == "any":
        return None
    if kind.licence is None or kind.licence not in columns:
        raise QueryError(
            f"--licence {choice.licence}: the dataset has no column of licences. Give them in a "
            "table of metadata when it is built."
        )
    name = quoted(kind.licence)
    found = tables.table(f"SELECT DISTINCT {name} AS licence FROM chosen", view=kind.view)
    stated = [each for each in found["licence"].to_pylist() if each is not None]
    allowed = [each for each in stated if allows(spdx(each), choice.licence)]
    if not allowed:
        raise QueryError(f"--licence {choice.licence}: no row has a licence that allows it.")
    return f"{name} IN ({_texts(allowed)})"


def _check_splits(tables: Tables, kind: Kind, columns: frozenset[str]) -> None:
    """Make sure that rows have splits, and that nothing is in two of them."""
    if "split" not in columns:
        raise QueryError(
            "The dataset has no splits: it is of an earlier version. Build it again with the same "
            "options, which computes only what it lacks."
        )
    odd = tables.table(
        "SELECT coalesce(split, 'none') AS split FROM chosen "
        f"WHERE split IS NULL OR split NOT IN ({_texts(SPLITS)}) LIMIT 1",
        view=kind.view,
    )
    if odd.num_rows:
        raise QueryError(
            f"A row of the dataset has the split {odd['split'][0]}: {', '.join(SPLITS)} are there."
        )
    # Of one recording of a concept, other parts validate than train: its page says so.
    if kind is KINDS["examples"]:
        return
    shared = tables.table(
        f"SELECT {kind.group} AS name FROM chosen WHERE {kind.group} IS NOT NULL "
        "GROUP BY name HAVING count(DISTINCT split) > 1 ORDER BY name",
        view=kind.view,
    )
    if shared.num_rows:
        raise QueryError(
            f"{counted(shared.num_rows, 'group')} of rows that belong together "
            f"{'is' if shared.num_rows == 1 else 'are'} in two splits ({shared['name'][0]}): what "
            "is trained on this would be tested on what it knows. Build the dataset again."
        )


def _sampled(tables: Tables, kind: Kind, also: str | None, taken: str, choice: Choice) -> str:
    """Return the statement that draws rows such that each stratum keeps its share.

    What is drawn depends on the ids alone: a larger sample holds the smaller one but for
    rounding, and further rows replace few.
    """
    found = tables.table(
        f"SELECT stratum, count(*) AS rows FROM ({taken}) GROUP BY stratum ORDER BY stratum",
        choice.where,
        also=also,
        view=kind.view,
        limit_seconds=LIMIT_SECONDS,
    )
    sizes = dict(zip(found["stratum"].to_pylist(), found["rows"].to_pylist(), strict=True))
    assert choice.sample is not None
    quotas = shares(sizes, choice.sample)
    values = ", ".join(f"({stratum}, {quota})" for stratum, quota in quotas.items())
    return (
        f"SELECT taken.* FROM ({taken}) AS taken "
        f"JOIN (VALUES {values or '(0, 0)'}) AS quotas(stratum, quota) USING (stratum) "
        "QUALIFY row_number() OVER (PARTITION BY stratum "
        f"ORDER BY md5(concat({literal(str(choice.seed))}, ' ', id)), id) <= quota"
    )


def _with_segments(taken: str) -> str:
    """Return the statement that adds the places of each track's segments, and their digest."""
    row, digest = quoted(ROW), quoted(DIGEST)
    return (
        f"WITH taken AS MATERIALIZED ({taken}), parts AS ("
        f"SELECT track_id, min({row}) AS first_segment, count(*) AS segments, "
        f"bit_xor({digest}) AS digest FROM {quoted(numbered('segments'))} "
        "WHERE track_id IN (SELECT track_id FROM taken) GROUP BY track_id) "
        f"SELECT taken.* EXCLUDE (track_id, {digest}), "
        f"hash(taken.{digest}, parts.digest) AS {digest}, "
        "first_segment, coalesce(segments, 0) AS segments "
        "FROM taken LEFT JOIN parts USING (track_id)"
    )


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(literal, values))
