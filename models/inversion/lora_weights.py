"""Low-rank weights in PEFT's layout: read from a folder, and applied to a decoder for a while."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

ADAPTER = "default"
"""PEFT's name of the only one that there is."""

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

PREFIX = "base_model.model."
"""Before the names of weights in PEFT's files."""


@contextmanager
def applied(network: Any, folder: Path) -> Iterator[None]:
    """Let a generator's decoder have low-rank weights within the block, and be as before after.

    Parameters
    ----------
    network
        Of transformers.
    folder
        As PEFT writes it, and :meth:`models.inversion.lora.LowRank.write`.

    Raises
    ------
    ValueError
        If the folder holds something else, or weights that do not fit the network.
    """
    import peft

    config, weights = read(folder)
    if hasattr(network, "peft_config"):
        raise ValueError("the decoder has low-rank weights already")
    # On no device first: nothing is drawn at random.
    tuner = peft.LoraModel(network, config, ADAPTER, low_cpu_mem_usage=True)
    try:
        _load(network, weights, folder)
        for layer in layers(network):
            layer.eval()
        yield
    finally:
        tuner.unload()


def read(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """Return PEFT's configuration and the weights of a folder.

    Raises
    ------
    ValueError
        If it holds something else than low-rank weights in safetensors.
    """
    import peft
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / WEIGHTS).is_file():
        others = [file.name for file in sorted(folder.glob("*.bin"))]
        instead = f", and {others[0]} could run code when it is opened" if others else ""
        raise ValueError(f"{folder.name} has no {WEIGHTS}{instead}")
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
        kind = content["peft_type"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder.name} holds no low-rank weights: {error}") from error
    if kind != "LORA" or content.get("modules_to_save") or content.get("use_dora"):
        raise ValueError(f"{folder.name} holds something else than plain low-rank weights")
    known = ("r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora")
    config = peft.LoraConfig(**{name: content[name] for name in known if name in content})
    return config, weights


def _load(network: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    import peft

    named = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    try:
        report: Any = peft.set_peft_model_state_dict(
            network, named, adapter_name=ADAPTER, low_cpu_mem_usage=True
        )
    except RuntimeError as error:
        raise ValueError(f"{folder.name} does not fit the model: {error}") from error
    missing = [name for name in report.missing_keys if ".lora_" in name]
    if missing or report.unexpected_keys:
        name = [*missing, *report.unexpected_keys][0]
        raise ValueError(f"{folder.name} does not fit the model: {name}")


def layers(network: Any) -> tuple[nn.Module, ...]:
    """Return the layers that have low-rank weights."""
    from peft.tuners.lora import LoraLayer

    kind: Any = LoraLayer
    return tuple(module for module in network.modules() if isinstance(module, kind))
