"""How near the rows of a GPU are to those of the CPU, column by column."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_steps import Done, Work, in_own_process
from benchmarks.measure import Figure
from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams

EMBEDDINGS = {"clap": "clap_embedding", "ecapa": "ecapa_embedding"}
MIN_COSINE = 0.998
MIN_VOCALS_DB = 50.0
"""62 dB was measured of htdemucs in half precision (``benchmarks/README.md``)."""

CENTS = 10.0
RATE_HZ = 44_100


def equality(params: BuildDatasetParams, folder: Path) -> Iterator[list[Figure]]:
    """Yield the figures of what a device computes, as it does and in single precision.

    Parameters
    ----------
    params
        Songs, models and device.
    folder
        Where the rows go.
    """
    on_cpu = Work(_in_folder(params, folder / "cpu", "cpu"), in_single_precision=True)
    expected = in_own_process(on_cpu)
    # A CPU in single precision is what it is compared with.
    variants = {"as it runs": False} | ({"single precision": True} if params.gpus else {})
    for name, is_single in variants.items():
        work = Work(_in_folder(params, folder / name, params.device), in_single_precision=is_single)
        found = in_own_process(work)
        yield agreement(name, expected, found, on_cpu.params.vocals, work.params.vocals)


def _in_folder(params: BuildDatasetParams, folder: Path, device: str) -> BuildDatasetParams:
    return params.model_copy(update={"output": folder / "dataset.json", "device": device})


def agreement(
    name: str, expected: Done, found: Done, expected_vocals: Storage, found_vocals: Storage
) -> list[Figure]:
    """Compare the rows of the same songs.

    Parameters
    ----------
    name
        What the figures begin with.
    expected, found
        Rows of the CPU, and others.
    expected_vocals, found_vocals
        Where the vocals of each lie.
    """
    figures = []
    for step, column in EMBEDDINGS.items():
        pairs = [
            (true, other)
            for true, other in _pairs(expected, found, step, column)
            if true is not None and other is not None
        ]
        if pairs:
            least = min(cosine(true, other) for true, other in pairs)
            figures.append(Figure(f"{name}: cosine of {column}", least, "", MIN_COSINE))
    shares = [near(true, other) for true, other in _pairs(expected, found, "pitch", "f0_hz")]
    figures.append(
        Figure(f"{name}: F0 within {CENTS:g} cents", 100 * float(np.nanmean(shares)), "%")
    )
    decibels = min(
        _si_sdr(_vocals(expected_vocals, true), _vocals(found_vocals, other))
        for true, other in _pairs(expected, found, "separate", "vocals_path")
    )
    figures.append(Figure(f"{name}: SI-SDR of the vocals", decibels, "dB", MIN_VOCALS_DB))
    texts = [true == other for true, other in _pairs(expected, found, "transcribe", "text")]
    return [*figures, Figure(f"{name}: texts that are equal", 100 * float(np.mean(texts)), "%")]


def _pairs(expected: Done, found: Done, step: str, column: str) -> Iterator[tuple[Any, Any]]:
    """Values of a column, song by song."""
    for path, row in expected.rows[step].items():
        yield row[column], found.rows[step][path][column]


def cosine(true: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of the angle between two vectors."""
    product = float(np.dot(true, other))
    return product / float(np.linalg.norm(true) * np.linalg.norm(other))


def near(true: Sequence[float], other: Sequence[float]) -> float:
    """Share of the frames with a pitch in either, in which both agree; NaN if there are none."""
    one, two = np.asarray(true, np.float64), np.asarray(other, np.float64)
    voiced = ~(np.isnan(one) & np.isnan(two))
    # No comparison with NaN is true.
    return float(np.mean(np.abs(1200 * np.log2(two[voiced] / one[voiced])) <= CENTS))


def _vocals(place: Storage, path: str) -> Any:
    from tasks import audio

    return audio.load(place, path, rate_hz=RATE_HZ, channels=2)


def _si_sdr(true: Any, other: Any) -> float:
    from tasks.dsp.separation_scores import energies, si_sdr

    return float(si_sdr(energies(true[None], other[None], RATE_HZ))[0])
