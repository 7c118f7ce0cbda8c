"""Kernels, copies and waits that one batch of each network asks of a GPU, counted without one.

``python -m benchmarks.launches`` writes networks of their published size with random weights and
takes one batch through each, as an adapter does on a GPU, on tensors that have shapes and no
content. It fails if a network launches more than it did, copies more, or waits more often.

Counted are operators after those made of others are taken apart: each launches one kernel or
several, so that a profile of a GPU has more. Views, allocations and copies to and from the GPU
are none; an LSTM is one, as it is a call of cuDNN. CTranslate2 (Whisper) makes no use of torch
and is not counted.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.fake_gpu import FakeGpu, fake_gpu, on_gpu
from benchmarks.measure import Figure, report
from models import clap, crepe, demucs, ecapa, encodec, registry
from models.tiny import clap as tiny_clap
from models.tiny import demucs as tiny_demucs
from models.tiny import ecapa as tiny_ecapa
from models.tiny import encodec as tiny_encodec


@dataclass(frozen=True)
class Counted:
    """A network, one batch of it, and what it may ask for.

    Attributes
    ----------
    load
        Loads it, given the card, a device and the folder.
    adapter
        Place of the adapter's class in its module; its last argument is the device.
    write
        Writes its weights, given the card and the folder; None where a package has them.
    batch
        Takes one batch through the adapter, and returns the items in it.
    operators, waits
        The most that one batch may take.
    """

    load: Any
    adapter: tuple[Any, str]
    write: Callable[[Any, Path], None] | None
    batch: Callable[[Any], int]
    operators: int
    waits: int


def _segments(adapter: demucs.DemucsAdapter) -> int:
    count = int(demucs.GPU_BATCH_SECONDS // (adapter._segment / adapter.sample_rate_hz))
    mix = np.zeros((2, count * adapter._stride), np.float32)
    list(adapter.separate([mix], ["vocals"], mean=0.0, std=1.0))
    return count


def _frames(adapter: crepe.CrepeAdapter) -> int:
    count = crepe.FRAMES_PER_CALL["cuda"]
    list(adapter.activations(np.zeros((count - 1) * 160, np.float32), 160))
    return count


def _pieces(adapter: encodec.EncodecAdapter) -> int:
    count = encodec.ITEMS_PER_CALL["cuda"]
    piece = np.zeros((adapter.channels, 5 * adapter.sample_rate_hz), np.float32)
    list(adapter.encode([piece] * count))
    return count


def _sounds(adapter: clap.ClapAdapter) -> int:
    window = np.zeros(adapter.window_samples, np.float32)
    list(adapter.embed_audio([window] * clap.WINDOWS_PER_CALL))
    return clap.WINDOWS_PER_CALL


def _voices(adapter: ecapa.EcapaAdapter) -> int:
    count = ecapa.WINDOWS_PER_CALL["cuda"]
    window = np.zeros(round(ecapa.WINDOW_SECONDS * ecapa.RATE_HZ), np.float32)
    list(adapter.embed([window] * count))
    return count


NETWORKS: Mapping[str, Counted] = {
    "htdemucs": Counted(
        demucs.load,
        (demucs, "DemucsAdapter"),
        lambda card, folder: tiny_demucs.write(card, folder, tiny_demucs.PUBLISHED),
        _segments,
        operators=1189,
        waits=1,
    ),
    "crepe-full": Counted(
        crepe.load, (crepe, "CrepeAdapter"), None, _frames, operators=33, waits=1
    ),
    "encodec-32khz": Counted(
        encodec.load,
        (encodec, "EncodecAdapter"),
        lambda card, folder: tiny_encodec.write(card, folder, tiny_encodec.published(card)),
        _pieces,
        operators=98,
        waits=1,
    ),
    "clap-music": Counted(
        clap.load,
        (clap, "ClapAdapter"),
        lambda card, folder: tiny_clap.write(card, folder, tiny_clap.PUBLISHED),
        _sounds,
        operators=1247,
        waits=1,
    ),
    "ecapa-voxceleb": Counted(
        ecapa.load,
        (ecapa, "EcapaAdapter"),
        lambda card, folder: tiny_ecapa.write(card, folder, tiny_ecapa.PUBLISHED),
        _voices,
        operators=292,
        waits=1,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--operators", action="store_true", help="show the commonest of each")
    options = parser.parse_args()
    if unknown := {*options.networks} - {*NETWORKS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    figures = []
    for name in options.networks or NETWORKS:
        network = NETWORKS[name]
        counts, items = count(name, network)
        figures += [
            Figure(f"{name}: items per batch", items),
            Figure(f"{name}: operators", counts.operators.total(), "", None, network.operators),
            Figure(f"{name}: to the GPU", counts.bytes_to_gpu / 2**20, "MiB"),
            Figure(f"{name}: from the GPU", counts.bytes_from_gpu / 2**20, "MiB"),
            Figure(f"{name}: waits", counts.waits, "", None, network.waits),
        ]
        if options.operators:
            print(name, *(f"{each} {times}" for each, times in counts.operators.most_common(12)))
    return report(figures)


def count(name: str, network: Counted) -> tuple[FakeGpu, int]:
    """Return what one batch of a network asks of a GPU, and the items in it."""
    card = registry.card(name)
    module, adapter = network.adapter
    with tempfile.TemporaryDirectory() as folder:
        if network.write is not None:
            network.write(card, Path(folder))
        # What the adapter is made of, read as ever; the adapter itself is made on the fake GPU.
        with patch.object(module, adapter, lambda *arguments: arguments):
            place = () if network.write is None else (Path(folder),)
            *arguments, _ = network.load(card, "cpu", *place)
    with fake_gpu():
        made = getattr(module, adapter)(*on_gpu(arguments), "cuda")
    with fake_gpu() as counts:
        return counts, network.batch(made)


if __name__ == "__main__":
    sys.exit(main())
