"""Tiny MusicGen models: a small T5, a small decoder and a tiny EnCodec, in the published layout."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.quiet import no_progress_bar, no_warnings
from models.registry import ModelCard
from models.tiny import encodec

SEED = 20_230_608

RATE_HZ = 32_000

TEXT: Mapping[str, Any] = {
    "vocab_size": 256,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 2,
}
DECODER: Mapping[str, Any] = {
    "num_hidden_layers": 2,
    "ffn_dim": 64,
    "num_attention_heads": 2,
    "hidden_size": 32,
}
"""600,000 parameters, nearly all of which tell or take the 2,048 codes of four codebooks."""

TEXT_PUBLISHED: Mapping[str, Any] = {
    "vocab_size": 32_128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
}
"""T5 base (C. Raffel et al., JMLR 2020), the text encoder of all published models."""

WIDTH_AND_BLOCKS = {
    "musicgen-small": (1024, 24),
    "musicgen-medium": (1536, 48),
    "musicgen-large": (2048, 48),
    "musicgen-melody": (1536, 48),
}
"""Of published decoders, as transformers' ``convert_musicgen_transformers.py`` has them."""

MELODY = {"chroma_length": 235, "num_chroma": 12}

WORDS = (
    *("in", "the", "style", "of", "a", "an", "song", "music", "track", "piece", "like", "with"),
    *("and", "slow", "fast", "calm", "loud", "piano", "guitar", "drums", "synth", "sound"),
)
"""Words of prompts; any other word is made of its letters."""


def write(card: ModelCard, folder: Path) -> None:
    """Write a MusicGen with random weights, the same bytes every time.

    Parameters
    ----------
    card
        The model it stands for; each has weights of its own.
    folder
        Where to; it exists.
    """
    import transformers

    config = configuration(card, encodec.TINY, TEXT, DECODER)
    kind = type(config).__name__.removesuffix("Config")
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
    _randomise(model, SEED + sum(card.name.encode()))
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=2048,
        decoder_start_token_id=2048,
        do_sample=True,
        guidance_scale=3.0,
        max_length=1500,
        pad_token_id=2048,
    )
    names = [file.name for file in card.files]
    if "pytorch_model.bin" in names:
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        shards = sum(name.endswith(".safetensors") for name in names)
        size_bytes = sum(each.nbytes for each in model.state_dict().values())
        with no_progress_bar():
            model.save_pretrained(folder, max_shard_size=math.ceil(1.2 * size_bytes / shards))
    transformers.EncodecFeatureExtractor(sampling_rate=RATE_HZ).save_pretrained(folder)
    _write_tokenizer(folder)


def published(card: ModelCard) -> Any:
    """Return the configuration of a published model: 588 million parameters of the small one."""
    width, blocks = WIDTH_AND_BLOCKS[card.name]
    decoder = {
        "num_hidden_layers": blocks,
        "ffn_dim": 4 * width,
        "num_attention_heads": width // 64,
        "hidden_size": width,
    }
    return configuration(card, encodec.published(card), TEXT_PUBLISHED, decoder)


def configuration(
    card: ModelCard,
    codec: Mapping[str, Any],
    text: Mapping[str, Any],
    decoder: Mapping[str, Any],
) -> Any:
    """Return transformers' configuration of a model of some size, for its card's class."""
    import transformers

    is_melody = card.name.endswith("melody")
    kind = "MusicgenMelody" if is_melody else "Musicgen"
    # Of each it warns that the number of the padding is beyond the codes, as it has to be.
    with no_warnings():
        return getattr(transformers, f"{kind}Config")(
            text_encoder=transformers.T5Config(**text, dropout_rate=0.1, use_cache=False).to_dict(),
            audio_encoder=transformers.EncodecConfig(
                sampling_rate=RATE_HZ, **encodec.LAYOUTS[RATE_HZ], **codec
            ).to_dict(),
            decoder=getattr(transformers, f"{kind}DecoderConfig")(**decoder).to_dict(),
            **(MELODY if is_melody else {}),
        )


def _randomise(model: Any, seed: int) -> None:
    """Parameters such that texts tell apart which codes are likely, and codes are many."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.startswith("audio_encoder."):
                continue
            if parameter.ndim >= 2:
                is_table = "shared" in name or "embed_tokens" in name or "relative" in name
                fan_in = 1 if is_table else parameter[0].numel()
                parameter.normal_(std=1 / math.sqrt(fan_in), generator=generator)
                if "encoder_attn.v_proj" in name or "encoder_attn.out_proj" in name:
                    parameter.mul_(2)
            else:
                centre = 1.0 if name.endswith("norm.weight") else 0.0
                parameter.normal_(centre, 0.02, generator=generator)
    encodec.randomise(model.audio_encoder, encodec.SEED + RATE_HZ)


def _write_tokenizer(folder: Path) -> None:
    """Write a unigram model in T5's layout, of few words and all letters."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    special = ("<pad>", "</s>", "<unk>")
    pieces = [f"▁{word}" for word in WORDS]
    letters = ["▁", *(chr(code) for code in range(33, 127))]
    scores = [
        *((token, 0.0) for token in special),
        *((piece, -2.0) for piece in pieces),
        *((letter, -6.0) for letter in letters),
    ]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(roles, indent=2))
    settings = {
        **roles,
        "extra_ids": 0,
        "model_max_length": 512,
        "tokenizer_class": "T5Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
