"""GPUs of this machine: which of them may be used, and how much of their memory is free."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Numbers GPUs as the driver does. CUDA's own order has the fastest first."""

DRIVER = Path("/proc/driver/nvidia/gpus")


def visible() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Returns
    -------
    tuple of str
        Numbers; or what stands in that variable, where it is set: UUIDs too. As for CUDA, what
        follows a number that no GPU has is not used.
    """
    # Not torch.cuda: importing torch takes seconds, and the driver's own list is there.
    present = len(list(DRIVER.glob("*")))
    named = os.environ.get(VISIBLE)
    if named is None or not present:
        return tuple(map(str, range(present)))
    found: list[str] = []
    for name in (each.strip() for each in named.split(",")):
        is_number = name.lstrip("-").isdigit()
        if not name or (is_number and not 0 <= int(name) < present):
            break
        found.append(name)
    return tuple(found)


def free_mb(gpus: Sequence[str]) -> float | None:
    """Return the free memory of the fullest of some GPUs, in 2^20 bytes; None if nothing tells.

    Parameters
    ----------
    gpus
        As :func:`visible` names them.
    """
    # Here, since only a machine with a driver has a use for it.
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return min(
            float(pynvml.nvmlDeviceGetMemoryInfo(handle(pynvml, name)).free) / 2**20
            for name in gpus
        )
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def handle(pynvml: Any, name: str) -> Any:
    """Return what NVML knows a GPU by, from its name as of :func:`visible`."""
    if name.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    return pynvml.nvmlDeviceGetHandleByUUID(name)
