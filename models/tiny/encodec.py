"""Tiny EnCodec models: the published layouts with few filters."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.quiet import no_progress_bar
from models.registry import ModelCard

SEED = 20_221_024

LAYOUTS: Mapping[int, Mapping[str, Any]] = {
    24_000: {},
    32_000: {
        "upsampling_ratios": [8, 5, 4, 4],
        "target_bandwidths": [2.2],
        "codebook_size": 2048,
        "use_causal_conv": False,
        "use_conv_shortcut": False,
    },
    48_000: {
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
        "audio_channels": 2,
        "use_causal_conv": False,
        "norm_type": "time_group_norm",
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
    },
}
"""By sample rate, what a published model has otherwise than ``transformers.EncodecConfig``."""

TINY: Mapping[str, Any] = {"num_filters": 2, "hidden_size": 8}
"""60,000 parameters, most of them the LSTMs', and codebooks of eight dimensions."""

PUBLISHED_FILTERS = {24_000: 32, 32_000: 64, 48_000: 32}


def published(card: ModelCard) -> Mapping[str, Any]:
    """Dimensions of a published model: 15 million parameters, 56 million at 32 kHz."""
    assert card.sample_rate_hz is not None
    return {"num_filters": PUBLISHED_FILTERS[card.sample_rate_hz], "hidden_size": 128}


def write(card: ModelCard, folder: Path, dimensions: Mapping[str, Any] = TINY) -> None:
    """Write an EnCodec model with random weights, the same bytes every time.

    Parameters
    ----------
    card
        The model it stands for, known by its sample rate.
    folder
        Where to; it exists.
    dimensions
        Fields of ``transformers.EncodecConfig``: the size of the network.
    """
    from transformers import EncodecConfig, EncodecFeatureExtractor, EncodecModel

    assert card.sample_rate_hz is not None
    config = EncodecConfig(
        sampling_rate=card.sample_rate_hz, **LAYOUTS[card.sample_rate_hz], **dimensions
    )
    model = EncodecModel(config).eval()
    randomise(model, SEED + card.sample_rate_hz)
    with no_progress_bar():
        model.save_pretrained(folder)
    EncodecFeatureExtractor(
        feature_size=config.audio_channels,
        sampling_rate=config.sampling_rate,
        chunk_length_s=config.chunk_length_s,
        overlap=config.overlap,
    ).save_pretrained(folder)


def randomise(model: Any, seed: int) -> None:
    """Fill in parameters and codebooks such that sounds take many different codes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.endswith("original0"):
                continue  # norms of the weights that follow it: they keep those below
            if parameter.ndim >= 2:
                fan_in: float = parameter[0].numel()
                if "lstm" not in name:
                    fan_in /= 2  # rectifiers halve the power
                # Sound is quieter than noise of unit power, and must outdo the biases.
                gain = 4.0 if name.startswith("encoder.layers.0.") else 1.0
                parameter.normal_(std=gain / math.sqrt(fan_in), generator=generator)
            else:
                centre = 1.0 if name.endswith("norm.weight") else 0.0
                parameter.normal_(centre, 0.01, generator=generator)
        for module in model.modules():
            if hasattr(module, "parametrizations"):
                weight = module.parametrizations.weight
                weight.original0.copy_(
                    weight.original1.flatten(1).norm(dim=1).reshape(weight.original0.shape)
                )
        for number, layer in enumerate(model.quantizer.layers):
            codebook = layer.codebook
            codebook.embed.normal_(std=0.7**number, generator=generator)
            codebook.embed_avg.copy_(codebook.embed)
            codebook.cluster_size.fill_(1.0)
