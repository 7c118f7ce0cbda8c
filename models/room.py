"""What models take of memory, and whether there is room for another one in this process."""

import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.registry import ModelCard

PROCESS_MB = 1200
"""Of a process, in 2^20 bytes: torch with CUDA's libraries, and the numeric libraries. A process
of all models of the full profile took 5,300; these are what their weights are not."""

CONTEXT_MB = 512
"""Of a GPU, in 2^20 bytes: CUDA's own for a process."""

UNKNOWN_BATCH_MB = 1024
"""Of a GPU, in 2^20 bytes: what a batch of a model of one's own is taken to need."""

OWN_ALLOCATOR = ("faster-whisper",)
"""Libraries that keep memory of a GPU for themselves; all others share what torch keeps."""

LIMIT_VARIABLE = "SONGMILL_MEMORY_LIMIT_MB"
"""Of a process that is ended if it takes more: how much, in 2^20 bytes."""

LIMIT_SHARE = 0.8
"""Of that limit: Dask gives a worker that takes more nothing to do."""


@dataclass(frozen=True)
class Need:
    """What is needed, or free, in 2^20 bytes.

    Attributes
    ----------
    memory_mb
        Of the process; infinite where nothing limits it.
    gpu_memory_mb
        Of the GPU.
    """

    memory_mb: float
    gpu_memory_mb: float = 0.0


def need(card: ModelCard, device: str) -> Need:
    """Return what a model takes on a device, ``"cpu"`` or ``"cuda"``, with a batch of its own size.

    Of one that says nothing, its weights are taken to have the size of its files.
    """
    weights = card.size_bytes / 2**20
    memory = weights if card.memory_mb is None else card.memory_mb
    if device != "cuda":
        return Need(memory)
    return Need(memory, _held_mb(card) + _batch_mb(card))


def process_need(cards: Sequence[ModelCard]) -> Need:
    """Return what a process takes that holds models on its GPU, all of them at once.

    They work in turn: what one has taken for a batch, torch gives to the next.
    """
    batches: dict[str, float] = {}
    for card in cards:
        allocator = card.library if card.library in OWN_ALLOCATOR else "torch"
        batches[allocator] = max(batches.get(allocator, 0.0), _batch_mb(card))
    return Need(
        PROCESS_MB + sum(need(card, "cuda").memory_mb for card in cards),
        CONTEXT_MB + sum(map(_held_mb, cards)) + sum(batches.values()),
    )


def _held_mb(card: ModelCard) -> float:
    return card.size_bytes / 2**20 if card.gpu_memory_mb is None else card.gpu_memory_mb


def _batch_mb(card: ModelCard) -> float:
    return UNKNOWN_BATCH_MB if card.gpu_batch_mb is None else card.gpu_batch_mb


def lacking(wanted: Need, free: Need) -> str | None:
    """Return the device whose memory is too short for a model; None if there is room.

    Parameters
    ----------
    wanted, free
        What it takes, and what there is.
    """
    for device, takes, there in (
        ("cuda", wanted.gpu_memory_mb, free.gpu_memory_mb),
        ("cpu", wanted.memory_mb, free.memory_mb),
    ):
        if takes and there < takes:
            return device
    return None


def free(device: str) -> Need:
    """Return what this process may still take, of a GPU if `device` is ``"cuda"``."""
    limit = float(os.environ.get(LIMIT_VARIABLE, "inf"))
    memory = LIMIT_SHARE * limit - _resident_mb()
    if device != "cuda":
        return Need(memory)
    import torch

    return Need(memory, torch.cuda.mem_get_info()[0] / 2**20)


def give_back() -> None:
    """Let go of what is not used any more, so that it is free for others."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _resident_mb() -> float:
    """Return the memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
