"""The offline steps on recordings whose truth is known.

``python -m benchmarks.truth FOLDER`` runs the steps of build-dataset over a folder of recordings,
as a build does, and scores what they say against its ``README.tsv``: a row per recording, with
``file``, ``kind`` and ``value``. What is known stands in a file that `value` names, or in `value`
itself: a ``.jams`` (tempo, key, beats, boundaries), a ``_f0.csv`` (time and F0 in Hz, 0 where
unvoiced), or a key such as ``C major``.

Measures are mir_eval's: tempo within 4 % (`acc1`), also of half, double, third or triple of it
(`acc2`); beats within 70 ms, those of the first five seconds left out; the weighted score of a key;
of F0 the raw pitch accuracy, the false alarms and the overall accuracy, all within 50 cents;
boundaries within 3 s. With ``--whisper_model``, words are scored as :mod:`benchmarks.truth_words`
says. Truths that no step has a label for yet are named below the table.
"""

import argparse
import csv
import json
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import numpy.typing as npt

from benchmarks import truth_words
from flows.build_dataset import BUILD
from flows.build_dataset_params import BuildDatasetParams
from flows.run import prepare
from tasks.engine.plan import run_here
from tasks.step import Row

Floats = npt.NDArray[np.float64]

TABLE = "README.tsv"
TEMPO_TOLERANCE = 0.04
OTHER_LEVELS = (1 / 3, 1 / 2, 1, 2, 3)
BOUNDARY_WINDOW_SECONDS = 3.0
KEY = re.compile(r"[A-G][b#]? (major|minor)")
UNLABELLED = {"beat_position": "downbeats and metre", "chord": "chords"}
"""What a JAMS file may tell that no step does."""

STEPS = ("features", "sections", "pitch")


@dataclass
class Truth:
    """What is known of a recording; None where nothing is.

    Attributes
    ----------
    tempo_bpm, key
        The key as mir_eval writes it: ``C major``.
    beats_seconds
        Times of the beats.
    boundaries_seconds
        Starts and ends of the sections, shape ``(n, 2)``.
    f0
        Times in seconds and F0 in Hz, 0 where unvoiced, shape ``(n, 2)``.
    unused
        What else is known.
    """

    tempo_bpm: float | None = None
    key: str | None = None
    beats_seconds: Floats | None = None
    boundaries_seconds: Floats | None = None
    f0: Floats | None = None
    unused: set[str] = field(default_factory=set)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help=f"with recordings and {TABLE}")
    parser.add_argument("--separator", default="offline")
    parser.add_argument("--pitch_method", choices=("crepe", "pyin"), default="crepe")
    parser.add_argument("--whisper_model", default="off", help="hears words, where they are known")
    parser.add_argument("--models_dir", help="where that Whisper lies")
    options = parser.parse_args()
    truths = dict(read(options.folder))
    if not truths:
        print(f"{options.folder / TABLE} names no recording that is there.")
        return 1
    rows = estimates(options.folder, set(truths), options.separator, options.pitch_method)
    scores = {name: score(truth, rows[name]) for name, truth in truths.items() if name in rows}
    print_table(scores | _words(options))
    for name in truths.keys() - rows.keys():
        print(f"{name}: no step gave anything for it")
    if unused := sorted(set().union(*(truth.unused for truth in truths.values()))):
        print(f"Known, and not labelled yet: {', '.join(unused)}")
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
            for name in re.findall(r"[^\s:,;]+\.(?:jams|csv)", row["value"]):
                add = _add_jams if name.endswith(".jams") else _add_f0
                add(truth, folder / name)
            yield row["file"], truth


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
        elif space.startswith("segment"):
            truth.boundaries_seconds = np.array(
                [(each["time"], each["time"] + each["duration"]) for each in data]
            )
        if space in UNLABELLED:
            truth.unused.add(UNLABELLED[space])


def estimates(
    folder: Path, names: set[str], separator: str, pitch_method: str
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
                "llm": False,
                "workers": 1,
            }
        )
        made, _ = prepare(BUILD, params)
        run_here(made)
        return {
            track.path: found for track, found in made.results.joined(STEPS) if track.path in names
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
        found = np.asarray(features["beat_times_seconds"], np.float64)
        figures["beats F"] = mir_eval.beat.f_measure(
            mir_eval.beat.trim_beats(truth.beats_seconds), mir_eval.beat.trim_beats(found)
        )
    if truth.key is not None:
        said = f"{features['tonic']} {features['mode']}" if features["tonic"] else "X"
        figures["key"] = mir_eval.key.weighted_score(truth.key, said)
    if truth.boundaries_seconds is not None:
        sections = rows["sections"]
        found = np.stack([sections["start_seconds"], sections["end_seconds"]], axis=1)
        figures["boundaries F"] = mir_eval.segment.detection(
            truth.boundaries_seconds, found, window=BOUNDARY_WINDOW_SECONDS, trim=True
        )[2]
    if truth.f0 is not None:
        figures |= _melody(truth.f0, rows["pitch"])
    return figures


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
