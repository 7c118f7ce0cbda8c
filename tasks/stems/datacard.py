"""The card of a dataset of pairs: ``README.md``, as the Hugging Face hub shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.dataset import cards, page
from tasks.stems import schema
from tasks.stems.summary import Summary

MAX_ARTISTS = 30


def render(summary: Summary, manifest: Mapping[str, Any], *, instrument: str, tars: bool) -> str:
    """Return the card, as Markdown with YAML before it.

    Parameters
    ----------
    summary
        Of the dataset's rows.
    manifest
        Content of ``manifest.json``: its ``steps``, ``counts`` and ``split_seed``, where they
        are there.
    instrument
        What the targets are.
    tars
        Whether there are tar files for WebDataset.
    """
    import yaml

    # Markdown, not HTML: what comes from outside is escaped by `text` instead.
    environment = page.environment(Path(__file__).parent, html=False)
    environment.filters["text"] = cards.escaped
    steps = manifest.get("steps", ())
    chunks = sum(split.chunks for split in summary.splits.values())
    card = environment.get_template("datacard.md.j2").render(
        front_matter=yaml.safe_dump(
            _front_matter(summary, instrument, chunks), sort_keys=False, allow_unicode=True
        ),
        instrument=instrument,
        encoding=summary.encoding,
        tokens=summary.encoding.tokens,
        seconds=summary.encoding.chunk_samples / summary.encoding.sample_rate_hz,
        splits=summary.splits,
        kinds=summary.kinds,
        artists=_artists(summary),
        max_artists=MAX_ARTISTS,
        instruments=_by_split(summary, "instruments"),
        columns=[
            (
                field.name,
                cards.type_name(field.type),
                field.metadata[b"description"].decode(),
                field.metadata.get(b"unit", b"").decode(),
            )
            for field in schema.dataset(summary.encoding)
        ],
        steps=steps,
        models=[model for step in steps for model in step.get("models") or ()],
        counts=manifest.get("counts", {}),
        split_seed=manifest.get("split_seed"),
        tars=tars,
    )
    return page.encodable(card)


def _front_matter(summary: Summary, instrument: str, chunks: int) -> dict[str, Any]:
    """Return what the hub reads, without empty splits, which its viewer takes for damaged."""
    return {
        "pretty_name": f"Stem continuation: {instrument}",
        "license": "other",
        "license_name": "as-the-recordings",
        "task_categories": ["audio-to-audio"],
        "tags": ["audio", "music", "stems", "encodec"],
        "size_categories": [cards.size_category(chunks)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": name, "path": f"{name}-*.parquet"}
                    for name, split in summary.splits.items()
                    if split.chunks
                ],
            }
        ],
    }


def _artists(summary: Summary) -> list[tuple[str, str, int]]:
    """Return artist, split and pairs, the most frequent first."""
    rows = [
        (artist, name, pairs)
        for name, split in summary.splits.items()
        for artist, pairs in split.artists.items()
    ]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


def _by_split(summary: Summary, counter: str) -> dict[str, list[int]]:
    """Return the counts of each name in each split, in the order of the names."""
    counts = [getattr(split, counter) for split in summary.splits.values()]
    names = sorted({name for count in counts for name in count})
    return {name: [count[name] for count in counts] for name in names}
