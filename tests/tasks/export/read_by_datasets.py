"""Decodes the audio of an export by ``datasets`` and torchcodec; run in a process of its own."""

import sys

import numpy as np
from datasets import load_dataset


def main(folder: str, cache: str, target: str) -> None:
    """Write the samples of all rows of the split train, and those of the first as it streams."""
    rows = load_dataset(folder, split="train", cache_dir=cache)
    samples = {row["__key__"]: row["audio"].get_all_samples() for row in rows}
    first = next(iter(load_dataset(folder, split="train", cache_dir=cache, streaming=True)))
    samples["streamed"] = first["audio"].get_all_samples()
    rates = [said.sample_rate for said in samples.values()]
    np.savez(target, rates=rates, **{key: said.data.numpy() for key, said in samples.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
