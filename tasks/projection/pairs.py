"""Embeddings of a dataset as pairs of audio and captions: checked, and split."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.dataset.embeddings import Embeddings, Encoded
from tasks.dataset.split import SPLITS
from tasks.fit import FitError
from tasks.text import counted

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

FILE = "embeddings.h5"
"""Name of the file of embeddings in a folder of data."""

LEAST_ITEMS = 2
"""Items of a split: to find the only one is no task."""


@dataclass(frozen=True)
class Pairs:
    """Items of a split, and their captions.

    Attributes
    ----------
    audio
        Embedding of each item, shape ``(items, D)``.
    number
        Number of each item in the file.
    group
        Of each item: those of one group may be copies of each other.
    corpus
        Of each item.
    text
        Embedding of each caption, shape ``(captions, D)``, those of an item together.
    caption
        Texts of the captions.
    owner
        Item of each caption: its place in `audio`, rising.
    text_id
        Of each caption; equal texts have the same.
    """

    audio: Float32
    number: Int64
    group: Int64
    corpus: Sequence[str]
    text: Float32
    caption: Sequence[str]
    owner: Int64
    text_id: Int64

    def __len__(self) -> int:
        return len(self.number)

    def of(self, chosen: npt.NDArray[np.bool_]) -> "Pairs":
        """Return some of the items, with their captions."""
        place = np.cumsum(chosen) - 1
        kept = chosen[self.owner]
        return Pairs(
            audio=self.audio[chosen],
            number=self.number[chosen],
            group=self.group[chosen],
            corpus=[name for name, keep in zip(self.corpus, chosen, strict=True) if keep],
            text=self.text[kept],
            caption=[text for text, keep in zip(self.caption, kept, strict=True) if keep],
            owner=place[self.owner[kept]],
            text_id=self.text_id[kept],
        )


def pairs(content: Embeddings, audio: str, text: str) -> Pairs:
    """Return all items of a file that have both an embedding by `audio` and a caption.

    Parameters
    ----------
    content
        Of the file, with the encoders of these names.
    audio, text
        Names of the encoders.

    Raises
    ------
    FitError
        If an embedding is no number: `embeddings-not-finite`.
    """
    sound, words = content.audio[audio], content.text[text]
    _check_finite(sound, f"audio embeddings by {audio}")
    _check_finite(words, f"text embeddings by {text}")
    owners = content.caption_item.astype(np.int64)
    has_caption = np.isin(sound.item, owners)
    number = sound.item[has_caption].astype(np.int64)
    place = np.full(len(content), -1, np.int64)
    place[number] = np.arange(len(number))
    kept = place[owners] >= 0
    texts = [caption for caption, keep in zip(content.caption_text, kept, strict=True) if keep]
    groups = [content.items["group"][at] for at in number]
    return Pairs(
        audio=sound.embedding[has_caption],
        number=number,
        group=_numbered(groups),
        corpus=[str(content.items["dataset"][at]) for at in number],
        text=words.embedding[kept],
        caption=texts,
        owner=place[owners[kept]],
        text_id=_numbered([" ".join(each.casefold().split()) for each in texts]),
    )


def by_split(content: Embeddings, audio: str, text: str, batch_size: int) -> dict[str, Pairs]:
    """Return the pairs of a file by the split that they are in.

    Raises
    ------
    FitError
        If a split has too few items: `split-too-small`, or fewer than a batch takes:
        `batch-size`; or as :func:`pairs` does.
    """
    whole = pairs(content, audio, text)
    names = np.array([content.items["split"][at] for at in whole.number], dtype=object)
    found: dict[str, Pairs] = {name: whole.of(names == name) for name in SPLITS}
    small = [f"{name} {len(each)}" for name, each in found.items() if len(each) < LEAST_ITEMS]
    if small:
        raise FitError(
            "split-too-small",
            f"Of the items with captions and {audio} embeddings a split has fewer than "
            f"{LEAST_ITEMS} ({', '.join(small)}): prepare embeddings of more items or groups.",
        )
    if len(found["train"]) < batch_size:
        raise FitError(
            "batch-size",
            f"A batch of {batch_size} is more than the {counted(len(found['train']), 'item')} "
            "to train on: give a smaller --batch-size.",
        )
    return found


def fingerprint(content: Embeddings, audio: str, text: str) -> str:
    """Digest of all that a training on two encoders' embeddings depends on."""
    digest = hashlib.sha256()
    encoded = [content.audio[audio], content.text[text]]
    heads = [
        {name: each.attributes.get(name) for name in ("model", "revision", "config")}
        for each in encoded
    ]
    items = [list(content.items[name]) for name in ("id", "split", "group", "dataset")]
    said = [content.dataset, heads, items, list(content.caption_text)]
    digest.update(json.dumps(said).encode("utf-8", "surrogatepass"))
    arrays = [content.caption_item, *(each.embedding for each in encoded), encoded[0].item]
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Examples:
    """Examples of the loop: an item, and some of its captions, drawn anew in each epoch.

    Attributes
    ----------
    pairs
        Of the split that is trained on.
    captions
        How many captions of an item are drawn, where it has as many.
    """

    pairs: Pairs
    captions: int

    def __len__(self) -> int:
        return len(self.pairs)

    def example(self, index: int, rng: np.random.Generator) -> tuple[int, Int64]:
        """Return an item and the numbers of the captions that were drawn."""
        first, end = np.searchsorted(self.pairs.owner, [index, index + 1])
        drawn = min(self.captions, int(end - first))
        return index, np.sort(first + rng.choice(end - first, drawn, replace=False))

    def collate(self, chosen: Sequence[tuple[int, Int64]]) -> dict[str, Any]:
        """Return a batch as tensors."""
        import torch

        items = np.array([index for index, _ in chosen], np.int64)
        captions = np.concatenate([drawn for _, drawn in chosen])
        owner = np.repeat(np.arange(len(chosen)), [len(drawn) for _, drawn in chosen])
        arrays = {
            "audio": self.pairs.audio[items],
            "text": self.pairs.text[captions],
            "owner": owner,
            "group": self.pairs.group[items],
            "text_id": self.pairs.text_id[captions],
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _check_finite(encoded: Encoded, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(encoded.embedding).all(axis=1))
    if len(bad):
        raise FitError(
            "embeddings-not-finite",
            f"{len(bad)} of the {len(encoded.embedding)} {what} hold what is no number, the first "
            f"in row {bad[0]}: delete {FILE} and make it anew.",
        )


def _numbered(texts: Sequence[str]) -> Int64:
    """Return a number for each text, the same for equal ones; an empty one equals no other."""
    numbers: dict[str, int] = {}
    return np.array(
        [
            numbers.setdefault(text or f"\0{place}", len(numbers))
            for place, text in enumerate(texts)
        ],
        np.int64,
    )
