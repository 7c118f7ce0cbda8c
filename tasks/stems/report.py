"""One self-contained page that shows, and lets hear, what is in a dataset of pairs."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks import audio
from tasks.dataset import charts, page
from tasks.stems.schema import Codes, Encoding, Signal
from tasks.stems.summary import Example, Summary
from tasks.track import Samples

CLIP_SECONDS = 10.0

Decode = Callable[[Codes, Samples | None, int], Samples]
"""From codes ``(codebooks, frames)``, their scales and the number of samples to audio."""

Original = Callable[[Mapping[str, Any], Signal], Samples | None]
"""From a row of the dataset and the name of a signal to what was encoded; None if it is gone."""

LABELS: Mapping[Signal, str] = {
    "all_without": "context without the target",
    "all": "context with the target",
    "stem": "target",
}


def render(
    summary: Summary,
    failures: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    *,
    decode: Decode | None = None,
    original: Original | None = None,
) -> str:
    """Return the page, as HTML.

    Parameters
    ----------
    summary
        Of the dataset's rows.
    failures
        Rows of ``failures.jsonl``: ``file_path``, ``step``, ``reason``, ``message``.
    manifest
        Content of ``manifest.json``; ``name``, ``created_at``, ``counts``,
        ``seconds_by_step`` and ``steps`` are shown where they are there.
    decode
        The codec's decoder; without it, there is nothing to listen to.
    original
        What the examples were encoded from.
    """
    return page.render(
        Path(__file__).with_name("report.html.j2"),
        facts=_facts(summary, manifest),
        item="Song",
        failures=failures,
        steps=page.with_costs(_steps(manifest), manifest.get("seconds_by_step", {})),
        name=manifest.get("name"),
        created_at=manifest.get("created_at"),
        encoding=summary.encoding,
        splits=[
            (name, split, f"{split.seconds / 3600:,.2f}") for name, split in summary.splits.items()
        ],
        charts=_charts(summary),
        lists=[
            ("Distortions of the contexts", "pairs", page.ranked(summary.distortions)),
            ("Target instruments", "pairs", page.ranked(_total(summary, "instruments"))),
        ],
        examples=_examples(summary, decode, original),
        counts=_left_out(manifest.get("counts", {})),
    )


def embedded(signal: Samples | None, encoding: Encoding) -> str:
    """Return the address of an audio element that is the audio itself; empty for none."""
    if signal is None:
        return ""
    clip = signal[:, : round(CLIP_SECONDS * encoding.sample_rate_hz)]
    data = audio.mp3(clip, encoding.sample_rate_hz)
    return f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}"


def _facts(summary: Summary, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures at the top of the page: (value, what it is)."""
    splits = summary.splits.values()
    return [
        (f"{sum(split.chunks for split in splits):,}", "chunks"),
        (f"{sum(split.pairs for split in splits):,}", "pairs"),
        page.duration_fact(sum(split.seconds for split in splits)),
        (f"{len(set().union(*(split.songs for split in splits))):,}", "songs"),
        (f"{len(_total(summary, 'artists')):,}", "artists"),
        (f"{manifest.get('counts', {}).get('failed', 0):,}", "songs with failures"),
    ]


def _total(summary: Summary, name: str) -> Counter[str]:
    """Return a count of all splits together."""
    total: Counter[str] = Counter()
    for split in summary.splits.values():
        total.update(getattr(split, name))
    return total


def _charts(summary: Summary) -> list[tuple[str, str]]:
    """Return the title and drawing of each distribution; an empty drawing for no values."""
    drawn = (
        ("Pitch", summary.pitches_semitones, "shift of the pitch, per pair", "semitones", 0.25),
        ("Tempo", summary.tempos, "tempo over the original's, per pair", "", 0.02),
        ("Target", summary.active_fractions, "share in which it sounds, per chunk", "", 0.05),
    )
    return [
        (title, charts.histogram(values, label=label, unit=unit, step=step) if values else "")
        for title, values, label, unit, step in drawn
    ]


def _examples(
    summary: Summary, decode: Decode | None, original: Original | None
) -> list[dict[str, Any]]:
    """Return what is written beside each example, and its signals from codes and before."""
    if decode is None:
        return []
    return [
        {
            "row": example.row,
            "split": example.split,
            "start": charts.clock(example.row["start_seconds"]),
            "distortions": ", ".join(map(_described, json.loads(example.row["distortions"]))),
            "clips": [
                (
                    LABELS[signal],
                    embedded(_decoded(example, signal, decode), summary.encoding),
                    embedded(original and original(example.row, signal), summary.encoding),
                )
                for signal in LABELS
                if signal in example.codes
            ],
        }
        for example in summary.examples
    ]


def _decoded(example: Example, signal: Signal, decode: Decode) -> Samples:
    scales = example.row[f"scales_{signal}"]
    return decode(
        example.codes[signal],
        None if scales is None else np.array(scales, np.float32),
        example.row["samples"],
    )


def _described(distortion: Mapping[str, Any]) -> str:
    """Return `noise (snr_db 24.1)`."""
    values = [
        f"{name} {value:.4g}"
        for name, value in distortion.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    name = str(distortion["name"]).replace("_", " ")
    return f"{name} ({', '.join(values)})" if values else name


def _left_out(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return what the dataset lacks on purpose, in words."""
    words = {
        "dropped_silent_chunks": "chunks in which the target is silent",
        "dropped_short_chunks": "ends of pairs that are too short for a chunk",
        "silent_pairs": "pairs whose target is silent from start to end",
    }
    return [(text, counts[name]) for name, text in words.items() if name in counts]


def _steps(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of the run: their models and settings."""
    return [
        {
            "name": step["step"],
            "columns": [],
            "version": step.get("step_version"),
            "config": step.get("config") or {},
            "models": step.get("models") or [],
        }
        for step in manifest.get("steps", ())
    ]
