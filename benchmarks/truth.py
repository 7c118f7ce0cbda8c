"""The offline steps on recordings whose truth is known.

``python -m benchmarks truth FOLDER`` runs the steps of build-dataset over a folder of recordings,
as a build does, and scores what they say against its ``README.tsv``: a row per recording, with
``file``, ``kind`` and ``value``. What is known stands in a file that `value` names, or in `value`
itself: a ``.jams`` (tempo, key, beats and their positions in the bar, chords, boundaries), a
``_f0.csv`` (time and F0 in Hz, 0 where unvoiced), or a key such as ``C major``.

Measures are mir_eval's: tempo within 4 % (`acc1`), also of half, double, third or triple of it
(`acc2`); beats and downbeats within 70 ms, those of the first five seconds left out; whether the
time signature is right; the weighted score of a key;
of F0 the raw pitch accuracy, the false alarms and the overall accuracy, all within 50 cents;
boundaries within 3 s; the overlap of chords as major, minor or none (majmin), true ones of another
kind left out, with each annotation where there are several, as GuitarSet's of what was to be played
and of what was (2). Of vocals, from a ``.lines.csv`` with the columns ``start_time`` and
``end_time``, it is precision and recall of hundredths of a second; and ``content`` is right where
`value` names it, as in ``content speech``.
With ``--whisper_model``, words are scored as :mod:`benchmarks.truth_words` says.
"""

import argparse
import csv
import json
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import numpy.typing as npt

from benchmarks import truth_words
from benchmarks.accuracy import majmin_overlap
from flows.build_dataset import BUILD
from flows.build_dataset_params import BuildDatasetParams
from flows.run import prepare
from tasks.engine.plan import run_here
from tasks.song import voices
from tasks.step import Row

Floats = npt.NDArray[np.float64]

TABLE = "README.tsv"
TEMPO_TOLERANCE = 0.04
OTHER_LEVELS = (1 / 3, 1 / 2, 1, 2, 3)
BOUNDARY_WINDOW_SECONDS = 3.0
KEY = re.compile(r"[A-G][b#]? (major|minor)")
CONTENT = re.compile(r"content (\w+)")

STEPS = ("activity", "beats", "features", "harmony", "sections", "pitch")
"""Whose rows are scored, if they are part of the run."""


@dataclass
class Truth:
    """What is known of a recording; None where nothing is.

    Attributes
    ----------
    tempo_bpm, key
        The key as mir_eval writes it: ``C major``.
    beats_seconds, downbeats_seconds
        Times of the beats, and of those that begin a bar.
    time_signature
        As ``4/4``.
    boundaries_seconds
        Starts and ends of the sections, shape ``(n, 2)``.
    chords
        Annotations of the chords: starts and ends, shape ``(n, 2)``, and labels in Harte's syntax.
    f0
        Times in seconds and F0 in Hz, 0 where unvoiced, shape ``(n, 2)``.
    vocals_seconds
        Starts and ends of what is sung, shape ``(n, 2)``.
    content
        As the step `activity` names it.
    """

    tempo_bpm: float | None = None
    key: str | None = None
    beats_seconds: Floats | None = None
    downbeats_seconds: Floats | None = None
    time_signature: str | None = None
    boundaries_seconds: Floats | None = None
    chords: list[tuple[Floats, list[str]]] = field(default_factory=list)
    f0: Floats | None = None
    vocals_seconds: Floats | None = None
    content: str | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help=f"with recordings and {TABLE}")
    parser.add_argument("--separator", default="spleeter")
    parser.add_argument("--pitch_method", choices=("swiftf0", "crepe", "pyin"), default="swiftf0")
    parser.add_argument("--beat_method", choices=("beatnet", "onsets"), default="beatnet")
    parser.add_argument("--whisper_model", default="off", help="hears words, where they are known")
    parser.add_argument("--models_dir", help="where that Whisper lies")
    options = parser.parse_args()
    truths = dict(read(options.folder))
    if not truths:
        print(f"{options.folder / TABLE} names no recording that is there.")
        return 1
    methods = options.separator, options.pitch_method, options.beat_method
    rows = estimates(options.folder, set(truths), *methods)
    scores = {name: score(truth, rows[name]) for name, truth in truths.items() if name in rows}
    for name, figures in _words(options).items():
        scores.setdefault(name, {}).update(figures)
    print_table(scores)
    for name in truths.keys() - rows.keys():
        print(f"{name}: no step gave anything for it")
    return 0 if rows.keys() >= truths.keys() else 1


def read(folder: Path) -> Iterator[tuple[str, Truth]]:
    """Yield each recording that a folder's table names and holds, with what is known of it."""
    with (folder / TABLE).open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if truth_words.NAMED.search(row["file"]):
                continue
            if not (folder / row["file"]).is_file():
                print(f"{row['file']}: passed over, no such recording in {folder}")
                continue
            truth = Truth()
            if key := KEY.search(row["value"]):
                truth.key = key.group()
            if content := CONTENT.search(row["value"]):
                truth.content = content[1]
            # Words are read by what scores them.
            for name in re.findall(r"[^\s:,;]+\.(?:jams|(?<!words\.)csv)", row["value"]):
                _added(name)(truth, folder / name)
            yield row["file"], truth


def _added(name: str) -> Callable[[Truth, Path], None]:
    """Return what takes up a file of a name."""
    if name.endswith(".lines.csv"):
        return _add_lines
    return _add_jams if name.endswith(".jams") else _add_f0


def _add_lines(truth: Truth, path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as table:
        spans = [
            (float(row["start_time"]), float(row["end_time"])) for row in csv.DictReader(table)
        ]
    truth.vocals_seconds = np.array(spans).reshape(-1, 2)


def _words(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the figures of recordings whose words are known, if Whisper is to hear them."""
    if options.whisper_model == "off":
        return {}
    with (options.folder / TABLE).open(newline="", encoding="utf-8") as table:
        known = list(truth_words.read(options.folder, list(csv.DictReader(table, delimiter="\t"))))
    return {
        words.recording.name: truth_words.score(
            words, options.separator, options.whisper_model, options.models_dir
        )
        for words in known
    }


def _add_f0(truth: Truth, path: Path) -> None:
    truth.f0 = np.loadtxt(path, delimiter=",", ndmin=2)


def _add_jams(truth: Truth, path: Path) -> None:
    """Take up the annotations of a file of J. Salamon's and others' format, version 0.3."""
    for annotation in json.loads(path.read_text())["annotations"]:
        space, data = annotation["namespace"], annotation["data"]
        if space == "tempo":
            truth.tempo_bpm = float(data[0]["value"])
        elif space == "key_mode":
            truth.key = data[0]["value"].replace(":", " ")
        elif space in ("beat", "beat_position"):
            truth.beats_seconds = np.array([each["time"] for each in data])
            if space == "beat_position":
                _add_bars(truth, data)
        elif space == "chord":
            truth.chords.append((_spans(data), [each["value"] for each in data]))
        elif space.startswith("segment"):
            truth.boundaries_seconds = _spans(data)


def _spans(data: list[dict[str, Any]]) -> Floats:
    return np.array([(each["time"], each["time"] + each["duration"]) for each in data])


def _add_bars(truth: Truth, data: list[dict[str, Any]]) -> None:
    """Take up positions in bars; a time signature that changes is none."""
    starts = [each["time"] for each in data if each["value"]["position"] == 1]
    truth.downbeats_seconds = np.array(starts)
    found = {f"{each['value']['num_beats']}/{each['value']['beat_units']}" for each in data}
    truth.time_signature = found.pop() if len(found) == 1 else None


def estimates(
    folder: Path, names: set[str], separator: str, pitch_method: str, beat_method: str
) -> dict[str, dict[str, Row]]:
    """Return the rows of the steps for each recording, by its name."""
    with tempfile.TemporaryDirectory() as outputs:
        params = BuildDatasetParams.model_validate(
            {
                "audio_dir": str(folder),
                "output": f"{outputs}/truth.json",
                "profile": "offline",
                "separator": separator,
                "pitch": {"method": pitch_method},
                "beat_method": beat_method,
                "llm": False,
                "workers": 1,
            }
        )
        made, _ = prepare(BUILD, params)
        run_here(made)
        steps = [stage.step.name for stage in made.results.stages if stage.step.name in STEPS]
        return {
            track.path: found for track, found in made.results.joined(steps) if track.path in names
        }


def score(truth: Truth, rows: Mapping[str, Row]) -> dict[str, float]:
    """Return each figure that a recording's truth allows."""
    features, figures = rows["features"], {}
    if truth.tempo_bpm is not None:
        ratio = (features["tempo_bpm"] or 0.0) / truth.tempo_bpm
        figures["tempo acc1"] = float(abs(ratio - 1) <= TEMPO_TOLERANCE)
        figures["tempo acc2"] = float(
            any(abs(ratio / level - 1) <= TEMPO_TOLERANCE for level in OTHER_LEVELS)
        )
    if truth.beats_seconds is not None:
        figures["beats F"] = beats_f(truth.beats_seconds, features["beat_times_seconds"])
    if "beats" in rows:
        figures |= _bars(truth, rows["beats"])
    if truth.key is not None:
        harmony = rows["harmony"]
        said = f"{harmony['tonic']} {harmony['mode']}" if harmony["tonic"] else "X"
        figures["key"] = mir_eval.key.weighted_score(truth.key, said)
    figures |= _chords(truth.chords, rows["harmony"])
    if truth.boundaries_seconds is not None:
        sections = rows["sections"]
        found = np.stack([sections["start_seconds"], sections["end_seconds"]], axis=1)
        figures["boundaries F"] = mir_eval.segment.detection(
            truth.boundaries_seconds, found, window=BOUNDARY_WINDOW_SECONDS, trim=True
        )[2]
    if truth.f0 is not None:
        figures |= _melody(truth.f0, rows["pitch"])
    return figures | _activity(truth, rows["activity"])


def _activity(truth: Truth, row: Row) -> dict[str, float]:
    """Precision and recall of vocals, and whether the content is right."""
    figures = {}
    if truth.vocals_seconds is not None:
        found = voices.vocals(row)
        end = max([0.0, *truth.vocals_seconds.ravel(), *(end for _, end in found)])
        sung, heard = (_hundredths(spans, end) for spans in (truth.vocals_seconds, found))
        together = float((sung & heard).sum())
        figures["vocals precision"] = together / max(1, heard.sum())
        figures["vocals recall"] = together / max(1, sung.sum())
    if truth.content is not None:
        figures["content"] = float(row["content"] == truth.content)
    return figures


def beats_f(truth: Floats, found: Any) -> float:
    """F-measure of beats; of none, where the track has some, 0."""
    found = np.asarray([] if found is None else found, np.float64)
    trim = mir_eval.beat.trim_beats
    return float(mir_eval.beat.f_measure(trim(truth), trim(found)))


def _bars(truth: Truth, row: Row) -> dict[str, float]:
    """Score downbeats and metre."""
    figures = {}
    if truth.downbeats_seconds is not None:
        figures["downbeats F"] = beats_f(truth.downbeats_seconds, row["downbeat_times_seconds"])
    if truth.time_signature is not None:
        figures["metre"] = float(row["time_signature"] == truth.time_signature)
    return figures


def _chords(annotations: list[tuple[Floats, list[str]]], row: Row) -> dict[str, float]:
    """Return the overlap with each annotation of the chords; a second one gets its number."""
    return {
        "chords" if number == 1 else f"chords ({number})": majmin_overlap(spans, labels, row)
        for number, (spans, labels) in enumerate(annotations, start=1)
    }


def _hundredths(spans: Iterable[Sequence[float]], end: float) -> npt.NDArray[np.bool_]:
    flags = np.zeros(round(end * 100) + 1, bool)
    for start, stop in spans:
        flags[round(start * 100) : round(stop * 100)] = True
    return flags


def _melody(truth: Floats, row: Row) -> dict[str, float]:
    found = np.nan_to_num(np.asarray(row["f0_hz"], np.float64))
    times = np.arange(len(found)) * row["hop_seconds"]
    scores: dict[str, Any] = mir_eval.melody.evaluate(truth[:, 0], truth[:, 1], times, found)
    return {
        "F0 RPA": scores["Raw Pitch Accuracy"],
        "F0 false alarms": scores["Voicing False Alarm"],
        "F0 overall": scores["Overall Accuracy"],
    }


def print_table(scores: Mapping[str, Mapping[str, float]]) -> None:
    """Print a line per figure: its mean, and what each recording gave."""
    by_figure: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, figures in scores.items():
        for figure, value in figures.items():
            by_figure[figure][name] = value
    for figure, values in by_figure.items():
        each = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(f"{figure:<16}{statistics.mean(values.values()):7.3f}   {each}")


if __name__ == "__main__":
    sys.exit(main())
