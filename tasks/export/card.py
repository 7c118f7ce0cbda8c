"""The card of an export: ``README.md``, as the Hugging Face hub shows it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tasks.dataset import cards, page
from tasks.dataset.selection import Choice
from tasks.export.publishing import model_licences
from tasks.export.publishing.licences import Licences
from tasks.export.target import Finished, Target
from tasks.text import counted, duration

CARD = "README.md"

NOT_MEASURED = "none"
"""Floor of columns that no benchmark measures."""

LIMITS = {
    "songs": (
        "Labels that were heard are those of models and of signal processing: on real music tempo "
        "can be off by an octave, keys by a fifth, and names of sections are consistent rather "
        "than right.",
        "Songs of one artist, and copies of one recording, are in one split where metadata or the "
        "sound say so; an artist under two names is in two groups.",
    ),
    "unified": (
        "Captions are of the corpora, or made of their tags (`caption_styles` says which), and are "
        "as right as these.",
        "Audio keeps the length and the quality that its corpus has.",
    ),
    "stems": (
        "Codes are what the codec keeps of the recordings; each chunk was encoded on its own.",
        "Pairs of one song share its recording: variants are no independent samples.",
    ),
    "concepts": (
        "Of a concept with one recording, validation is a later part of the same recording.",
    ),
}
"""What users of the datasets of each job have to know."""

OF_AUDIO = {
    "link": "Audio is linked, not part of the export: it is gone where the files are moved.",
    "opus": "Audio is encoded in Opus, which loses what is hard to hear, and is at 48 kHz.",
}


def render(
    finished: Finished,
    target: Target,
    choice: Choice,
    licences: Licences,
    nulls: Mapping[str, float],
    audio_seconds: float,
    failed: int,
) -> str:
    """Return the card, as Markdown with YAML before it.

    Parameters
    ----------
    finished
        The export.
    target
        What it is for.
    choice
        Which rows were asked for.
    licences
        Those of its rows, summed up.
    nulls
        Share of rows without a value, by column.
    audio_seconds
        Length of all rows.
    failed
        Rows that could not be exported.
    """
    import yaml

    # Markdown, not HTML: what comes from outside is escaped by `text` instead.
    environment = page.environment(Path(__file__).parent, html=False)
    environment.filters["text"] = cards.escaped
    rows = sum(finished.splits.values())
    front = _front_matter(finished, target, licences, rows)
    trusted, unmeasured = _trust(finished)
    card = environment.get_template("card.md.j2").render(
        front_matter=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        name=finished.name,
        rows_said=counted(rows, "segment" if finished.segments else "row"),
        hours=duration(audio_seconds),
        summary=target.summary,
        splits=finished.splits,
        together=together(finished.kind),
        asked=", ".join(_asked(choice)),
        failed=counted(failed, "row") if failed else "",
        usage=target.usage(finished).strip(),
        has_columns=target.has_columns,
        licences=licences.lines,
        models=[model.line for model in model_licences.of_manifest(finished.dataset)],
        trusted=trusted,
        unmeasured=unmeasured,
        nulls=[(name, _percentage(share)) for name, share in nulls.items()],
        limits=limits(finished),
        columns=[
            (field.name, cards.type_name(field.type), *_said(field.metadata))
            for field in finished.columns
        ],
    )
    return page.encodable(card)


@cache
def trust() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return columns of songs, with the floor of what a benchmark measured of them."""
    found = tomllib.loads(Path(__file__).with_name("trust.toml").read_text(encoding="utf-8"))
    return tuple((tuple(each["names"]), each["floor"]) for each in found["column"])


def _front_matter(
    finished: Finished, target: Target, licences: Licences, rows: int
) -> dict[str, Any]:
    return {
        "pretty_name": finished.name,
        **licences.front_matter,
        "tags": ["audio", "music", "songmill"],
        "size_categories": [cards.size_category(rows)],
        **target.front_matter(finished),
    }


def together(kind: str) -> str:
    """Return what the splits of a dataset keep together, as a sentence."""
    if kind == "concepts":
        return "Recordings are in one split, but for concepts that have one recording."
    return "What belongs together (an artist, a recording and its copies) is in one split."


def _asked(choice: Choice) -> Iterator[str]:
    """Yield what was asked for, as options."""
    if choice.where:
        yield f"`--where {_code(choice.where)}`"
    if choice.licence != "any":
        yield f"`--licence {choice.licence}`"
    if choice.drop_duplicates:
        yield "`--drop_duplicates`"
    if choice.sample is not None:
        stratified = f" --stratify {_code(choice.stratify)}" if choice.stratify else ""
        yield f"`--sample {choice.sample}{stratified} --seed {choice.seed}`"


def _code(text: str) -> str:
    """Return text as it may stand between backticks."""
    return " ".join(text.replace("`", "'").split())


def _trust(finished: Finished) -> tuple[list[tuple[tuple[str, ...], str]], list[str]]:
    """Return the floors of the columns that are there, and those without one."""
    if finished.kind != "songs":
        return [], []
    there = {name.removeprefix("track_") for name in finished.columns.names}
    there |= set(finished.columns.names)
    trusted: list[tuple[tuple[str, ...], str]] = []
    unmeasured: list[str] = []
    for names, floor in trust():
        known = tuple(name for name in names if name in there)
        if known and floor == NOT_MEASURED:
            unmeasured += known
        elif known:
            trusted.append((known, floor))
    return trusted, unmeasured


def limits(finished: Finished) -> Sequence[str]:
    """Return what users of an export have to know, in sentences."""
    return [*LIMITS[finished.kind], *filter(None, [OF_AUDIO.get(finished.audio)])]


def _percentage(share: float) -> str:
    percent = 100 * share
    return "all" if percent == 100 else f"{percent:.3g} %"


def _said(metadata: Mapping[bytes, bytes] | None) -> tuple[str, str]:
    said = metadata or {}
    return said.get(b"description", b"").decode(), said.get(b"unit", b"").decode()
