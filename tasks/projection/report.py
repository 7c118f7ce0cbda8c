"""The report of a projection: its figures, its curves, and what it finds, to be listened to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.dataset import page
from tasks.dataset.fit_charts import drawn
from tasks.projection.evaluate import Example, rows
from tasks.projection.metrics import CUTS, DEPTH
from tasks.text import counted
from tasks.training.curves import Curve

TEMPLATE = Path(__file__).with_name("report.html.j2")

WAYS = (("text_to_audio", "text to audio"), ("audio_to_text", "audio to text"))

CURVES = (
    (("loss",), "Loss of the batches"),
    (("validation/recall_at_10", "validation/chance/recall_at_10"), "Validation, R@10"),
    (("validation/map_at_10", "validation/chance/map_at_10"), "Validation, mAP@10"),
    (("temperature",), "Temperature"),
)
"""Curves that are drawn together, and what they are called; the second of two is chance."""


@dataclass(frozen=True)
class Content:
    """What the report shows.

    Attributes
    ----------
    audio_encoder, text_encoder
        For people.
    metrics
        Of the fit.
    curves
        Of its scalars, by name.
    examples
        Captions of the test split, and what is nearest to them.
    items
        Of the file: ``title``, ``artist``, ``audio_path`` and ``id`` of each.
    steps, stopped_early, seconds
        How long it was trained.
    """

    audio_encoder: str
    text_encoder: str
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve]
    examples: Sequence[Example]
    items: Mapping[str, Sequence[Any]]
    steps: int
    stopped_early: bool
    seconds: float


def render(content: Content) -> str:
    """Render the report of a projection as HTML."""
    test = rows(content.metrics, "test")
    return page.render(
        TEMPLATE,
        facts=[
            (f"{100 * test['text_to_audio/recall_at_10']:.1f} %", "R@10, text to audio"),
            (f"{100 * test['text_to_audio/chance/recall_at_10']:.1f} %", "chance"),
            (f"{test['text_to_audio/median_rank']:,.0f}", "median rank"),
            (f"{test['items']:,.0f}", "test items"),
            (f"{test['captions']:,.0f}", "test captions"),
            (f"{content.steps:,}", "steps, stopped early" if content.stopped_early else "steps"),
            page.duration_fact(content.seconds),
        ],
        item="Item",
        failures=[],
        steps=[],
        audio_encoder=content.audio_encoder,
        text_encoder=content.text_encoder,
        headings=[*(f"R@{cut}" for cut in CUTS), "Median rank", f"mAP@{DEPTH}"],
        tables=_tables(test),
        charts=drawn(content.curves, CURVES),
        examples=[_shown(each, content.items) for each in content.examples],
    )


def _tables(test: Mapping[str, float]) -> list[tuple[str, str, list[tuple[str, list[str]]]]]:
    """Return title, note and rows of each table of retrieval."""
    tables = [("Test split", _counts(test), _figures(test, with_chance=True))]
    ours, clap = rows(test, "beside_clap/projection"), rows(test, "beside_clap/clap")
    if clap:
        both = [
            (f"{who}, {name}", values)
            for who, found in (("projection", ours), ("CLAP", clap))
            for name, values in _figures(found, with_chance=False)
        ]
        chance = [each for each in _figures(ours, with_chance=True) if "chance" in each[0]]
        tables.append(("Beside CLAP, on the same items", _counts(ours), both + chance))
    corpora = sorted(
        {name.removeprefix("corpus/").rpartition("/items")[0] for name in test
         if name.startswith("corpus/") and name.endswith("/items")}
    )  # fmt: skip
    for corpus in corpora:
        found = rows(test, f"corpus/{corpus}")
        tables.append((f"{corpus} alone", _counts(found), _figures(found, with_chance=True)))
    return tables


def _counts(found: Mapping[str, float]) -> str:
    items, captions = (counted(int(found[f"{name}s"]), name) for name in ("item", "caption"))
    return f"{items}, {captions}"


def _figures(found: Mapping[str, float], *, with_chance: bool) -> list[tuple[str, list[str]]]:
    lines = []
    for way, name in WAYS:
        lines.append((name, _line(rows(found, way))))
        if with_chance:
            lines.append((f"{name}, chance", _line(rows(found, f"{way}/chance"))))
    return lines


def _line(values: Mapping[str, float]) -> list[str]:
    recalls = [f"{100 * values[f'recall_at_{cut}']:.1f} %" for cut in CUTS]
    return [*recalls, f"{values['median_rank']:,.0f}", f"{values[f'map_at_{DEPTH}']:.3f}"]


def _shown(example: Example, items: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {
        "caption": example.caption,
        "of": _item(example.number, items),
        "neighbours": [
            {
                **_item(each.number, items),
                "similarity": f"{each.similarity:.3f}",
                "is_target": each.is_target,
            }
            for each in example.neighbours
        ],
    }


def _item(number: int, items: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    path = str(items["audio_path"][number])
    title = str(items["title"][number] or items["id"][number])
    artist = str(items["artist"][number] or "")
    return {
        "name": f"{artist}: {title}" if artist else title,
        "path": path,
        "address": Path(path).as_uri() if Path(path).is_absolute() else quote(path),
    }
