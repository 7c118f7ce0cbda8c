"""Tiny MuQ and MERT, each in its repository's layout; of MERT also the code that comes with it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from models.registry import ModelCard

SEED = 20_230_317

Dimensions = Mapping[str, Mapping[str, Any]]
"""For each model, what its architecture leaves open: fields of its configuration."""

_MUQ_BLOCK = {
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "conformer_conv_dropout": 0.1,
    "conv_depthwise_kernel_size": 31,
    "feat_extract_activation": "gelu",
    "hidden_act": "swish",
    "hidden_dropout": 0.1,
    "layer_norm_eps": 1e-5,
    "layerdrop": 0.0,
    "max_source_positions": 5000,
    "model_type": "wav2vec2-conformer",
    "position_embeddings_type": "rotary",
    "rotary_embedding_base": 10_000,
}

TINY: Dimensions = {
    "muq-large-msd": {
        "conv_dim": 4,
        "encoder_dim": 16,
        "encoder_depth": 3,
        "codebook_size": 1024,
        "rvq_n_codebooks": 1,
        "w2v2_config": {
            **_MUQ_BLOCK,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_attention_heads": 2,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
    },
    **{
        name: {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "conv_dim": [8] * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "do_stable_layer_norm": stable,
        }
        for name, stable in (("mert-v1-95m", False), ("mert-v1-330m", True))
    },
}
"""70,000 parameters of MuQ, most of them for its training's targets, and 8,000 of MERT."""

PUBLISHED: Dimensions = {
    "muq-large-msd": {
        "conv_dim": 512,
        "encoder_dim": 1024,
        "encoder_depth": 12,
        "codebook_size": 8192,
        "w2v2_config": {
            **_MUQ_BLOCK,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_conv_pos_embeddings": 128,
            "num_conv_pos_embedding_groups": 16,
        },
    },
    **{
        name: {
            "hidden_size": size,
            "intermediate_size": 4 * size,
            "num_hidden_layers": layers,
            "num_attention_heads": size // 64,
            "conv_dim": [512] * 7,
            "num_conv_pos_embeddings": 128,
            "num_conv_pos_embedding_groups": 16,
            "do_stable_layer_norm": stable,
        }
        for name, size, layers, stable in (
            ("mert-v1-95m", 768, 12, False),
            ("mert-v1-330m", 1024, 24, True),
        )
    },
}
"""Of the published models, 333, 94 and 315 million parameters."""

_MUQ_STATISTICS = {"melspec_2048_mean": 6.768444971712967, "melspec_2048_std": 18.417922652295623}
"""Of the training set's mel bands in decibels, as published."""


def write(card: ModelCard, folder: Path, dimensions: Dimensions = TINY) -> None:
    """Write MuQ or MERT with random weights, the same bytes every time.

    Parameters
    ----------
    card
        The model it stands for.
    folder
        Where to; it exists.
    dimensions
        Size of the network.
    """
    writer = _write_muq if card.library == "muq" else _write_mert
    writer(card, folder, dimensions[card.name])


def muq_config(dimensions: Mapping[str, Any]) -> Any:
    """MuQ's configuration, as published but for its size."""
    from muq import MuQConfig

    return MuQConfig(use_rvq_target=True, stat=dict(_MUQ_STATISTICS), **dimensions)


def _write_muq(card: ModelCard, folder: Path, dimensions: Mapping[str, Any]) -> None:
    from muq import MuQ
    from safetensors.torch import save_model

    config = muq_config(dimensions)
    model = MuQ(config)
    _randomise(model, card)
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2, sort_keys=True))
    save_model(model, str(folder / "model.safetensors"))


def _write_mert(card: ModelCard, folder: Path, dimensions: Mapping[str, Any]) -> None:
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(**dimensions)
    fields = {
        **{name: value for name, value in config.to_dict().items() if name != "model_type"},
        "architectures": ["MERTModel"],
        "auto_map": {
            "AutoConfig": "configuration_MERT.MERTConfig",
            "AutoModel": "modeling_MERT.MERTModel",
        },
        "model_type": "mert_model",
        "sample_rate": card.sample_rate_hz,
    }
    preprocessor = {
        # As published: of the two models, only the smaller wants it.
        "do_normalize": card.name == "mert-v1-95m",
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0,
        "return_attention_mask": True,
        "sampling_rate": card.sample_rate_hz,
    }
    for name, content in (("config", fields), ("preprocessor_config", preprocessor)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, sort_keys=True))
    for name, code in _MERT_CODE.items():
        (folder / name).write_text(code)
    model = HubertModel(config)
    _randomise(model, card)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


_MERT_CODE = {
    "configuration_MERT.py": '''\
"""Configuration of a tiny model that stands for MERT."""

from transformers import HubertConfig


class MERTConfig(HubertConfig):
    """HuBERT's, under MERT's name."""

    model_type = "mert_model"
''',
    "modeling_MERT.py": '''\
"""A tiny model that stands for MERT: HuBERT, loaded as MERT is."""

from transformers import HubertModel

from .configuration_MERT import MERTConfig


class MERTModel(HubertModel):
    """HuBERT with the configuration beside it."""

    config_class = MERTConfig
''',
}


def _randomise(model: torch.nn.Module, card: ModelCard) -> None:
    """Fill in weights such that every layer matters and tells its inputs apart."""
    generator = torch.Generator().manual_seed(SEED + sum(card.name.encode()))
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if name.endswith("inv_freq") or not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("original0"):  # norms of normalised weights
                tensor.uniform_(0.5, 1.0, generator=generator)
            elif tensor.ndim > 1:
                deviation = 1 / math.sqrt(tensor[0].numel())
                tensor.normal_(std=deviation, generator=generator)
            else:
                centre = 1.0 if name.endswith(".weight") else 0.0
                tensor.normal_(centre, 0.05, generator=generator)
