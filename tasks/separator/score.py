"""Scores of a separator on a song whose sources are known.

One candidate is one configuration: scores of others are not computed again when one comes in.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks import audio
from tasks.separator.candidates import (
    IDEAL,
    WITHOUT_MODEL,
    Material,
    Separation,
    Signals,
    separated,
)
from tasks.separator.training_song import MIXTURE, SOURCES, TrainingSong
from tasks.step import Resource, Row, Step, StepConfig, Tools, column, costs, digest, per_track
from tasks.track import Samples, TrackError

READ_SAMPLES = 2**18

SCORE = pa.struct(
    [
        ("source", pa.string()),
        ("reference_is_silent", pa.bool_()),
        ("estimate_is_silent", pa.bool_()),
        ("reference_dbfs", pa.float64()),
        ("estimate_dbfs", pa.float64()),
        ("si_sdr_db", pa.float64()),
        ("si_sdr_of_mixture_db", pa.float64()),
        ("sdr_db", pa.float64()),
        ("bss_sdr_db", pa.float64()),
        ("bss_isr_db", pa.float64()),
        ("bss_sir_db", pa.float64()),
        ("bss_sar_db", pa.float64()),
        ("bss_frames", pa.int64()),
        ("bleedless", pa.float64()),
        ("fullness", pa.float64()),
        ("log_wmse", pa.float64()),
        ("worst_start_seconds", pa.float64()),
        ("worst_si_sdr_db", pa.float64()),
        ("worst_estimate_path", pa.string()),
        ("worst_reference_path", pa.string()),
    ]
)
"""Scores of one source. Levels are RMS, null for digital silence. Of a silent reference only the
levels and log-WMSE are there, of a silent estimate no BSS values; `worst` is the excerpt of
5 s with the lowest SI-SDR of those in which the reference sounds, as MP3 below the outputs."""


class ScoreConfig(StepConfig):
    """What is scored, and on what.

    Attributes
    ----------
    candidate
        One of ``WITHOUT_MODEL``; a registered separator; or one of the user's own, by the name
        that :meth:`tasks.weights.Weights.with_own` gives it.
    sources, sample_rate_hz, mixture
        Those of the step ``decode``.
    """

    candidate: str = MIXTURE
    sources: tuple[str, ...] = SOURCES
    sample_rate_hz: int = Field(default=44_100, ge=8_000, le=192_000)
    mixture: Literal["sum", "own"] = "sum"


def score(
    song: TrainingSong, upstream: Mapping[str, Row | None], config: ScoreConfig, tools: Tools
) -> Row:
    """Separate a decoded song, and score every source that the candidate has.

    Raises
    ------
    TrackError
        If what was decoded is gone, or the candidate returns values that are no numbers.
    ModelError
        If the candidate cannot be used.
    """
    decoded = upstream["decode"]
    assert decoded is not None
    try:
        with tools.outputs.reading(decoded["path"]) as file, TemporaryDirectory() as folder:
            material = _material(file, decoded, config, Path(folder))
            found = separated(config.candidate, material, tools)
            estimates = _written(found, material, Path(folder) / "estimates", song, config)
            scores = _scores(material, list(found.sources), estimates)
            if config.candidate in (MIXTURE, *IDEAL):
                clips: Sequence[tuple[str | None, str | None]] = [(None, None)] * len(scores)
            else:
                name = _excerpt_name(song, decoded["path"], config, tools)
                clips = _excerpts(material, list(found.sources), estimates, scores, name, tools)
    except FileNotFoundError as error:
        raise TrackError(
            "decoded-gone",
            f"What was decoded of {song.path} is not there any more: remove the folder of "
            "finished results, and it is decoded again.",
        ) from error
    for each, (estimate, reference) in zip(scores, clips, strict=True):
        each["worst_estimate_path"], each["worst_reference_path"] = estimate, reference
    return {
        "candidate": config.candidate,
        "duration_seconds": decoded["frames"] / config.sample_rate_hz,
        "scores": scores,
    }


def _material(file: Path, decoded: Row, config: ScoreConfig, folder: Path) -> Material:
    """Map the planes of a song, and write its mixture: neither is ever in memory whole."""
    from tasks.dsp.separation_scores import let_go, read

    count, frames = len(config.sources), decoded["frames"]
    shape = (count + (config.mixture == "own"), frames, decoded["channels"])
    planes = np.memmap(file, np.dtype("<i2"), "r", shape=shape).transpose(0, 2, 1)
    mixture = _float_file(folder / "mixture", (decoded["channels"], frames))
    for start in range(0, frames, READ_SAMPLES):
        place = slice(start, min(start + READ_SAMPLES, frames))
        part = read(planes, place.start, place.stop)
        mixture[:, place] = part[count] if config.mixture == "own" else part.sum(axis=0)
        let_go(mixture)
    return Material(planes[:count], mixture, config.sources, config.sample_rate_hz)


def _written(
    found: Separation, material: Material, path: Path, song: TrainingSong, config: ScoreConfig
) -> Samples:
    """Write estimates to a file, shape ``(sources, channels, samples)``."""
    from tasks.dsp.separation_scores import let_go

    channels, samples = material.mixture.shape
    estimates = _float_file(path, (len(found.sources), channels, samples))
    place = 0
    for block in found.blocks:
        if not np.isfinite(block).all():
            raise TrackError(
                "not-finite",
                f"{config.candidate} makes values of {song.path} that are no numbers: it was "
                "trained until it diverged, or on other audio; try an earlier checkpoint.",
            )
        estimates[..., place : place + block.shape[-1]] = block
        place += block.shape[-1]
        let_go(estimates)
    if place != samples:
        raise ValueError(f"{config.candidate} made {place} samples of {samples}")
    return estimates


def _float_file(path: Path, shape: tuple[int, ...]) -> Samples:
    return np.memmap(path, np.float32, "w+", shape=shape)


def _scores(material: Material, sources: Sequence[int], estimates: Samples) -> list[Row]:
    """Return the scores of each source, in the shape of :data:`SCORE` but for the paths."""
    from tasks.dsp.bss_eval import bss_eval

    second = material.rate_hz
    bss = bss_eval(material.references, estimates, sources, window=second, hop=second)
    rows = []
    for at, (source, medians) in enumerate(zip(sources, bss.medians(), strict=True)):
        row = _score(material, source, estimates[at : at + 1])
        if not row["reference_is_silent"]:
            row |= {f"bss_{name}_db": value for name, value in (medians or {}).items()}
            row["bss_frames"] = bss.counts[at]
        rows.append(row)
    return rows


def _score(material: Material, source: int, estimate: Samples) -> Row:
    """Return the scores of one source but for those of BSS Eval.

    Parameters
    ----------
    material, source
        The song, and the place of the source.
    estimate
        Shape ``(1, channels, samples)``.
    """
    from tasks.dsp import separation_scores as kernels
    from tasks.dsp.perceptual_scores import bleed_and_fullness, log_wmse

    rate_hz, mixture = material.rate_hz, material.mixture
    reference = material.references[source : source + 1]
    block = round(kernels.HOP_SECONDS * rate_hz)
    measured = kernels.energies(reference, estimate, block)
    [true_dbfs] = kernels.rms_dbfs(measured.reference, measured).tolist()
    [found_dbfs] = kernels.rms_dbfs(measured.estimate, measured).tolist()
    [weighted] = log_wmse(reference, estimate, mixture, rate_hz).tolist()
    row: Row = dict.fromkeys(field.name for field in SCORE) | {
        "source": material.names[source],
        "reference_is_silent": true_dbfs < kernels.SILENCE_DBFS,
        "estimate_is_silent": found_dbfs < kernels.SILENCE_DBFS,
        "reference_dbfs": true_dbfs if true_dbfs > -np.inf else None,
        "estimate_dbfs": found_dbfs if found_dbfs > -np.inf else None,
        "log_wmse": weighted,
    }
    if row["reference_is_silent"]:
        return row
    [row["si_sdr_db"]] = kernels.si_sdr(measured).tolist()
    [row["sdr_db"]] = kernels.sdr(measured).tolist()
    before = kernels.energies(reference, mixture[None], block)
    [row["si_sdr_of_mixture_db"]] = kernels.si_sdr(before).tolist()
    row["bleedless"], row["fullness"] = bleed_and_fullness(reference[0], estimate[0], rate_hz)
    [worst] = kernels.worst_excerpts(measured, rate_hz)
    if worst is not None:
        row["worst_start_seconds"], row["worst_si_sdr_db"] = worst
    return row


def _excerpt_name(song: TrainingSong, path: str, config: ScoreConfig, tools: Tools) -> str:
    """Name by all that the excerpts depend on."""
    revisions = [tools.weights.revision(name) for name in _models(config)]
    made_by = json.dumps([STEP.version, config.keyed(), path, revisions], sort_keys=True)
    return f"excerpts/{song.track_id}-{digest(made_by.encode())[:8]}"


def _excerpts(
    material: Material,
    sources: Sequence[int],
    estimates: Samples,
    scores: Sequence[Row],
    name: str,
    tools: Tools,
) -> list[tuple[str | None, str | None]]:
    """Store the worst excerpt of each source, and return the paths of estimate and reference."""
    from tasks.dsp.separation_scores import EXCERPT_SECONDS, read

    paths: list[tuple[str | None, str | None]] = []
    for at, (source, row) in enumerate(zip(sources, scores, strict=True)):
        if row["worst_start_seconds"] is None:
            paths.append((None, None))
            continue
        start = round(row["worst_start_seconds"] * material.rate_hz)
        stop = min(start + round(EXCERPT_SECONDS * material.rate_hz), estimates.shape[-1])
        stored = []
        signals: tuple[tuple[str, Signals], ...] = (
            ("estimate", estimates[at]),
            ("reference", material.references[source]),
        )
        for which, signal in signals:
            path = f"{name}-{row['source']}-{which}.mp3"
            clip = read(signal, start, stop).astype(np.float32)
            tools.outputs.write_bytes(path, audio.mp3(clip, material.rate_hz))
            stored.append(path)
        paths.append((stored[0], stored[1]))
    return paths


def _models(config: ScoreConfig) -> tuple[str, ...]:
    return () if config.candidate in WITHOUT_MODEL else (config.candidate,)


def _resource(config: Any) -> Resource:
    return "GPU" if _models(config) else "CPU"


STEP = Step(
    name="score",
    version=1,
    config=ScoreConfig,
    columns=pa.schema(
        [
            column("candidate", pa.string(), "What separated the song"),
            column("duration_seconds", pa.float64(), "Of the song", "s"),
            column("scores", pa.list_(SCORE), "Scores of each source that the candidate has"),
        ]
    ),
    run=per_track(score),
    upstream=("decode",),
    resource=_resource,
    models=_models,
    cost=costs(2.0),
)
