"""The report of a training: figures, curves, the songs, and an excerpt to listen to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from tasks.audio import write_flac
from tasks.dataset import charts, page
from tasks.dataset.fit_charts import drawn
from tasks.separator.store import Store
from tasks.separator.training_song import Split
from tasks.training.curves import Curve

if TYPE_CHECKING:
    from tasks.separator.segments import Excerpt

TEMPLATE = Path(__file__).with_name("training.html.j2")
REPORT = "report.html"
AUDIO = "audio"

Float32 = npt.NDArray[np.float32]

CURVES = (
    (("loss", "validation/loss"), "Loss of training and of validation"),
    (("validation/si_sdr_improvement",), "SI-SDR improvement, dB"),
    (("validation/si_sdr",), "SI-SDR, dB"),
    (("validation/sdr",), "SDR, dB"),
    (("learning_rate",), "Learning rate"),
    (("gradient_norm",), "Norm of the gradients"),
)
"""Curves that are drawn together, and what they are called."""

COLUMNS = ("si_sdr", "si_sdr_improvement", "sdr", "sdr_improvement")


@dataclass(frozen=True)
class Content:
    """What the report shows.

    Attributes
    ----------
    network, parameters
        What was trained, for people, and how many weights it has.
    store
        The songs.
    metrics, curves
        Of the fit, by name.
    excerpt, stems
        What can be listened to, and what the network makes of it, shape ``(S, C, L)``.
    steps, seconds
        How long it was trained.
    notes
        What happened to the training, a sentence each.
    """

    network: str
    parameters: int
    store: Store
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve]
    excerpt: "Excerpt"
    stems: Float32
    steps: int
    seconds: float
    notes: Sequence[str]


def write(folder: Path, content: Content) -> None:
    """Write the page, and the audio that it plays."""
    rate, place = content.store.sample_rate_hz, Storage(str(folder))
    signals = {"mixture": content.excerpt.mixture}
    for name, before, after in zip(
        content.store.sources, content.excerpt.targets, content.stems, strict=True
    ):
        signals |= {f"{name}-true": before, f"{name}-separated": after}
    for name, signal in signals.items():
        write_flac(place, f"{AUDIO}/{name}.flac", np.asarray(signal, np.float32), rate)
    (folder / REPORT).write_text(render(content), encoding="utf-8")


def render(content: Content) -> str:
    """Render the report as HTML."""
    metrics, store = content.metrics, content.store
    return page.render(
        TEMPLATE,
        facts=[
            (_decibels(metrics.get("validation/si_sdr_improvement")), "SI-SDR improvement"),
            (_decibels(metrics.get("validation/sdr")), "SDR"),
            (f"{metrics['validation/step']:,.0f}", "best step"),
            (f"{content.steps:,}", "steps"),
            (f"{content.parameters:,}", "weights"),
            page.duration_fact(content.seconds),
        ],
        item="Song",
        failures=[],
        steps=[],
        network=content.network,
        notes=content.notes,
        figures=[(name, _line(metrics, f"/{name}")) for name in store.sources]
        + [("mean", _line(metrics, ""))],
        charts=drawn(content.curves, CURVES),
        excerpt=content.excerpt.song.title or content.excerpt.song.path,
        start=charts.clock(content.excerpt.start_seconds),
        audio=AUDIO,
        sources=store.sources,
        data=[_data(store, split) for split in get_args(Split)],
    )


def _line(metrics: Mapping[str, float], of: str) -> list[str]:
    return [_decibels(metrics.get(f"validation/{column}{of}")) for column in COLUMNS]


def _decibels(value: float | None) -> str:
    return "silent" if value is None else f"{value:.2f} dB"


def _data(store: Store, split: Split) -> dict[str, Any]:
    """Return songs, hours, and the share of time in which each source sounds, of a split."""
    songs = store.of_split(split)
    seconds = sum(song.frames for song in songs) / store.sample_rate_hz
    shares = []
    for at in range(len(store.sources)):
        windows = "".join(song.active[at] for song in songs)
        shares.append(f"{100 * windows.count('1') / len(windows):.0f} %" if windows else "")
    value, unit = page.duration_fact(seconds)
    return {"split": split, "songs": len(songs), "time": f"{value} {unit}", "shares": shares}
