"""The most memory that a batch of a step takes."""

import sys
from contextlib import suppress
from pathlib import Path

_PEAK_RESIDENT = "5"
"""Written to ``clear_refs``, sets the peak of resident memory to what is resident now (Linux)."""


def reset_peak() -> None:
    """Begin to watch."""
    with suppress(OSError):  # then the peak is that since the process began
        Path("/proc/self/clear_refs").write_text(_PEAK_RESIDENT)
    if _cuda_is_used():
        import torch

        torch.cuda.reset_peak_memory_stats()


def peak_mb() -> tuple[float | None, float | None]:
    """Return the most memory since :func:`reset_peak`, in 2^20 bytes.

    Returns
    -------
    tuple
        Of the process, None where the system does not tell; and of the GPU, None where none
        is used. CTranslate2's share of the GPU is not known to torch and not counted.
    """
    return _resident_mb(), _gpu_mb()


def release_gpu() -> None:
    """Give back what torch holds of the GPU without using it."""
    if _cuda_is_used():
        import torch

        torch.cuda.empty_cache()


def _resident_mb() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def _gpu_mb() -> float | None:
    if not _cuda_is_used():
        return None
    import torch

    return float(torch.cuda.max_memory_reserved() / 2**20)


def _cuda_is_used() -> bool:
    """Return whether a step of this process has used a GPU; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())
