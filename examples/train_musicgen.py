"""Fine-tune MusicGen by transformers on a musicgen export: ``train_musicgen.py export/musicgen``.

What it saves is a MusicGen like the one it began with, for MusicgenForConditionalGeneration.
"""

import argparse
import gzip
import json
import random
from pathlib import Path

import soundfile
import torch
from peft import LoraConfig, get_peft_model
from torchaudio.functional import resample
from transformers import AutoProcessor, MusicgenForConditionalGeneration

LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]  # that LoRA adapts
WITHOUT_TEXT = 0.1  # share trained so, as MusicGen was: guidance compares with and without


def clip(path, seconds, rate_hz):
    """Return a random part of a file, mono, and what its JSON says of it."""
    with soundfile.SoundFile(path) as file:
        length = seconds * file.samplerate
        file.seek(random.randint(0, max(0, file.frames - length)))  # its duration is rounded
        signal = file.read(length, "float32", always_2d=True, fill_value=0).mean(1)
    text = json.loads(path.with_suffix(".json").read_bytes())["description"]
    return resample(torch.from_numpy(signal), file.samplerate, rate_hz), text or ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("--model", default="facebook/musicgen-small", help="name or folder")
    parser.add_argument("--output", default="musicgen-tuned")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--lora", type=int, default=16, help="rank; 0 trains the whole decoder")
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random.seed(0), torch.manual_seed(0)
    processor = AutoProcessor.from_pretrained(args.model)
    model = MusicgenForConditionalGeneration.from_pretrained(args.model).to(device).eval()
    model.requires_grad_(False).decoder.requires_grad_(not args.lora).train()
    if args.lora:  # gradients and moments of few weights, beside those that stay
        lora = LoraConfig(r=args.lora, lora_alpha=2 * args.lora, target_modules=LAYERS)
        model.decoder = get_peft_model(model.decoder, lora)
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learnt, args.learning_rate)
    with gzip.open(args.export / "egs/train/data.jsonl.gz") as lines:
        files = [file for file in map(json.loads, lines) if file["duration"] >= args.seconds]
    if not files:
        parser.error("No file of train is as long as --seconds.")
    rate_hz, settings = model.config.audio_encoder.sampling_rate, model.config.decoder
    for step in range(1, args.steps + 1):
        paths = [args.export / each["path"] for each in random.choices(files, k=args.batch_size)]
        signals, texts = zip(*[clip(path, args.seconds, rate_hz) for path in paths], strict=True)
        words = processor.tokenizer(list(texts), padding=True, return_tensors="pt").to(device)
        words["attention_mask"][torch.rand(len(texts)) < WITHOUT_TEXT] = 0
        with torch.no_grad():
            codes = model.audio_encoder.encode(torch.stack(signals)[:, None].to(device))[0][0]
        # Each codebook is a frame behind the one before it, as when music is generated. A
        # position tells the codes of the next; padding counts in no loss.
        codes = torch.nn.functional.pad(codes, (1, 0), value=settings.pad_token_id)
        length = codes.shape[-1] + codes.shape[1] - 1
        build = model.decoder.build_delay_pattern_mask
        delayed = build(codes, settings.pad_token_id, length)[1]
        labels = delayed[:, 1:].unflatten(0, codes.shape[:2]).transpose(1, 2)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = model(**words, decoder_input_ids=delayed[:, :-1], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}", flush=True)
    model.decoder = model.decoder.merge_and_unload() if args.lora else model.decoder
    model.save_pretrained(args.output), processor.save_pretrained(args.output)
