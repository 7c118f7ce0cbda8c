"""How likely listeners would give a track each tag: genres, instruments, moods, voices."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from models.protocols import TAGGING
from tasks.audio import Repair
from tasks.song import voices
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track, column, costs, per_track

MODELS = {"mtt_scores": "musicnn-mtt", "msd_scores": "musicnn-msd"}
"""By the columns that they fill."""

LOUDNESS_LUFS = -14.0
"""At which a track is heard. The mean of the bands is then 1.8 and 2.1 in two mixes of today, and
1.3 in an old-fashioned one; of what the networks learned from it was 1.6 (MagnaTagATune) and 2.2
(Million Song Dataset), as the norms of their inputs have it. From -20 to -9 LUFS a score moves by
up to 0.25."""

MOST_WINDOWS = 20
"""Of a track, evenly spread. In a song of 55 windows of 3 s, scores from 16 to 24 of them differ
from those of all by 0.003 to 0.014 (root mean square over the tags), and one by 0.08 at most. The
two networks take 50 ms of a processor for a window."""

SILENCE_DBFS = -80.0
"""Windows whose RMS is below are left out: quieter than the rounding noise of 14 bits."""


class TagsConfig(StepConfig):
    """What is heard is the networks' own: there is nothing to configure."""


COLUMNS = pa.schema(
    [
        *(
            column(
                name,
                pa.list_(pa.float32()),
                f"Mean score of each tag of {model}, 0 to 1; null of speech and silence",
            )
            for name, model in MODELS.items()
        ),
        column("tag_windows", pa.int32(), "Windows of 3 s that they are the means of"),
    ]
)


def tags(track: Track, upstream: Mapping[str, Row | None], config: TagsConfig, tools: Tools) -> Row:
    """Hear a track, downmixed to mono; all null where there is no music."""
    probe = upstream["probe"]
    assert probe is not None
    if not voices.may_be_music(upstream.get("activity")):
        return dict.fromkeys(COLUMNS.names)
    taggers = {name: tools.model(model, TAGGING) for name, model in MODELS.items()}
    first = next(iter(taggers.values()))
    size = first.window_samples
    starts = window_starts(round(probe["duration_seconds"] * first.sample_rate_hz), size)
    gain = _gain(probe.get("loudness_lufs"))
    found: dict[str, list[Samples]] = {name: [] for name in taggers}
    blocks = tools.mix_blocks(track, first.sample_rate_hz, Repair.of(probe))
    for window in windows_at(blocks, starts, size):
        if float(window @ window) / size >= 10 ** (SILENCE_DBFS / 10):
            bands = first.bands(window[None] * gain)
            for name, tagger in taggers.items():
                found[name].append(tagger.scores(bands)[0])
    count = len(found["mtt_scores"])
    if not count:
        return dict.fromkeys(COLUMNS.names)
    return {name: np.mean(scores, axis=0) for name, scores in found.items()} | {
        "tag_windows": count
    }


def window_starts(samples: int, size: int) -> list[int]:
    """Return where windows of a track begin: in the middles of as many equal parts."""
    count = min(max(1, samples // size), MOST_WINDOWS)
    return [max(0, round((at + 0.5) * samples / count - size / 2)) for at in range(count)]


def windows_at(blocks: Iterable[Samples], starts: Iterable[int], size: int) -> Iterator[Samples]:
    """Yield the windows of a signal that begin at some places.

    A window in which the signal ends is left out. Of a signal that is shorter than one there is one
    all the same, of the signal over and over, as the networks were given short ones in training.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each.
    starts
        Ascending samples of the signal, at least `size` apart.
    size
        Samples of a window.
    """
    waiting = deque(starts)
    held, at, is_given = np.zeros(0, np.float32), 0, False
    for block in blocks:
        held = np.concatenate([held, block])
        while waiting and waiting[0] + size <= at + len(held):
            start = waiting.popleft() - at
            yield held[start : start + size]
            is_given = True
        if not waiting:
            return
        gone = min(max(0, waiting[0] - at), len(held))
        held, at = held[gone:], at + gone
    if not is_given and len(held):
        yield np.resize(held, size)


def _gain(loudness_lufs: float | None) -> np.float32:
    """Return the factor to ``LOUDNESS_LUFS``; one where the loudness is not known."""
    gain_db = 0.0 if loudness_lufs is None else LOUDNESS_LUFS - loudness_lufs
    return np.float32(10 ** (gain_db / 20))


STEP = Step(
    name="tags",
    version=1,
    config=TagsConfig,
    columns=COLUMNS,
    run=per_track(tags),
    upstream=("probe",),
    optional_upstream=("activity",),
    models=lambda config: tuple(MODELS.values()),
    cost=costs(0.4),
)
