"""What was found in a dataset, for people: as lines of text and as a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from tasks.dataset import charts, page
from tasks.dataset.comparison import ColumnChange, Comparison, Rows
from tasks.dataset.inspection import Distribution, Inspection
from tasks.dataset.suspicions import Suspicion
from tasks.dataset.svg import cut
from tasks.text import counted, printable

HERE = Path(__file__).parent

LINE_WIDTH = 90
"""Characters of a line of names."""

LINE_FREQUENT = 3
"""Most frequent texts that a line names."""

LINE_CHARACTERS = 24
"""Of each of them."""


def inspection_lines(found: Inspection) -> Iterator[str]:
    """Yield what is in a dataset, a line per column and two per suspicion."""
    for table, distributions in found.tables.items():
        yield f"{table}: {counted(found.rows[table], 'row')}"
        width = max((len(each.name) for each in distributions), default=0)
        for each in distributions:
            nulls = f"{each.nulls:,} null" if each.nulls else ""
            yield f"  {each.name:{width}}  {nulls:>12}  {summary(each)}".rstrip()
        yield ""
    yield "Suspicious:" if found.suspicions else "Nothing suspicious."
    for suspicion in found.suspicions:
        yield f"  {said(suspicion)}"
        yield f"      {suspicion.advice}"
    yield from found.not_asked


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield what changed between two builds, a line per column."""
    yield f"{printable(found.now)}, compared with {printable(found.before)} before it"
    yield from found.notices
    for what, rows in _row_changes(found):
        yield f"{what}: {rows}"
    yield "Made otherwise:" if found.making else "Made in the same way."
    yield from (f"  {each}" for each in found.making)
    for heading, changes in _groups(found):
        if changes:
            yield f"{heading}:"
        by_reasons: dict[tuple[str, ...], list[ColumnChange]] = {}
        for each in changes:
            by_reasons.setdefault(tuple(each.reasons), []).append(each)
        for reasons, alike in by_reasons.items():
            yield from (f"  {reason}" for reason in reasons)
            names = [f"{each.table}.{each.name}" for each in alike]
            width = max(map(len, names))
            if any(each.differing for each in alike):
                for name, each in zip(names, alike, strict=True):
                    yield f"      {name:{width}}  {extent(each)}"
            else:
                yield from (f"      {line}" for line in wrap(", ".join(names), LINE_WIDTH))
    yield f"{counted(len(found.unchanged), 'column')} as before."


def inspection_page(found: Inspection, dataset: str) -> str:
    """Return a page of what is in a dataset, as HTML."""
    columns = [
        (
            table,
            [(each, summary(each), _chart(each)) for each in distributions],
        )
        for table, distributions in found.tables.items()
    ]
    facts = [(f"{count:,}", f"rows of {table}") for table, count in found.rows.items()]
    return page.render(
        HERE / "inspection.html.j2",
        facts=[*facts, (f"{len(found.suspicions):,}", "suspicions")],
        item="File",
        failures=(),
        steps=(),
        dataset=printable(dataset),
        found=found,
        said=said,
        columns=columns,
    )


def comparison_page(found: Comparison) -> str:
    """Return a page of what changed between two builds, as HTML."""
    differing, same, _ = (changes for _, changes in _groups(found))
    return page.render(
        HERE / "comparison.html.j2",
        facts=[
            (f"{len(differing):,}", "columns with other values"),
            (f"{len(same):,}", "made otherwise, same values"),
            (f"{len(found.unchanged):,}", "columns as before"),
        ],
        item="File",
        failures=(),
        steps=(),
        now=printable(found.now),
        before=printable(found.before),
        found=found,
        rows=list(_row_changes(found)),
        groups=_groups(found),
        extent=extent,
    )


def summary(each: Distribution) -> str:
    """Return what is in a column, in a line."""
    if each.rows == each.nulls:
        return "no value"
    if each.kind == "flag":
        present = each.rows - each.nulls
        return f"true in {each.true:,} of {present:,}"
    if each.kind == "number" and each.quartiles:
        return "  ".join(f"{value:,.6g}" for value in each.quartiles)
    if each.kind == "list" and each.quartiles:
        least, _, median, _, most = each.quartiles
        items = f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"
        middle = "" if least == most else f", median {median:,.0f}"
        return f"lists of {items}{middle}" + (f"; {_texts(each)}" if each.distinct else "")
    if each.kind == "text":
        return _texts(each)
    return each.type if len(each.type) <= LINE_CHARACTERS else each.kind


def said(suspicion: Suspicion) -> str:
    """Return what was found, how often and where, in a line."""
    column = f".{suspicion.column}" if suspicion.column else ""
    more = ", ..." if suspicion.count > len(suspicion.examples) else ""
    examples = ", ".join(cut(printable(each), 40) for each in suspicion.examples)
    return f"{suspicion.name}, {suspicion.table}{column}: {suspicion.count:,} ({examples}{more})"


def extent(change: ColumnChange) -> str:
    """Return how many of a column's values differ."""
    if not change.differing:
        return ""
    text = f"{change.differing:,} of {counted(change.rows, 'row')}"
    for count, when in ((change.only_now, "now"), (change.only_before, "before")):
        text += f", {count:,} with a value only {when}" if count else ""
    return text


def _texts(each: Distribution) -> str:
    named = ", ".join(
        f"{cut(printable(text), LINE_CHARACTERS)!r} {count:,}"
        for text, count in each.frequent[:LINE_FREQUENT]
    )
    different = f"{each.distinct:,} different"
    return f"{different}: {named}" if named else different


def _chart(each: Distribution) -> str:
    """Return the histogram of a number, or nothing."""
    if each.bins is None or len(each.bins.totals) < 2:
        return ""
    return charts.binned(
        each.bins.totals, each.bins.first, each.bins.step, label=each.name, unit=""
    )


def _row_changes(found: Comparison) -> Iterator[tuple[str, str]]:
    for table, rows in found.rows.items():
        yield table, ", ".join(_counted_rows(name, value) for name, value in rows.items())
    for what, files in found.files.items():
        if files.count:
            yield f"files {what}", _named(files)


def _counted_rows(name: str, value: "int | Rows") -> str:
    count = value.count if isinstance(value, Rows) else value
    return f"{count:,} in both" if name == "both" else f"{count:,} {name}"


def _named(rows: Rows) -> str:
    more = ", ..." if rows.count > len(rows.examples) else ""
    return f"{rows.count:,} ({', '.join(printable(each) for each in rows.examples)}{more})"


def _groups(found: Comparison) -> list[tuple[str, Sequence[ColumnChange]]]:
    """Return the changes of columns under headings: other values, the same ones, and columns."""
    there = [each for each in found.columns if each.rows or each.made_otherwise]
    return [
        ("Other values", [each for each in there if each.differing]),
        ("Made otherwise, same values", [each for each in there if not each.differing]),
        ("Columns of one build only", [each for each in found.columns if each not in there]),
    ]
