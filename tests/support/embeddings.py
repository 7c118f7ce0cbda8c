"""Embeddings whose truth is known: items have attributes, sounds and captions follow from them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import registry
from models.registry import ModelCard
from tasks.dataset import embeddings
from tasks.dataset.embeddings import Embeddings, Encoded

ATTRIBUTES = {
    "speed": ("slow", "calm", "brisk", "fast"),
    "instrument": ("piano", "guitar", "violin", "flute", "organ", "harp"),
    "mood": ("sad", "happy", "angry", "dreamy", "tense"),
    "key": ("a minor", "c major", "d minor", "g major"),
}
WORDS = [word for words in ATTRIBUTES.values() for word in words]
TEXT_MODEL = "words-of-a-test"


def words_embedding(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One dimension per word of the attributes: whether the text has it."""
    return np.array([float(word in text) for word in WORDS], np.float32)


def made(
    items: int = 300,
    *,
    seed: int = 0,
    shuffled: bool = False,
    splits: Sequence[int] = (8, 1, 1),
    corpora: Sequence[str] = ("fma", "own"),
    noise: float = 0.3,
    with_clap: bool = False,
) -> Embeddings:
    """Embeddings of items; `shuffled` captions are those of others."""
    rng = np.random.default_rng(seed)
    chosen = [[str(rng.choice(words)) for words in ATTRIBUTES.values()] for _ in range(items)]
    true = np.stack([words_embedding(" ".join(each)) for each in chosen])
    mixing = rng.standard_normal((len(WORDS), 48)).astype(np.float32)
    audio = np.tanh(true @ mixing) + noise * rng.standard_normal((items, 48))
    told = [chosen[at] for at in rng.permutation(items)] if shuffled else chosen
    captions, owners, main = [], [], []
    for item, (speed, instrument, mood, key) in enumerate(told):
        long = f"A {mood} {speed} piece for {instrument} in {key}"
        for place, text in enumerate((long, f"{instrument}, {key}, {mood}")):
            captions.append(text)
            owners.append(item)
            main.append(place == 0)
    names = np.repeat(["train", "validation", "test"], np.array(splits) * items // sum(splits))
    texts = np.stack([words_embedding(text) for text in captions])
    every = np.arange(items, dtype=np.int32)
    said = {"licence": "CC0-1.0", "config": "{}"}
    mel = Encoded(audio.astype(np.float32), every, {"model": "mel", "revision": "1", **said})
    words = Encoded(
        texts,
        np.arange(len(captions), dtype=np.int32),
        {"model": TEXT_MODEL, "revision": "1", **said},
    )
    clap_audio, clap_text = {}, {}
    if with_clap:
        # In one space from the start, and noisy: what a projection is compared with.
        noisy = (true + rng.standard_normal(true.shape)).astype(np.float32)
        half = every[: items - 3]
        clap_audio["clap"] = Encoded(noisy[half], half, {"model": "clap-music", **said})
        clap_text["clap"] = Encoded(texts, words.item, {"model": "clap-music", **said})
    return Embeddings(
        dataset=f"made-{seed}",
        items={
            "id": [f"fma_{at}" for at in range(items)],
            "split": [*names, *["train"] * (items - len(names))],
            "dataset": [corpora[at % len(corpora)] for at in range(items)],
            "group": [f"artist {at}" for at in range(items)],
            "audio_path": [f"/music/{at} & co.wav" for at in range(items)],
            "title": [f"Title {at}" for at in range(items)],
            "artist": [f"Artist <{at}>" for at in range(items)],
            "duration": [10.0] * items,
        },
        caption_text=captions,
        caption_item=np.array(owners, np.int32),
        caption_is_main=np.array(main),
        audio={"mel": mel, **clap_audio},
        text={"words": words, **clap_text},
    )


def write(folder: Path, content: Embeddings) -> Path:
    """Write embeddings as `embeddings.h5` of a folder, and return the folder."""
    embeddings.write(folder / "embeddings.h5", content)
    return folder


class Words:
    """The text encoder of these embeddings, as a model."""

    dimensions = len(WORDS)

    def embed_text(
        self, texts: Iterable[str], batch_size: int | None = None
    ) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        return map(words_embedding, texts)


def load_words(card: ModelCard, device: str) -> Words:
    return Words()


def register_words(monkeypatch: pytest.MonkeyPatch, revision: str = "1") -> None:
    """Let the text encoder of these embeddings be a registered model."""
    card = ModelCard(
        name=TEXT_MODEL,
        task="text-embedding",
        library="none",
        adapter="tests.support.embeddings:load_words",
        revision=revision,
        licence="CC0-1.0",
    )
    monkeypatch.setitem(registry.CARDS, TEXT_MODEL, card)
