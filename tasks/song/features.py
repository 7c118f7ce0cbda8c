"""What a track sounds like: tempo, beats, loudness, timbre, as a whole and beat by beat."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pydantic import Field

from models.stretches import Repeatable
from tasks.audio import Repair, resampled_mono
from tasks.song import voices
from tasks.step import (
    Row,
    Samples,
    Step,
    StepConfig,
    Tools,
    Track,
    TrackError,
    column,
    costs,
    per_track,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from tasks.dsp.rhythm import Beats

    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]

MIN_SECONDS = 0.1
"""Shorter than one window of the analysis, where no frame is more than its edges."""


class FeaturesConfig(StepConfig):
    """Features of the mix."""

    sample_rate_hz: int = Field(
        22_050,
        ge=8_000,
        le=48_000,
        description="Rate at which features are computed.",
        json_schema_extra={"flag": "sample_rate", "unit": "Hz"},
    )


COLUMNS = pa.schema(
    [
        column("duration_seconds", pa.float64(), "Length of the track", "s"),
        column("tempo_bpm", pa.float64(), "Tempo; null without a credible beat", "bpm"),
        column(
            "tempo_confidence",
            pa.float64(),
            "Correlation of onsets with those one to six beats later; null without a tempo",
        ),
        column(
            "beat_times_seconds",
            pa.list_(pa.float32()),
            "Times of the beats; null without a credible beat",
            "s",
        ),
        column(
            "energy", pa.float64(), "Mean RMS of frames over the largest RMS of a frame, 0 to 1"
        ),
        column("rms", pa.float64(), "Mean RMS of frames of 2048 samples, full scale being 1"),
        column("spectral_centroid_hz", pa.float64(), "Mean spectral centroid of frames", "Hz"),
        column(
            "chroma",
            pa.list_(pa.float32(), 12),
            "Mean energy of the pitch classes, C first, the largest of each frame being 1",
        ),
        column("mel_db", pa.list_(pa.float32(), 128), "Mean level of 128 mel bands", "dB"),
        column(
            "mfcc", pa.list_(pa.float32(), 20), "Mean of 20 mel-frequency cepstral coefficients"
        ),
        column(
            "grid_seconds",
            pa.list_(pa.float32()),
            "Boundaries of blocks of one beat (0.5 s without beats), from 0 to the duration",
            "s",
        ),
        column("grid_rms", pa.list_(pa.float32()), "Mean RMS of each block"),
        column(
            "grid_energy",
            pa.list_(pa.float32()),
            "Mean RMS of each block over the largest RMS of a frame of the track",
        ),
        column(
            "grid_centroid_hz", pa.list_(pa.float32()), "Mean spectral centroid of each block", "Hz"
        ),
        column(
            "grid_chroma", pa.list_(pa.float32()), "Mean chroma of each block, 12 values per block"
        ),
        column("grid_mfcc", pa.list_(pa.float32()), "Mean MFCC of each block, 20 values per block"),
        column(
            "grid_frames", pa.list_(pa.int32()), "Frames of each block, as weights of its means"
        ),
    ]
)


def compute_features(
    blocks: Iterable[Samples],
    sample_rate_hz: int,
    heard: Row | None = None,
    *,
    has_beats: bool = True,
) -> Row:
    """Row of features of a mono signal.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each; gone over more than once.
    sample_rate_hz
        Its rate.
    heard
        Row of the step `beats`, empty where it failed; without one, beats are found here.
    has_beats
        Whether it may have any: speech has none.

    Raises
    ------
    TrackError
        ``"too-short"`` below 0.1 s; ``"not-finite"`` if samples are NaN or infinite.
    """
    from tasks.dsp.rhythm import beat_grid
    from tasks.dsp.spectral import frame_features

    frames = frame_features(blocks, sample_rate_hz)
    duration_seconds, rms = frames.duration_seconds, frames.rms
    if duration_seconds < MIN_SECONDS:
        raise TrackError(
            "too-short",
            f"The track lasts {duration_seconds:.3f} s; features need at least {MIN_SECONDS} s.",
        )
    if not np.isfinite(rms).all():
        raise TrackError(
            "not-finite", "The track has samples that are not a finite number; export it again."
        )
    if not has_beats:
        beats = None
    elif heard is None:
        beats = _beats(blocks, sample_rate_hz, frames.mel_db)
    else:
        beats = _heard(heard)
    grid_seconds = beat_grid(beats, duration_seconds)
    starts = np.ceil(grid_seconds[:-1] / frames.hop_seconds).astype(np.intp)
    peak_rms = float(rms.max())
    energy = rms / peak_rms if peak_rms else rms
    return {
        "duration_seconds": duration_seconds,
        "tempo_bpm": beats and beats.tempo_bpm,
        "tempo_confidence": beats and beats.confidence,
        "beat_times_seconds": beats and beats.times_seconds.astype(np.float32),
        "energy": _mean(energy),
        "rms": _mean(rms),
        "spectral_centroid_hz": _mean(frames.centroid_hz),
        "chroma": _mean_rows(frames.chroma),
        "mel_db": _mean_rows(frames.mel_db),
        "mfcc": _mean_rows(frames.mfcc),
        "grid_seconds": grid_seconds.astype(np.float32),
        "grid_rms": _block_means(rms, starts),
        "grid_energy": _block_means(energy, starts),
        "grid_centroid_hz": _block_means(frames.centroid_hz, starts),
        "grid_chroma": _block_means(frames.chroma, starts),
        "grid_mfcc": _block_means(frames.mfcc, starts),
        "grid_frames": np.diff(np.append(starts, len(rms))).astype(np.int32),
    }


def _features(
    track: Track, upstream: Mapping[str, Row | None], config: FeaturesConfig, tools: Tools
) -> Row:
    blocks = tools.mix_passes(track, config.sample_rate_hz, Repair.of(upstream["probe"]))
    heard = (upstream["beats"] or {}) if "beats" in upstream else None
    has_beats = voices.may_be_music(upstream.get("activity"))
    return compute_features(blocks, config.sample_rate_hz, heard, has_beats=has_beats)


def _heard(row: Row) -> "Beats | None":
    """Beats of a row of the step `beats`."""
    from tasks.dsp.rhythm import Beats

    times_seconds = row.get("beat_times_seconds")
    if times_seconds is None:
        return None
    times = np.asarray(times_seconds, np.float64)
    return Beats(row["tempo_bpm"], times, row["tempo_confidence"])


def _beats(blocks: Iterable[Samples], sample_rate_hz: int, mel_db: "Float32") -> "Beats | None":
    """Find the beats, whatever the rate, at that of the analysis."""
    from tasks.dsp.filterbanks import mel_centres_hz
    from tasks.dsp.rhythm import RATE_HZ, find_beats
    from tasks.dsp.spectral import HOP_SAMPLES, N_MELS, frame_features

    if sample_rate_hz != RATE_HZ:
        at_rate = Repeatable(lambda: resampled_mono(blocks, sample_rate_hz, RATE_HZ))
        mel_db = frame_features(at_rate, RATE_HZ).mel_db
    return find_beats(mel_db, mel_centres_hz(RATE_HZ, N_MELS), HOP_SAMPLES / RATE_HZ)


def _mean(values: "Float32") -> float:
    return float(values.mean(dtype=np.float64))


def _mean_rows(rows: "Float32") -> "Float32":
    return rows.mean(axis=0, dtype=np.float64).astype(np.float32)


def _block_means(values: "Float32", starts: "npt.NDArray[np.intp]") -> "Float32":
    """Means over the blocks of frames that begin at `starts`, row-major."""
    sums = np.add.reduceat(values, starts, axis=0, dtype=np.float64)
    counts = np.diff(np.append(starts, len(values)))
    means = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means.astype(np.float32).ravel()


STEP = Step(
    name="features",
    version=3,
    config=FeaturesConfig,
    columns=COLUMNS,
    run=per_track(_features),
    upstream=("probe",),
    optional_upstream=("activity", "beats"),
    cost=costs(0.1),
)
