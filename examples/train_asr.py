"""Fine-tune Whisper by transformers on what is sung in a lhotse export of vocals.

``train_asr.py export/lhotse``: phrases are cut where the aligned words pause. What it saves is a
Whisper like the one it began with, for WhisperForConditionalGeneration.
"""

import argparse

import torch
from lhotse import CutSet
from lhotse.dataset import DynamicCutSampler
from torch.nn.utils.rnn import pad_sequence
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.models.whisper.tokenization_whisper import LANGUAGES

RATE_HZ = 16_000  # of all Whisper models
PAUSE_SECONDS, PHRASE_SECONDS = 1.0, 28.0  # Whisper hears 30 s: filling them costs nothing more
SHUFFLED = 1000  # phrases in memory at a time, with the songs that they are of
IGNORED = -100  # by the loss


def phrases(export, split):
    """Return cuts from a pause in the singing to another, again and again."""

    def is_known(line):
        return line.alignment and line.language in LANGUAGES

    songs = CutSet.from_shar(in_dir=f"{export}/{split}", shuffle_shards=True)
    songs = songs.filter(lambda song: any(map(is_known, song.supervisions)))
    # The words of all lines in one supervision, to be parted anew.
    songs = songs.merge_supervisions("keep_first").resample(RATE_HZ)
    return songs.trim_to_alignments("word", PAUSE_SECONDS, PHRASE_SECONDS).repeat()


def batch(cuts, processor):
    """Return log-mel features of cuts, and the tokens to tell."""
    sounds = [cut.load_audio().mean(0) for cut in cuts]
    features = processor.feature_extractor(sounds, sampling_rate=RATE_HZ, return_tensors="pt")
    tokens = []
    for sung in (cut.supervisions[0] for cut in cuts):
        processor.tokenizer.set_prefix_tokens(sung.language, "transcribe", False)
        # Without the first token: the model puts it before what it is to tell.
        tokens.append(torch.tensor(processor.tokenizer(sung.text).input_ids[1:]))
    return features.input_features, pad_sequence(tokens, batch_first=True, padding_value=IGNORED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export")
    parser.add_argument("--model", default="openai/whisper-base", help="name or folder")
    parser.add_argument("--output", default="whisper-tuned")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--learning_rate", type=float, default=1e-5)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    processor = WhisperProcessor.from_pretrained(args.model)
    model = WhisperForConditionalGeneration.from_pretrained(args.model).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), args.learning_rate)
    cuts = phrases(args.export, "train")
    if next(iter(cuts), None) is None:
        parser.error("No song of train has aligned words in a language that Whisper knows.")
    shuffled = {"shuffle": True, "shuffle_buffer_size": SHUFFLED}
    sampler = DynamicCutSampler(cuts, max_cuts=args.batch_size, **shuffled)
    for step, chosen in zip(range(1, args.steps + 1), sampler, strict=False):
        features, tokens = batch(chosen, processor)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = model(features.to(device), labels=tokens.to(device)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}", flush=True)
    model.save_pretrained(args.output), processor.save_pretrained(args.output)
