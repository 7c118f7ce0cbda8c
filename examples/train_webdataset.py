"""Train on a WebDataset export: the next frame of music, given its tempo, key and genre.

Killed and started again with the same shards it goes on from the step that it saved, exactly.
"""

import argparse
import io
import json
import os
import random
import zlib
from functools import partial
from itertools import count, islice

import soundfile
import torch
import webdataset as wds
from safetensors.torch import save_file
from torchaudio.transforms import MelSpectrogram

SECONDS, FRAMES_PER_SECOND, BANDS, WORDS, WIDTH, BATCH, WORKERS = 4, 50, 64, 4096, 128, 8, 2


def endless(shards):
    """Yield the shards, shuffled anew in every epoch, so that no worker ends before the others."""
    for epoch in count():
        yield from ({"url": url} for url in random.Random(epoch).sample(shards, len(shards)))


def examples(samples, step):
    """Yield log-mel frames of random parts, and hashed words that say what music they are."""
    worker = torch.utils.data.get_worker_info().id
    seen = step // WORKERS * BATCH  # the loader takes a batch of each in turn
    for i, sample in islice(enumerate(samples), seen, None):  # what was seen is not decoded
        kind = next(kind for kind in ("flac", "opus", "ogg", "mp3", "wav") if kind in sample)
        with soundfile.SoundFile(io.BytesIO(sample[kind])) as file:
            rate, length = file.samplerate, SECONDS * file.samplerate
            file.seek(random.Random(f"{worker} {i}").randint(0, max(0, file.frames - length)))
            signal = file.read(length, "float32", always_2d=True, fill_value=0).mean(1)
        hop = rate // FRAMES_PER_SECOND  # the same time at any sample rate
        mel = MelSpectrogram(rate, 2 * hop, hop_length=hop, f_max=8000, n_mels=BANDS)
        frames = mel(torch.from_numpy(signal)).clamp(min=1e-10).log10().T / 4 + 1
        row = json.loads(sample["json"])
        words = [f"{name} {row.get(name)}" for name in ("dominant_key", "mode", "genre")]
        words.append(f"tempo {round(row.get('tempo') or 0, -1)}")
        yield frames, torch.tensor([zlib.crc32(word.encode()) % WORDS for word in words])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+", help="export/webdataset/train-*.tar, or URLs")
    parser.add_argument("--output", default="next-frame.safetensors")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--save_every", type=int, default=25, help="batches of each worker")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    condition = torch.nn.EmbeddingBag(WORDS, WIDTH)
    network, head = torch.nn.GRU(BANDS, WIDTH, batch_first=True), torch.nn.Linear(WIDTH, BANDS)
    model = torch.nn.ModuleList([condition, network, head]).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    done, state = 0, f"{args.output}.state"
    if os.path.exists(state):
        done, weights, moments = torch.load(state, device)
        model.load_state_dict(weights), optimizer.load_state_dict(moments)
    stages = [wds.split_by_worker, wds.tarfile_to_samples(), wds.shuffle(32, seed=0)]
    data = wds.DataPipeline(partial(endless, args.shards), stages, partial(examples, step=done))
    loader = torch.utils.data.DataLoader(data, BATCH, num_workers=WORKERS)
    for step, (frames, words) in enumerate(islice(loader, args.steps - done), done + 1):
        frames, first = frames.to(device), condition(words.to(device))[None]
        loss = (head(network(frames[:, :-1], first)[0]) - frames[:, 1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}", flush=True)
        if step % (args.save_every * WORKERS) == 0:  # the first worker is next, as at a start
            torch.save([step, model.state_dict(), optimizer.state_dict()], f"{state}.new")
            os.replace(f"{state}.new", state)  # whole, or the one before
    save_file(model.state_dict(), args.output)
