"""Accuracy of the offline steps on synthesised songs whose truth is known.

``python -m benchmarks.accuracy`` makes songs, runs the steps on them as a flow would
(decoded from FLAC, vocals stored and read back) and prints one column per song. It exits 1
when a figure lies below its floor. F0 and vibrato are judged on the clean vocals;
separation is reported as it is.

The constants of the steps were chosen on songs of other seeds (at most 100, and from
1000), so nothing here was used to tune anything. Boundaries are compared by
``mir_eval.segment.detection`` within 3 s, begin and end of the song left out
(``trim=True``), which would always be hits. Keys are scored exactly and by mirex's weights: 0.5 for
one a fifth off, 0.3 for the relative, 0.2 for the parallel one. Chords are those of the mix, vocals
and drums included, as majmin overlap.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from blocks.storage import Storage
from examples.song import Song
from examples.songs import F0_HOP_SECONDS, RATE_HZ, make_song, write_song
from tasks.song import features, harmony, pitch, sections, separate, singing
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError

FIRST_SEED = 500
DETUNED_CENTS = 30
SECONDS = (45, 60, 75, 90)
FLOORS = {
    "tempo within 4 %": 1.0,
    "key exact": 0.9,
    "key, weighted": 0.95,
    "chords": 0.9,
    "chords, 30 cents sharp": 0.9,
    "no chord in drums": 0.95,
    "boundaries F at 3 s": 0.7,
    "RPA swiftf0": 0.95,
    "RPA pyin": 0.95,
    "RPA crepe-tiny": 0.95,
    "vibrato rate within 0.5 Hz, swiftf0": 0.9,
    "vibrato rate within 0.5 Hz, pyin": 0.9,
    "vibrato rate within 0.5 Hz, crepe-tiny": 0.9,
}
"""Means over the songs."""

Floats = npt.NDArray[np.float64]


def measure(song: Song, folder: Path, methods: Sequence[str]) -> dict[str, float]:
    """All figures of one song."""
    write_song(song, folder, "song", stems=True, lyrics=False)
    mix, clean = "song.flac", {"vocals_path": "song.stems/vocals.flac", "method": "demucs"}
    found = run(features.STEP, features.FeaturesConfig(), folder, mix)
    separated = run(separate.STEP, separate.SeparateConfig(), folder, mix)
    parts = run(
        sections.STEP, sections.SectionsConfig(), folder, mix, features=found, separate=separated
    )
    tempo = found["tempo_bpm"] or 0.0
    figures = {
        "tempo within 4 %": float(abs(tempo / song.tempo_bpm - 1) <= 0.04),
        **harmony_scores(
            song, run(harmony.STEP, harmony.HarmonyConfig(), folder, mix, features=found)
        ),
        **chords_elsewhere(song),
        "boundaries F at 3 s": boundary_f(song, parts, 3.0),
        "boundaries F at 0.5 s": boundary_f(song, parts, 0.5),
        "labels (share of time)": label_accuracy(song, parts),
        "SI-SDR gain [dB]": separation_gain_db(song, folder / separated["vocals_path"]),
    }
    for method in methods:
        name, _, size = method.partition("-")
        config = pitch.PitchConfig(method=name, crepe_model=size or "tiny")
        contour = run(pitch.STEP, config, folder, mix, separate=clean)
        figures[f"RPA {method}"] = raw_pitch_accuracy(song, contour)
        sung = run(
            singing.STEP, singing.SingingConfig(), folder, mix, separate=clean, pitch=contour
        )
        right, recall = vibrato_scores(song, sung)
        figures[f"vibrato rate within 0.5 Hz, {method}"] = right
        figures[f"vibrato found, {method}"] = recall
        figures[f"breaths F, {method}"] = breath_f(song, sung)
    return figures


def run(step: Step, config: StepConfig, folder: Path, path: str, **upstream: Row) -> Row:
    """Row of a step on one song in `folder`, read from its file as in a flow."""
    storage = Storage(str(folder))
    rows = {"probe": [{}]} | {name: [row] for name, row in upstream.items()}
    tools = Tools(source=storage, outputs=storage)
    (result,) = step.run([Track(path, path)], rows, config, tools)
    if isinstance(result, TrackError):
        raise result
    return result


def harmony_scores(song: Song, row: Row) -> dict[str, float]:
    """Key, exactly and by mirex's weights of what it is mistaken for; overlap of the chords."""
    truth, said = f"{song.key} {song.mode}", f"{row['tonic']} {row['mode']}"
    return {
        "key exact": float(said == truth),
        "key, weighted": mir_eval.key.weighted_score(truth, said if row["tonic"] else "X"),
        "chords": chord_overlap(song, row),
    }


def chords_elsewhere(song: Song) -> dict[str, float]:
    """Overlap of the chords of a song that is tuned higher; share of its drums without a chord."""
    factor = 2 ** (DETUNED_CENTS / 1200)
    sharp = harmony_row(song.mix.mean(axis=0), RATE_HZ * factor)
    sharp |= {name: sharp[name] * factor for name in ("chord_start_seconds", "chord_end_seconds")}
    drums = harmony_row(song.stems["drums"].mean(axis=0), RATE_HZ)
    lengths = drums["chord_end_seconds"] - drums["chord_start_seconds"]
    silent = np.array(drums["chord_label"]) == "N"
    return {
        f"chords, {DETUNED_CENTS} cents sharp": chord_overlap(song, sharp),
        "no chord in drums": float(lengths[silent].sum() / lengths.sum()),
    }


def harmony_row(signal: Floats, rate_hz: float) -> Row:
    """Row of the harmony of a signal, its beats unknown."""
    signal = soxr.resample(signal.astype(np.float32), rate_hz, harmony.RATE_HZ)
    duration_seconds = len(signal) / harmony.RATE_HZ
    features_row = {"duration_seconds": duration_seconds, "beat_times_seconds": None}
    return harmony.compute_harmony([signal], features_row)


def chord_overlap(song: Song, row: Row) -> float:
    spans = np.array([(chord.start_seconds, chord.end_seconds) for chord in song.chords])
    return majmin_overlap(spans, [chord.label for chord in song.chords], row)


def majmin_overlap(spans: Floats, labels: list[str], row: Row) -> float:
    """Share of the time in which root and third are right, or that there is no chord.

    Chords of the truth that are neither major nor minor are left out, as in mir_eval's own
    ``evaluate``, which takes no spans whose ends differ from the next start in the last digits.
    """
    found = np.stack([row["chord_start_seconds"], row["chord_end_seconds"]], axis=1)
    found, said = mir_eval.util.adjust_intervals(
        found, row["chord_label"], spans.min(), spans.max(), "N", "N"
    )
    merged, labels, said = mir_eval.util.merge_labeled_intervals(spans, labels, found, said)
    right = mir_eval.chord.majmin(labels, said)
    return mir_eval.chord.weighted_accuracy(right, mir_eval.util.intervals_to_durations(merged))


def boundary_f(song: Song, row: Row, window_seconds: float) -> float:
    truth = np.array([(part.start_seconds, part.end_seconds) for part in song.sections])
    estimate = np.stack([row["start_seconds"], row["end_seconds"]], axis=1)
    return mir_eval.segment.detection(truth, estimate, window=window_seconds, trim=True)[2]


def label_accuracy(song: Song, row: Row) -> float:
    times = np.arange(0.05, song.duration_seconds, 0.1)
    starts = [part.start_seconds for part in song.sections]
    truth = np.array([part.label for part in song.sections])
    estimate = np.array(row["label"])
    return float(
        np.mean(
            truth[np.searchsorted(starts, times, side="right") - 1]
            == estimate[np.searchsorted(row["start_seconds"], times, side="right") - 1]
        )
    )


def raw_pitch_accuracy(song: Song, row: Row) -> float:
    estimate = np.nan_to_num(np.asarray(row["f0_hz"], np.float64))
    truth = np.nan_to_num(song.f0_hz.astype(np.float64))
    scores = mir_eval.melody.evaluate(
        np.arange(len(truth)) * F0_HOP_SECONDS,
        truth,
        np.arange(len(estimate)) * row["hop_seconds"],
        estimate,
    )
    return scores["Raw Pitch Accuracy"]


def vibrato_scores(song: Song, row: Row) -> tuple[float, float]:
    """Share of the vibrati found at a place of vibrato whose rate is right; and recall."""
    starts = np.asarray(row["vibrato_start_seconds"], np.float64)
    ends = np.asarray(row["vibrato_end_seconds"], np.float64)
    rates = np.asarray(row["vibrato_rate_hz"], np.float64)
    errors = []
    for truth in song.vibratos:
        overlap = np.minimum(ends, truth.end_seconds) - np.maximum(starts, truth.start_seconds)
        if len(overlap) and overlap.max() > 0.1:
            errors.append(abs(rates[np.argmax(overlap)] - truth.rate_hz))
    if not errors:
        return np.nan, 0.0
    return float(np.mean(np.less(errors, 0.5))), len(errors) / len(song.vibratos)


def breath_f(song: Song, row: Row) -> float:
    truth = np.array([breath.start_seconds for breath in song.breaths])
    estimate = np.asarray(row["breath_times_seconds"], np.float64)
    return mir_eval.onset.f_measure(truth, estimate, window=0.2)[0]


def separation_gain_db(song: Song, path: Path) -> float:
    """Gain in scale-invariant SDR of the mono vocals over the mono mix."""
    truth = song.stems["vocals"].mean(axis=0, dtype=np.float64)
    estimate = soundfile.read(path)[0].mean(axis=1)
    mix = song.mix.mean(axis=0, dtype=np.float64)
    return si_sdr_db(estimate, truth) - si_sdr_db(mix, truth)


def si_sdr_db(estimate: Floats, truth: Floats) -> float:
    """Le Roux et al., "SDR - half-baked or well done?", 2019."""
    target = (estimate @ truth) / (truth @ truth) * truth
    return float(10 * np.log10(np.sum(target**2) / np.sum((estimate - target) ** 2)))


def print_table(rows: Sequence[dict[str, Any]], songs: Sequence[str]) -> dict[str, float]:
    """Print figures, one column per song, and return their means."""
    width = max(map(len, rows[0]))
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    print(f"{'':{width}}  {'  '.join(f'{song:>6}' for song in songs)}    mean  floor")
    for name, mean in means.items():
        values = "  ".join(f"{row[name]:6.3f}" for row in rows)
        floor = f"{FLOORS[name]:6.2f}" if name in FLOORS else "      "
        print(f"{name:{width}}  {values}  {mean:6.3f} {floor}")
    return means


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12, help="how many songs")
    methods = ("swiftf0", "pyin", "crepe-tiny", "crepe-full")
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods[:3])
    options = parser.parse_args(arguments)
    rows = []
    seeds = range(FIRST_SEED, FIRST_SEED + options.count)
    for index, seed in enumerate(seeds):
        song = make_song(seed, seconds=SECONDS[index % len(SECONDS)])
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(song, Path(folder), options.methods))
    means = print_table(rows, [str(seed) for seed in seeds])
    below = [name for name, floor in FLOORS.items() if means.get(name, np.inf) < floor]
    for name in below:
        print(f"below its floor: {name}: {means[name]:.3f} < {FLOORS[name]}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
