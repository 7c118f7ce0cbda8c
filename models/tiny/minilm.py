"""A tiny MiniLM: a BERT of a few words, in the published layout."""

import json
from pathlib import Path

import torch

from models.registry import ModelCard

SEED = 20_200_225

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (
    *("slow", "fast", "calm", "happy", "sad", "piano", "guitar", "drums", "voice", "minor"),
    *("major", "key", "song", "track", "rock", "jazz", "a", "an", "the", "in", "with", "and"),
)
VOCABULARY = (
    *_SPECIAL,
    *_WORDS,
    *(f"{mark}{chr(code)}" for mark in ("", "##") for code in range(33, 127)),
)
"""Words of captions, and all characters, of which others are put together."""


def write(card: ModelCard, folder: Path) -> None:
    """Write a BERT with random weights, the same bytes every time.

    Parameters
    ----------
    card
        The model it stands for.
    folder
        Where to; it exists.
    """
    from transformers import BertConfig, BertModel

    vocabulary = list(dict.fromkeys(VOCABULARY))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    model = BertModel(config).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim >= 2:
                parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
            else:
                centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
                parameter.normal_(centre, 0.01, generator=generator)
    model.save_pretrained(folder)
    _write_tokenizer(vocabulary, folder)


def _write_tokenizer(vocabulary: list[str], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"])
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    roles = dict(zip(("pad", "unk", "cls", "sep", "mask"), _SPECIAL, strict=True))
    special = {f"{role}_token": token for role, token in roles.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    settings = {**special, "do_lower_case": True, "model_max_length": 512}
    settings["tokenizer_class"] = "BertTokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
