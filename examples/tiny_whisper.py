"""Write an untrained, tiny Whisper as transformers has it: ``python -m examples.tiny_whisper DIR``.

It spells by bytes, and knows English only. :mod:`models.tiny` has one in the format that songs are
heard with, which is not the one that is trained.
"""

import argparse
from pathlib import Path


def write(folder: Path) -> None:
    """Write the model and its processor."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    bytes_ = sorted(ByteLevel.alphabet())
    end, start = len(bytes_), len(bytes_) + 1
    tokenizer = WhisperTokenizer({byte: i for i, byte in enumerate(bytes_)}, merges=[])
    # The language follows the start, as in the published vocabulary.
    special = ("endoftext", "startoftranscript", "en", "transcribe", "notimestamps")
    names = [f"<|{name}|>" for name in special]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    torch.manual_seed(0)
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_whisper", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    write(parser.parse_args().folder)
