"""Tiny CLAP models: a small HTSAT and a small RoBERTa, with a tokenizer of their own."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.registry import ModelCard

SEED = 20_230_612

LOG_MEL_MEAN_DB = -40.0
LOG_MEL_DEVIATION_DB = 20.0
"""Of music in the front-end's bands, about: what the first batch normalisation takes off."""

MERGED_WORDS = ("gentle", "loud", "soft", "with", "vocals", "major", "minor", "verse", "chorus")
"""Words that are one token; any other text is made of bytes and of their beginnings."""


@dataclass(frozen=True)
class Dimensions:
    """What the architectures of the two towers leave open.

    Attributes
    ----------
    audio, text
        Fields of ``transformers.ClapAudioConfig`` and ``ClapTextConfig``.
    """

    audio: Mapping[str, Any]
    text: Mapping[str, Any]


TINY = Dimensions(
    audio={
        "patch_embeds_hidden_size": 8,
        "hidden_size": 64,
        # Two layers in the first stage: the second of a pair has shifted windows.
        "depths": [2, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
    },
    text={
        "vocab_size": 512,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    },
)
"""About 700,000 parameters, of which the 512 published dimensions of the space take 600,000."""

PUBLISHED = Dimensions(
    audio={
        "patch_embeds_hidden_size": 128,
        "hidden_size": 1024,
        "depths": [2, 2, 12, 2],
        "num_attention_heads": [4, 8, 16, 32],
    },
    text={},
)
"""Of ``laion/larger_clap_music``: HTSAT-base and RoBERTa-base, 194 million parameters."""


def published(card: ModelCard) -> Dimensions:
    """Return the dimensions of the published model."""
    return PUBLISHED


def write(card: ModelCard, folder: Path, dimensions: Dimensions = TINY) -> None:
    """Write a CLAP model with random weights, the same bytes every time.

    Parameters
    ----------
    card
        The model it stands for; each has weights of its own.
    folder
        Where to; it exists.
    dimensions
        Size of the network.
    """
    from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

    config = ClapConfig(
        audio_config=ClapAudioConfig(**dimensions.audio),
        text_config=ClapTextConfig(**dimensions.text),
    )
    model = ClapModel(config).eval()
    _randomise(model, SEED + sum(card.name.encode()))
    model.config.architectures = ["ClapModel"]
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR, indent=2))
    _write_tokenizer(folder)


def _randomise(model: torch.nn.Module, seed: int) -> None:
    """Fill in parameters such that no layer fades out what tells its inputs apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim >= 2:
                is_table = "embeddings." in name or name.endswith("bias_table")
                fan_in = 1 if is_table else parameter[0].numel()
                parameter.normal_(std=1 / math.sqrt(fan_in), generator=generator)
            elif parameter.ndim == 1:
                centre = 1.0 if name.endswith(".weight") else 0.0
                parameter.normal_(centre, 0.05, generator=generator)
        for name, buffer in model.named_buffers():
            if name.endswith("batch_norm.running_mean"):
                buffer.fill_(LOG_MEL_MEAN_DB)
            elif name.endswith("batch_norm.running_var"):
                buffer.fill_(LOG_MEL_DEVIATION_DB**2)


_PREPROCESSOR = {
    "feature_extractor_type": "ClapFeatureExtractor",
    "feature_size": 64,
    "fft_window_size": 1024,
    "frequency_max": 14_000,
    "frequency_min": 50,
    "hop_length": 480,
    "max_length_s": 10,
    "padding": "repeatpad",
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "ClapProcessor",
    "return_attention_mask": False,
    "sampling_rate": 48_000,
    "top_db": None,
    "truncation": "rand_trunc",
}

_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
_ROLES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
}


def _write_tokenizer(folder: Path) -> None:
    """Byte-level pairs in RoBERTa's layout, with the few words that it merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    vocabulary = {token: number for number, token in enumerate(_TOKENS)}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[byte] = len(vocabulary)
    merges = []
    for word in MERGED_WORDS:
        # A word begins with the letter that stands for the space before it.
        parts = ["Ġ", *word]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            parts[:2] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                vocabulary[parts[0]] = len(vocabulary)
    vocabulary["<mask>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"])
    )
    tokenizer.add_special_tokens(
        [
            *(AddedToken(token, special=True) for token in _TOKENS),
            AddedToken("<mask>", lstrip=True, special=True),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    (folder / "special_tokens_map.json").write_text(json.dumps(_ROLES, indent=2))
    settings = {
        **_ROLES,
        "add_prefix_space": False,
        "model_max_length": 512,
        "processor_class": "ClapProcessor",
        "tokenizer_class": "RobertaTokenizer",
        "trim_offsets": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
