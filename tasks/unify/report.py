"""One page that shows what a unified dataset is composed of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.dataset import charts, page
from tasks.dataset.split import SPLITS
from tasks.unify.composition import Composition

EXAMPLES = 20


def render(
    composition: Composition,
    examples: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
    notices: Sequence[str],
    created_at: str,
) -> str:
    """Return the page, as HTML.

    Parameters
    ----------
    composition
        Of the dataset.
    examples
        Some of its rows.
    failures
        What could not be read: rows with ``file_path``, ``step``, ``reason`` and ``message``.
    notices
        Sentences that people have to know.
    created_at
        When it was built.
    """
    return page.render(
        Path(__file__).with_name("report.html.j2"),
        facts=[
            (f"{composition.rows:,}", "tracks"),
            page.duration_fact(composition.hours * 3600),
            (f"{composition.groups:,}", "groups that stay together"),
            (f"{sum(composition.styles.values()):,}", "captions"),
            *((f"{number:,}", name) for name, number in composition.splits().items()),
        ],
        item="Row",
        failures=failures,
        steps=[],
        created_at=created_at,
        corpora=composition.corpora,
        splits=SPLITS,
        notices=notices,
        charts=_charts(composition),
        lists=[
            (title, page.ranked(Counter(values)))
            for title, values in (
                ("Licences", composition.licences),
                ("Tags", composition.tags),
                ("Captions by style", composition.styles),
                ("Languages of human captions", composition.languages),
            )
        ],
        examples=examples,
    )


def _charts(composition: Composition) -> list[tuple[str, str]]:
    by_split = [
        (corpus.name, [corpus.splits.get(name, 0) for name in SPLITS])
        for corpus in composition.corpora
    ]
    drawn = [("Rows by split", charts.grouped_bars(by_split, ("major", "minor", "section")))]
    if composition.seconds:
        histogram = charts.histogram(composition.seconds, label="Duration", unit="s")
        drawn.append(("Duration", histogram))
    return drawn
