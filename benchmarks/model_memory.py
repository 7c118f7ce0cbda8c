"""Memory of a GPU that models take, counted without one, beside what their cards say.

``python -m benchmarks.model_memory [MODEL ...]`` writes networks of their published size with
random weights, and takes one batch of the adapter's own size through each, as
`benchmarks.launches` does: on tensors that have shapes and no content. Every storage on the GPU
that comes and goes is added up. Libraries' workspaces, gaps between tensors and CUDA's own are not
seen. It fails if a card is off by more than a tenth, and 16 MiB: how many processes share a GPU is
decided by what cards say.

Whisper (CTranslate2) and MusicGen are not among them: `models/cards.toml` says how theirs are
counted.
"""

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from weakref import finalize

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from benchmarks import fake_gpu
from benchmarks.launches import NETWORKS, Counted
from benchmarks.measure import Figure, report
from models import clap, mert, muq, registry, spleeter, trust
from models.tiny import clap as tiny_clap
from models.tiny import music_encoders
from models.tiny import spleeter as tiny_spleeter

MEBIBYTE = 2**20
RECORDED = ("htdemucs", "htdemucs_ft")
"""Networks whose batches are recorded as CUDA graphs, which keep the memory of one."""

TOLERANCE, TOLERANCE_MB = 0.1, 16.0
CAPTION = "a slow song with vocals and drums " * 10


class Held(fake_gpu.FakeGpu):
    """Adds up the storages on the GPU that are there.

    Attributes
    ----------
    bytes, peak_bytes
        Of the present moment, and the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak_bytes = 0
        self._sizes: dict[int, int] = {}

    def _count(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        super()._count(func, args, kwargs, result)
        for tensor in tree_leaves(result):
            if not isinstance(tensor, torch.Tensor) or tensor.device.type != "cuda":
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                self.bytes += storage.nbytes()
                self.peak_bytes = max(self.peak_bytes, self.bytes)
                finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.bytes -= self._sizes.pop(key)


@dataclass(frozen=True)
class Memory:
    """What a network takes of a GPU, in 2^20 bytes.

    Attributes
    ----------
    held_mb
        As long as it is loaded.
    batch_mb
        Beside that, at most, while it works on a batch.
    """

    held_mb: float
    batch_mb: float


def _texts(adapter: clap.ClapAdapter) -> int:
    list(adapter.embed_text([CAPTION] * clap.TEXTS_PER_CALL))
    return clap.TEXTS_PER_CALL


def _pieces(adapter: spleeter.SpleeterAdapter) -> int:
    samples = spleeter.GPU_BATCH * spleeter.FRAMES * spleeter.HOP_SAMPLES
    list(adapter.separate([np.zeros((2, samples), np.float32)], ["vocals"], mean=0.0, std=1.0))
    return spleeter.GPU_BATCH


def _windows(seconds: float, count: int) -> Callable[[Any], int]:
    def batch(adapter: Any) -> int:
        window = np.zeros(round(seconds * adapter.sample_rate_hz), np.float32)
        return len([*adapter.embed([window] * count)])

    return batch


def _write_encoder(card: registry.ModelCard, folder: Path) -> None:
    music_encoders.write(card, folder, music_encoders.PUBLISHED)


def _write_spleeter(card: registry.ModelCard, folder: Path) -> None:
    tiny_spleeter.write(card, folder, tiny_spleeter.PUBLISHED)


def _write_clap(card: registry.ModelCard, folder: Path) -> None:
    tiny_clap.write(card, folder, tiny_clap.PUBLISHED)


MUQ = Counted(muq.load, (muq, "MuqAdapter"), _write_encoder, _windows(30, muq.GPU_WINDOWS), 0, 0)
MERT = Counted(
    mert.load, (mert, "MertAdapter"), _write_encoder, _windows(5, mert.GPU_WINDOWS), 0, 0
)
SPLEETER = Counted(spleeter.load, (spleeter, "SpleeterAdapter"), _write_spleeter, _pieces, 0, 0)
CLAP = Counted(clap.load, (clap, "ClapAdapter"), _write_clap, _texts, 0, 0)

MODELS: Mapping[str, Counted] = {
    **NETWORKS,
    # Texts take more than windows of sound.
    **dict.fromkeys(("clap-music", "clap-music-and-speech"), CLAP),
    **dict.fromkeys(("htdemucs_ft", "mdx_extra"), NETWORKS["htdemucs"]),
    "crepe-tiny": NETWORKS["crepe-full"],
    **dict.fromkeys(("encodec-24khz", "encodec-48khz"), NETWORKS["encodec-32khz"]),
    **dict.fromkeys(("spleeter", "spleeter-wiener"), SPLEETER),
    "muq-large-msd": MUQ,
    **dict.fromkeys(("mert-v1-95m", "mert-v1-330m"), MERT),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    options = parser.parse_args()
    if unknown := {*options.models} - {*MODELS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    # Networks that are written here bring code that is written here.
    trusted = [name for name in MODELS if registry.card(name).custom_code]
    os.environ[trust.VARIABLE] = ",".join(trusted)
    figures = []
    for name in options.models or MODELS:
        card, found = registry.card(name), memory(name, MODELS[name])
        for what, value, said in (
            (
                "held",
                found.held_mb + (found.batch_mb if name in RECORDED else 0.0),
                card.gpu_memory_mb,
            ),
            ("a batch", found.batch_mb, card.gpu_batch_mb),
        ):
            assert said is not None
            off = max(TOLERANCE * said, TOLERANCE_MB)
            figures.append(Figure(f"{name}: {what}", value, "MiB", said - off, said + off))
    return report(figures)


def memory(name: str, network: Counted) -> Memory:
    """Return what a network takes."""
    card = registry.card(name)
    module, adapter = network.adapter
    with tempfile.TemporaryDirectory() as folder:
        if network.write is not None:
            network.write(card, Path(folder))
        # What the adapter is made of, read as ever; the adapter itself is made on the fake GPU.
        with patch.object(module, adapter, lambda *arguments, **options: (arguments, options)):
            place = () if network.write is None else (Path(folder),)
            arguments, options = network.load(card, "cpu", *place)
    arguments = [each for each in arguments if each != "cpu"]
    with patch.object(fake_gpu, "FakeGpu", Held), fake_gpu.fake_gpu() as counts:
        assert isinstance(counts, Held)
        made = getattr(module, adapter)(*fake_gpu.on_gpu(arguments), "cuda", **options)
        gc.collect()
        held = counts.bytes
        counts.peak_bytes = held
        network.batch(made)
        return Memory(held / MEBIBYTE, (counts.peak_bytes - held) / MEBIBYTE)


if __name__ == "__main__":
    sys.exit(main())
